import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.signatures import is_signed, sign_thinking

KEY = bytes(32)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_what_was_signed_is_known_again(thinking: str) -> None:
    assert is_signed(KEY, thinking, sign_thinking(KEY, thinking))


@given(TEXT)
def test_thinking_that_was_not_shown_is_known_by_its_signature_alone(thinking: str) -> None:
    assert is_signed(KEY, "", sign_thinking(KEY, thinking))


@given(TEXT, TEXT.filter(bool))
def test_other_thinking_is_not(thinking: str, other: str) -> None:
    assert is_signed(KEY, other, sign_thinking(KEY, thinking)) == (thinking == other)


def test_another_house_signs_otherwise() -> None:
    assert not is_signed(b"\x01" * 32, "So", sign_thinking(KEY, "So"))


@given(st.integers(0, 64), st.integers(1, 255))
def test_a_signature_with_one_byte_changed_is_none(place: int, change: int) -> None:
    from base64 import urlsafe_b64decode, urlsafe_b64encode  # noqa: PLC0415

    raw = bytearray(urlsafe_b64decode(sign_thinking(KEY, "So")))
    raw[place] ^= change
    assert not is_signed(KEY, "So", urlsafe_b64encode(raw).decode())


@pytest.mark.parametrize("signature", ["", "x", "é", "====", "EqQBCkYIARgCKkA", "A" * 88])
def test_what_is_no_signature_is_none(signature: str) -> None:
    assert not is_signed(KEY, "So", signature)
