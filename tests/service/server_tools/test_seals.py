"""Seals: what only this server opens, and only for one workspace."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.service.server_tools.web.seals import Seals

SEALS = Seals(b"key", os.urandom)


@given(st.binary(max_size=200), st.text(max_size=5))
def test_seal_opens_for_its_workspace_alone(content: bytes, salt: str) -> None:
    sealed = SEALS.seal(content, salt)
    assert SEALS.open(sealed, salt) == content
    assert SEALS.open(sealed, salt + "x") is None
    assert Seals(b"other", os.urandom).open(sealed, salt) is None


@given(st.binary(max_size=200), st.text(max_size=5))
def test_index_of_a_citation_is_no_text_of_a_result(content: bytes, salt: str) -> None:
    # It seals the title and the address, which the caller sends.
    assert SEALS.open(SEALS.seal_index(content, salt), salt) is None


@given(st.data())
def test_changed_seal_opens_nothing(data: st.DataObject) -> None:
    # Of a length that leaves no bits of base64 without a meaning.
    sealed = Seals(b"key", bytes).seal(b"It rains. ", "a")
    assert not sealed.endswith("=")
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=").filter(lambda one: one != sealed[at]))
    assert SEALS.open(sealed[:at] + other + sealed[at + 1 :], "a") is None


@pytest.mark.parametrize("text", ["", "AQ==", "AQAAAAAAAAAAAAAAAA==", "no base64", "ä", "EqgfCio"])
def test_other_texts_open_nothing(text: str) -> None:
    assert SEALS.open(text, "a") is None


def test_same_content_has_another_seal_unless_it_is_to_be_alike() -> None:
    assert SEALS.seal(b"a", "s") != SEALS.seal(b"a", "s")
    assert SEALS.seal_index(b"a", "s") == SEALS.seal_index(b"a", "s")
    assert SEALS.seal_index(b"a", "s") != SEALS.seal_index(b"b", "s")
