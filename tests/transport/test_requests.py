from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.transport.base import HttpRequest
from antiphon.transport.requests import HeadWriter, with_length, write_connect
from antiphon.transport.targets import parse_target
from antiphon.transport.ways import Ways

SECRET = "sk-secret"


def head(**fields: Any) -> bytes:
    given = {"method": "POST", "url": "http://a.example/v1?x=1", **fields}
    request = HttpRequest(**given)
    written = HeadWriter().write(request, parse_target(request.url))
    return with_length(written, request)


def test_head_has_the_host_and_the_length() -> None:
    assert head(headers=(("X-Key", "café"),), body=b"abc") == (
        b"POST /v1?x=1 HTTP/1.1\r\nhost: a.example\r\nX-Key: caf\xe9\r\ncontent-length: 3\r\n\r\n"
    )


def test_caller_may_name_another_host_and_other_credentials() -> None:
    url = "http://me:a%3Ab@a.example/"
    assert head(url=url, method="GET") == (
        b"GET / HTTP/1.1\r\nhost: a.example\r\nauthorization: Basic bWU6YTpi\r\n\r\n"
    )
    headers = (("Host", "b.example"), ("Authorization", "Bearer x"))
    assert head(url=url, method="GET", headers=headers) == (
        b"GET / HTTP/1.1\r\nHost: b.example\r\nAuthorization: Bearer x\r\n\r\n"
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["POST", "GET"]),
            st.sampled_from(["http://a.example/", "http://b.example/", "https://a.example/"]),
            st.sampled_from([(("x-key", "1"),), (("x-key", "2"),)]),
            st.sampled_from([b"", b"a", b"abc"]),
        )
    )
)
def test_what_was_asked_before_is_not_that_of_another_request(
    asked: list[tuple[str, str, tuple[tuple[str, str], ...], bytes]],
) -> None:
    proxies = {"HTTP_PROXY": "http://user:secret@proxy:1"}
    for proxy in (None, proxies):
        ways = Ways(verify=True, proxy=proxy)
        for method, url, headers, body in asked:
            request = HttpRequest(method=method, url=url, headers=headers, body=body)
            assert ways.of(request) == Ways(verify=True, proxy=proxy).of(request)


@pytest.mark.parametrize(
    ("method", "body", "told"),
    [("GET", b"", False), ("GET", b"a", True), ("POST", b"", True), ("DELETE", b"", False)],
)
def test_length_is_told_where_there_could_be_a_body(method: str, body: bytes, told: bool) -> None:
    assert (b"content-length" in head(method=method, body=body)) is told


def test_head_for_a_proxy_names_the_server() -> None:
    request = HttpRequest(method="GET", url="http://a:81/b")
    more = (("proxy-authorization", "Basic x"),)
    assert HeadWriter().write(request, parse_target(request.url), absolute=True, more=more) == (
        b"GET http://a:81/b HTTP/1.1\r\nhost: a:81\r\nproxy-authorization: Basic x\r\n"
    )
    assert write_connect("a:443", more) == (
        b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nproxy-authorization: Basic x\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-key", f"{SECRET}\r\nx: y"), ("x-key", f"{SECRET}\n"), ("x-key", f"\0{SECRET}"),
     ("x-key", f"{SECRET}\u20ac"), ("x key", SECRET), ("x:", SECRET), ("", SECRET),
     ("x\r\ny", SECRET), ("content-length", SECRET), ("transfer-encoding", SECRET)],
)  # fmt: skip
def test_header_that_would_be_another_request_is_refused_without_its_value(
    name: str, value: str
) -> None:
    with pytest.raises(ValueError, match="header") as caught:
        head(headers=(("x-fine", "a"), (name, value)))
    assert SECRET not in str(caught.value)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("method", ["", "get", "GET /x HTTP/1.1\r\n", "G T"])
def test_method_that_is_none_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="method"):
        head(method=method)


@given(st.text(), st.text())
def test_no_header_makes_more_than_one_line(name: str, value: str) -> None:
    try:
        written = head(headers=((name, value),))
    except ValueError:
        return
    assert written.count(b"\r\n") == 5
    assert written.count(b"\n") == 5
    assert written.split(b"\r\n")[2] == f"{name}: {value}".encode("latin-1")
