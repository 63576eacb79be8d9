import pytest

from antiphon.core.openid.addresses import discovery_address, is_safe, with_query


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://id.example.org/realm", True),
        ("HTTPS://id.example.org", True),
        ("http://127.0.0.1:9000/x", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("http://id.example.org", False),
        ("http://127.0.0.1.evil.org", False),
        ("http://127.0.0.1@evil.org", False),
        ("https://user:word@id.example.org", False),
        ("ftp://id.example.org", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://[x", False),
        ("https://id.example.org:port", False),
        ("https://id.example.org/\n", False),
        ("", False),
    ],
)
def test_address_is_https_or_on_this_machine(address: str, safe: bool) -> None:
    assert is_safe(address) is safe


def test_issuer_describes_itself_below_its_address() -> None:
    for issuer in ("https://id.example.org/realm", "https://id.example.org/realm/"):
        end = "/realm/.well-known/openid-configuration"
        assert discovery_address(issuer) == f"https://id.example.org{end}"


def test_parameters_stand_behind_those_that_are_there() -> None:
    assert with_query("https://x/a#b", {"c": "d e&"}) == "https://x/a?c=d+e%26"
    assert with_query("https://x/a?b=1", {"c": "d"}) == "https://x/a?b=1&c=d"
