import pytest

from antiphon.transport.proxies import Proxies
from antiphon.transport.targets import parse_target
from antiphon.transport.ways import Ways

PROXY = "http://proxy:3128"


def through(given: str | dict[str, str] | None, url: str) -> str | None:
    proxy = Proxies(given).of(parse_target(url).origin)
    return None if proxy is None else str(proxy.origin)


def test_proxy_of_a_url_is_for_all_servers() -> None:
    assert through(PROXY, "http://a/") == through(PROXY, "https://b/") == PROXY
    assert through(None, "http://a/") is None


@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({"HTTP_PROXY": PROXY}, PROXY, None),
        ({"https_proxy": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"all_proxy": PROXY, "http_proxy": "http://other"}, "http://other", PROXY),
        ({"HTTP_PROXY": "http://other", "http_proxy": PROXY}, PROXY, None),
        ({"HTTP_PROXY": "", "PATH": "/bin"}, None, None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),
    ],
)
def test_variables_name_the_proxy_of_each_scheme(
    variables: dict[str, str], http: str | None, https: str | None
) -> None:
    assert through(variables, "http://a/") == http
    assert through(variables, "https://a/") == https


@pytest.mark.parametrize(
    ("exceptions", "url", "excepted"),
    [
        ("*", "http://a/", True),
        ("a.example", "http://a.example/", True),
        (" .a.example , b", "http://x.a.example/", True),
        ("*.a.example", "http://x.a.example/", True),
        ("a.example", "http://x.A.example/", True),
        ("a.example", "http://xa.example/", False),
        ("a.example:8000", "http://a.example:8000/", True),
        ("a.example:8000", "http://a.example:8001/", False),
        ("127.0.0.1", "http://127.0.0.1:8000/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://ten.example/", False),
        ("no/network", "http://10.1.2.3/", False),
        ("::1", "http://[::1]:8000/", True),
        ("[::1]", "http://[::1]:8000/", True),
        ("[::1]:8000", "http://[::1]:8001/", False),
        (",,", "http://a/", False),
    ],
)
def test_servers_are_excepted(exceptions: str, url: str, excepted: bool) -> None:
    found = through({"http_proxy": PROXY, "NO_PROXY": exceptions}, url)
    assert (found is None) is excepted


def test_userinfo_becomes_a_header() -> None:
    proxy = Proxies("http://m%65:a%3Ab@proxy").of(parse_target("http://a/").origin)
    assert proxy is not None
    assert proxy.headers == (("proxy-authorization", "Basic bWU6YTpi"),)


def test_proxy_that_is_not_supported_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="SOCKS"):
        Ways(verify=True, proxy={"ALL_PROXY": "socks5://proxy:1080"})


def test_ways_are_remembered_up_to_a_bound() -> None:
    ways = Ways(verify=True, proxy=None)
    assert ways.to("http://a/1") is ways.to("http://a/1")
    for number in range(600):
        ways.to(f"http://a/{number}")
    assert len(ways._known) <= 256
