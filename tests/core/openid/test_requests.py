from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.openid.requests import (
    LIFE_S,
    SKEW_S,
    AuthorizationRequest,
    new_request,
    request_of,
)

KEY = b"k" * 32
NOW = 1_800_000_000
REQUEST = new_request(b"e" * 32, NOW + 0.9)


def test_cookie_brings_the_request_back() -> None:
    assert request_of(REQUEST.cookie) == REQUEST
    link = new_request(b"e" * 32, NOW, "link", "user_1")
    assert request_of(link.cookie, "link", "user_1") == link


@given(st.text())
def test_no_cookie_is_an_error(cookie: str) -> None:
    found = request_of(cookie)
    assert found is None or found.cookie == cookie or int(cookie.partition(".")[2]) >= 0


@pytest.mark.parametrize("cookie", ["", f"{'x' * 31}.1", f"{'x' * 32}.", f"{'x' * 32}.9" * 9])
def test_text_that_is_no_cookie_is_none(cookie: str) -> None:
    assert request_of(cookie) is None


def test_challenge_is_that_of_the_verifier() -> None:
    verifier = REQUEST.verifier(KEY)
    assert 43 <= len(verifier) <= 128
    digest = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert REQUEST.challenge(KEY) == digest


def test_nothing_of_a_request_is_like_another_ones() -> None:
    others = [
        REQUEST,
        new_request(b"f" * 32, NOW),
        new_request(b"e" * 32, NOW + 1),
        AuthorizationRequest(REQUEST.token, REQUEST.began_s, "link", "user_1"),
        AuthorizationRequest(REQUEST.token, REQUEST.began_s, "link", "user_2"),
    ]
    made = [
        part
        for one in others
        for key in (KEY, b"other" * 8)
        for part in (one.state(key), one.nonce(key), one.verifier(key), one.challenge(key))
    ]
    assert len(set(made)) == len(made) == 40
    assert REQUEST.state(KEY).startswith("sign_in.")


@pytest.mark.parametrize(
    ("after_s", "counts"),
    [(0, True), (LIFE_S, True), (LIFE_S + 1, False), (-SKEW_S, True), (-SKEW_S - 1, False)],
)
def test_answer_counts_for_some_minutes(after_s: int, counts: bool) -> None:
    assert REQUEST.answered_by(REQUEST.state(KEY), KEY, NOW + after_s) is counts


@given(st.text())
def test_any_other_state_is_no_answer(state: str) -> None:
    assert not REQUEST.answered_by(state, KEY, NOW)
