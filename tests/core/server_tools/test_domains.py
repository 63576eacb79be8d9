"""Which URLs are in the domains that a caller allows or blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.server_tools.domains import Domains, domains_of, is_domain, is_in

NAMES = st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){0,2}", fullmatch=True)


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://example.com", "example.com"),
        ("https://docs.example.com/a?b#c", "example.com"),
        ("http://EXAMPLE.com.:8080/", "Example.COM"),
        ("https://example.com/blog/one", "example.com/blog"),
        ("https://example.com/blog", "example.com/blog/"),
        ("https://example.com/en/articles/one", "example.com/*/articles"),
        ("https://example.com/anything", "example.com/*"),
    ],
)
def test_url_is_in_a_domain(url: str, domain: str) -> None:
    assert is_domain(domain)
    assert is_in(url, domain)


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://example.org", "example.com"),
        ("https://notexample.com", "example.com"),
        ("https://example.com.evil.org", "example.com"),
        ("https://evil.org/example.com", "example.com"),
        ("https://example.com@evil.org/", "example.com"),
        ("https://example.com", "docs.example.com"),
        ("https://example.com/news", "example.com/blog"),
        ("https://example.com/en/news", "example.com/*/articles"),
        ("https://[", "example.com"),
    ],
)
def test_url_is_in_another_domain(url: str, domain: str) -> None:
    assert not is_in(url, domain)


@pytest.mark.parametrize(
    "text", ["https://example.com", "exa mple.com", "", "*.example.com", "a.com/*/b/*", "a" * 256]
)
def test_text_is_no_domain(text: str) -> None:
    assert not is_domain(text)
    assert Domains(allowed=("example.com", text)).fault == text


def test_everything_is_permitted_unless_something_is_said() -> None:
    url = "https://example.com/a"
    assert domains_of(None, None).permit(url)
    assert domains_of(["example.com"], None).permit(url)
    assert not domains_of(["example.org"], None).permit(url)
    assert not domains_of(None, ["example.com"]).permit(url)
    assert domains_of([], ["example.org"]).permit(url)
    assert domains_of(["example.com"], ["example.org"]).fault is None


@pytest.mark.parametrize("url", ["https://[", "https:///a", "/a", ""])
def test_what_cannot_be_read_is_permitted_by_nothing(url: str) -> None:
    assert not domains_of(None, None).permit(url)
    assert not domains_of(None, ["example.com"]).permit(url)


@pytest.mark.parametrize("path", ["/a/../b", "/a%2F..%2Fb", "/a/%2e%2E/b", "/a%5C..%5cb", "/a/.."])
def test_path_that_its_server_alone_follows_upwards_is_not_permitted(path: str) -> None:
    url = f"https://example.com{path}"
    assert domains_of(None, None).permit(url)
    assert not domains_of(["example.com/a"], None).permit(url)
    assert not domains_of(None, ["example.com/b"]).permit(url)
    assert domains_of(["example.com/a"], None).permit("https://example.com/a/b..c/...")


def test_path_is_the_same_however_its_letters_are_written() -> None:
    for one in ("\u00e4", "%C3%A4", "%c3%a4"):
        assert is_in(f"https://example.com/{one}/b", "example.com/\u00e4")
        assert is_in("https://example.com/%C3%A4/b", f"example.com/{one}")


@given(NAMES, NAMES)
def test_a_name_is_in_a_domain_if_it_ends_with_it(name: str, domain: str) -> None:
    inside = name == domain or name.endswith(f".{domain}")
    assert is_in(f"https://{name}/", domain) is inside
