from typing import Any

import pytest

from antiphon.core.openid.keys import (
    ALGORITHMS,
    MOST_TRIED,
    UnacceptableError,
    algorithm_of,
    keys_for,
)

RSA = {"kty": "RSA", "n": "n" * 342, "e": "AQAB", "kid": "r"}
EC = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "e"}
ED = {"kty": "OKP", "crv": "Ed25519", "x": "x", "kid": "o"}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"alg": "RS256", "typ": "at+jwt"},
        {"alg": "RS256", "typ": 7},
        {"alg": "RS256", "crit": []},
    ],
)
def test_header_that_no_id_token_has_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(UnacceptableError):
        algorithm_of(header)


def test_algorithms_are_those_of_public_keys() -> None:
    for algorithm in ALGORITHMS:
        for kind in ("JWT", "jwt", "application/jwt", None):
            header = {"alg": algorithm} if kind is None else {"alg": algorithm, "typ": kind}
            assert algorithm_of(header) == algorithm
    assert not {"none", "HS256", "HS384", "HS512"} & set(ALGORITHMS)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ({"alg": "RS256", "kid": "r"}, [RSA]),
        ({"alg": "PS512"}, [RSA]),
        ({"alg": "ES256", "kid": "e"}, [EC]),
        ({"alg": "ES256", "kid": "r"}, []),
        ({"alg": "ES384"}, []),
        ({"alg": "EdDSA"}, [ED]),
        ({"alg": "RS256", "kid": ["r"]}, []),
    ],
)
def test_key_fits_the_algorithm_and_the_name(header: dict[str, Any], found: list[Any]) -> None:
    assert keys_for([None, "key", {}, RSA, EC, ED], header) == found


@pytest.mark.parametrize(
    "key",
    [
        {**RSA, "use": "enc"},
        {**RSA, "alg": "RS512"},
        {**RSA, "n": "n" * 340},
        {**RSA, "n": "n" * 1400},
        {**RSA, "n": 7},
        {**RSA, "e": None},
        {**RSA, "e": "A" * 9},
        {"kty": "oct", "k": "secret"},
    ],
)
def test_key_for_something_else_or_of_a_bad_size_does_not_fit(key: dict[str, Any]) -> None:
    assert keys_for([key], {"alg": "RS256"}) == []


def test_few_keys_are_tried() -> None:
    assert len(keys_for([RSA] * 50, {"alg": "RS256"})) == MOST_TRIED
    assert keys_for([None] * 64 + [RSA], {"alg": "RS256"}) == []
