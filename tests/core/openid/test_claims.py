from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.openid.claims import (
    Expected,
    check_id_token,
    may_come_in,
    name_of,
    role_of,
    subject_of,
    values_at,
    verified_address,
)
from antiphon.core.openid.keys import UnacceptableError
from antiphon.core.openid.requests import SKEW_S

NOW = 1_800_000_000
EXPECTED = Expected(issuer="https://id.example.org", client_id="us", nonce="n", began_s=NOW - 30)
GOOD = {
    "iss": "https://id.example.org",
    "aud": "us",
    "sub": "7",
    "nonce": "n",
    "iat": NOW,
    "exp": NOW + 300,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["us"]},
        {"azp": "us"},
        {"aud": ["us", "other"], "azp": "us"},
        {"exp": NOW - SKEW_S + 1},
        {"iat": NOW + SKEW_S},
        {"iat": NOW - 30 - SKEW_S},
        {"iat": NOW + 0.5},
        {"nbf": NOW + SKEW_S},
    ],
)
def test_token_of_this_request_names_its_subject(changes: dict[str, Any]) -> None:
    assert check_id_token({**GOOD, **changes}, EXPECTED, NOW) == "7"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://id.example.com"}, "of another issuer"),
        ({"nonce": "m"}, "of another request"),
        ({"nonce": None}, "of another request"),
        ({"aud": "them"}, "for another program"),
        ({"aud": ["them", "those"]}, "for another program"),
        ({"azp": "them"}, "another program has asked"),
        ({"aud": ["us", "them"]}, "another program has asked"),
        ({"exp": NOW - SKEW_S}, "has expired"),
        ({"exp": "soon"}, "has expired"),
        ({"iat": NOW + SKEW_S + 1}, "of the future"),
        ({"iat": True}, "of the future"),
        ({"iat": NOW - 31 - SKEW_S}, "older than the request"),
        ({"nbf": NOW + SKEW_S + 1}, "does not count yet"),
        ({"nbf": "now"}, "does not count yet"),
    ],
)
def test_token_of_something_else_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(UnacceptableError, match=why):
        check_id_token({**GOOD, **changes}, EXPECTED, NOW)


@given(st.sampled_from(sorted({*GOOD, "azp", "nbf"})), JSON)
def test_any_other_value_of_a_claim_is_refused(name: str, value: Any) -> None:
    claims = {**GOOD, name: value}
    harmless = (
        claims == GOOD
        or (name == "aud" and value == ["us"])
        or (name == "sub" and isinstance(value, str) and value.isascii() and value.isprintable())
        or (name in {"exp", "iat", "nbf"} and isinstance(value, float | int))
        or (name == "nbf" and value is None)
    )
    if harmless:
        return
    with pytest.raises(UnacceptableError):
        check_id_token(claims, EXPECTED, NOW)


@given(st.sampled_from(["exp", "iat", "nbf"]), st.floats())
def test_times_count_within_the_skew_alone(name: str, at: float) -> None:
    fits = {
        "exp": NOW - SKEW_S < at < float("inf"),
        "iat": NOW - 30 - SKEW_S <= at <= NOW + SKEW_S,
        "nbf": float("-inf") < at <= NOW + SKEW_S,
    }[name]
    try:
        check_id_token({**GOOD, name: at}, EXPECTED, NOW)
    except UnacceptableError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("subject", ["", "x" * 256, "é", "a\nb", None, 7, True])
def test_subject_is_a_short_text_of_visible_characters(subject: Any) -> None:
    with pytest.raises(UnacceptableError):
        subject_of({"sub": subject})
    assert subject_of({"sub": "x" * 255}) == "x" * 255


@pytest.mark.parametrize(
    ("claims", "trusted", "address"),
    [
        ({"email": " Bob@Example.org ", "email_verified": True}, False, "bob@example.org"),
        ({"email": "bob@example.org", "email_verified": "true"}, False, "bob@example.org"),
        ({"email": "bob@example.org", "email_verified": "True"}, False, None),
        ({"email": "bob@example.org", "email_verified": 1}, False, None),
        ({"email": "bob@example.org"}, False, None),
        ({"email": "bob@example.org"}, True, "bob@example.org"),
        ({"email": "bob@example.org", "email_verified": False}, True, None),
        ({"email_verified": True}, False, None),
        ({"email": ["bob@example.org"], "email_verified": True}, False, None),
        ({"email": "bob", "email_verified": True}, False, None),
        ({"email": "bob@x@example.org", "email_verified": True}, False, None),
        ({"email": "b ob@example.org", "email_verified": True}, False, None),
        ({"email": "bob\u200d@example.org", "email_verified": True}, False, None),
        ({"email": "x" * 250 + "@b.de", "email_verified": True}, False, None),
    ],
)
def test_address_counts_if_the_provider_has_verified_it(
    claims: dict[str, Any], trusted: bool, address: str | None
) -> None:
    assert verified_address(claims, trusted=trusted) == address


@pytest.mark.parametrize(
    ("claims", "address", "domains", "required", "comes_in"),
    [
        ({}, None, [], {}, True),
        ({}, None, ["*"], {}, True),
        ({}, "a@example.org", ["example.com", "example.org"], {}, True),
        ({}, "a@sub.example.org", ["example.org"], {}, False),
        ({}, None, ["example.org"], {}, False),
        ({"hd": "example.org"}, None, [], {"hd": "example.org"}, True),
        ({"hd": "evil.org"}, None, [], {"hd": "example.org"}, False),
        ({"groups": ["a", "b"], "x": True}, None, [], {"groups": "b", "x": "true"}, True),
        ({"groups": ["a", "b"]}, None, [], {"groups": "b", "x": "true"}, False),
        ({"groups": "ab"}, None, [], {"groups": "a"}, False),
    ],
)
def test_settings_say_who_comes_in(
    claims: dict[str, Any],
    address: str | None,
    domains: list[str],
    required: dict[str, str],
    comes_in: bool,
) -> None:
    assert may_come_in(claims, address, domains, required) is comes_in


def test_claim_is_found_by_its_name_or_its_path() -> None:
    claims = {"a.b": ["name"], "a": {"b": ["path"], "c": {"d": False}}, "n": [1, None, {"x": 1}]}
    assert list(values_at(claims, "a.b")) == ["name"]
    assert list(values_at(claims, "a.c.d")) == ["false"]
    assert list(values_at(claims, "a.b.c")) == []
    assert list(values_at(claims, "n")) == []
    assert list(values_at(claims, "absent")) == []


def test_role_is_the_first_of_the_settings() -> None:
    roles = {"owners": "billing", "builders": "developer"}
    assert role_of({"groups": ["builders", "owners"]}, "groups", roles) == "billing"
    assert role_of({"groups": "builders"}, "groups", roles) == "developer"
    assert role_of({"groups": ["others"]}, "groups", roles) is None
    assert role_of({"groups": ["builders"]}, None, roles) is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": " Bob Ross "}, "Bob Ross"),
        ({}, "bob"),
        ({"name": " "}, "bob"),
        ({"name": "a\u202eb"}, "bob"),
        ({"name": "x" * 201}, "bob"),
        ({"name": 7}, "bob"),
    ],
)
def test_name_is_what_can_be_read(claims: dict[str, Any], name: str) -> None:
    assert name_of(claims, "bob@example.org") == name
