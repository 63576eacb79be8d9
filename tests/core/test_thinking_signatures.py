from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.thinking_signatures import is_signed, proof_in, sign_thinking

KEY = bytes(32)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_signature_is_recognized(thinking: str) -> None:
    assert is_signed(KEY, thinking, sign_thinking(KEY, thinking))


@given(TEXT)
def test_thinking_that_was_not_shown_is_known_by_its_signature_alone(thinking: str) -> None:
    assert is_signed(KEY, "", sign_thinking(KEY, thinking))


@given(TEXT, TEXT.filter(bool))
def test_signature_is_valid_for_its_own_thinking_only(thinking: str, other: str) -> None:
    assert is_signed(KEY, other, sign_thinking(KEY, thinking)) == (thinking == other)


def test_signature_of_another_key_is_not_recognized() -> None:
    assert not is_signed(b"\x01" * 32, "So", sign_thinking(KEY, "So"))


@given(st.integers(0, 64), st.integers(1, 255))
def test_signature_with_one_byte_changed_is_not_recognized(place: int, change: int) -> None:
    raw = bytearray(urlsafe_b64decode(sign_thinking(KEY, "So")))
    raw[place] ^= change
    assert not is_signed(KEY, "So", urlsafe_b64encode(raw).decode())


@pytest.mark.parametrize("signature", ["", "x", "é", "====", "EqQBCkYIARgCKkA", "A" * 88])
def test_invalid_signature_is_not_recognized(signature: str) -> None:
    assert not is_signed(KEY, "So", signature)


@given(TEXT, TEXT)
def test_proof_is_read_from_its_signature(thinking: str, proof: str) -> None:
    signature = sign_thinking(KEY, thinking, proof)
    assert is_signed(KEY, thinking, signature)
    assert proof_in(KEY, signature) == proof
    assert proof_in(b"\x01" * 32, signature) is None


@given(st.binary(min_size=1, max_size=8), st.integers(0, 200), st.integers(1, 255))
def test_changed_or_cut_proof_is_not_recognized(added: bytes, place: int, change: int) -> None:
    raw = bytearray(urlsafe_b64decode(sign_thinking(KEY, "So", "proof of it")))
    longer, shorter = bytes(raw) + added, bytes(raw[:-1])
    raw[place % len(raw)] ^= change
    for forged in (bytes(raw), longer, shorter):
        signature = urlsafe_b64encode(forged).decode()
        assert proof_in(KEY, signature) is None
        assert not is_signed(KEY, "So", signature)
