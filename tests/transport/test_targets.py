import pytest

from antiphon.transport.targets import Origin, parse_proxy, parse_target


@pytest.mark.parametrize(
    ("url", "origin", "host", "path"),
    [
        (
            "http://127.0.0.1:8000/v1/models",
            "http://127.0.0.1:8000",
            "127.0.0.1:8000",
            "/v1/models",
        ),
        ("https://API.example.com", "https://api.example.com", "api.example.com", "/"),
        ("HTTPS://a.example:443/x?y=1#z", "https://a.example", "a.example", "/x?y=1"),
        ("http://[::1]:80/?q", "http://[::1]", "[::1]", "/?q"),
        ("http://[fe80::1]:8080/a", "http://[fe80::1]:8080", "[fe80::1]:8080", "/a"),
    ],
)
def test_url_is_taken_apart(url: str, origin: str, host: str, path: str) -> None:
    target = parse_target(url)
    assert (str(target.origin), target.host, target.path) == (origin, host, path)


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "/v1", "ftp://a/", "http:///x", "http://a b/", "http://a/b c", "http://ä.de",
     "http://a/\r\nx: y", "http://a:99999/", f"http://a/{'x' * 9000}"],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_target(url)


def test_ports_that_stand_for_themselves_are_left_out() -> None:
    assert str(Origin("http", "a", 443)) == "http://a:443"
    assert Origin("https", "::1", 443).authority == "[::1]:443"


@pytest.mark.parametrize(
    ("url", "origin", "credentials"),
    [
        ("http://proxy:3128", "http://proxy:3128", None),
        ("proxy:3128", "http://proxy:3128", None),
        ("http://me:secret@proxy/", "http://proxy", "Basic bWU6c2VjcmV0"),
    ],
)
def test_proxy_is_taken_apart(url: str, origin: str, credentials: str | None) -> None:
    server, given = parse_proxy(url)
    assert (str(server), given) == (origin, credentials)


@pytest.mark.parametrize("url", ["socks5://me:secret@proxy:1080", "https://me:secret@proxy", "x y"])
def test_proxy_of_another_kind_is_refused_by_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"not supported|only http|no URL") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)
