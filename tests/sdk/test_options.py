from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.sdk.call import Call, CallOptions, Timeout, json_body
from antiphon.sdk.environment import LOCAL, Environment, read_environment
from antiphon.sdk.errors import CredentialsError
from antiphon.sdk.options import (
    ClientOptions,
    client_options,
    timeout_for,
    timeout_of,
)
from antiphon.sdk.outgoing import Outgoing, headers_of

NOWHERE = Environment()


def options(**said: Any) -> ClientOptions:
    return client_options(**{"environment": NOWHERE, "api_key": "k", **said})


def call(*, admin: bool = False, **own: Any) -> Call[Any]:
    settings: CallOptions = own  # type: ignore[assignment] # what a test says
    return Call(
        method="POST", path="/v1/x", decode=lambda answer: answer, options=settings, admin=admin
    )


def test_variables_of_antiphon_come_first() -> None:
    found = read_environment(
        {
            "ANTIPHON_BASE_URL": "http://a",
            "ANTHROPIC_BASE_URL": "http://b",
            "ANTIPHON_API_KEY": " ",
            "ANTHROPIC_API_KEY": " key ",
            "ANTHROPIC_AUTH_TOKEN": "token",
            "ANTIPHON_ADMIN_KEY": "admin",
            "ANTHROPIC_CUSTOM_HEADERS": "X-One: 1\n\n X-Two :a: b \n",
            "ANTHROPIC_LOG": "debug",
            "https_proxy": "http://small",
            "HTTPS_PROXY": "http://large",
            "HTTP_PROXY": "http://http",
            "no_proxy": "",
        }
    )
    assert found == Environment(
        base_url="http://a",
        api_key="key",
        auth_token="token",
        admin_key="admin",
        headers=(("X-One", "1"), ("X-Two", "a: b")),
        log="debug",
        proxies={"HTTPS_PROXY": "http://small", "HTTP_PROXY": "http://http"},
        foreign={
            "api_key": "ANTHROPIC_API_KEY",
            "auth_token": "ANTHROPIC_AUTH_TOKEN",
            "headers": "ANTHROPIC_CUSTOM_HEADERS",
        },
    )
    assert "key" not in repr(found).replace("api_key", "")
    assert read_environment({}) == NOWHERE


THEIRS = {
    "ANTHROPIC_API_KEY": "of-hosted",
    "ANTHROPIC_AUTH_TOKEN": "of-hosted",
    "ANTHROPIC_ADMIN_KEY": "of-hosted",
    "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: of-hosted",
}


@pytest.mark.parametrize("theirs", [THEIRS, *[{name: THEIRS[name]} for name in THEIRS]])
def test_key_of_others_is_not_sent_to_a_server_that_nobody_named(theirs: dict[str, str]) -> None:
    unnamed = client_options(environment=read_environment(theirs))
    assert unnamed.base_url == LOCAL
    for admin in (False, True):
        with pytest.raises(CredentialsError, match=f"no key for {LOCAL}: give") as caught:
            Outgoing(unnamed, now=float, wall=float, draw=float).request(call(admin=admin))
        assert all(name in str(caught.value) for name in (*theirs, "ANTHROPIC_BASE_URL"))
        assert "of-hosted" not in str(caught.value)


def test_key_of_others_is_sent_to_a_server_that_somebody_named() -> None:
    by_variable = client_options(
        environment=read_environment({**THEIRS, "ANTIPHON_BASE_URL": LOCAL})
    )
    by_program = client_options(environment=read_environment(THEIRS), base_url=LOCAL)
    for named in (by_variable, by_program):
        assert headers_of(call(), named)["x-api-key"] == "of-hosted"
        assert named.admin_key == "of-hosted"


def test_own_key_is_for_the_server_on_this_machine() -> None:
    ours = {"ANTIPHON_API_KEY": "ours", "ANTIPHON_ADMIN_KEY": "our-admin"}
    found = client_options(environment=read_environment({**THEIRS, **ours}))
    assert headers_of(call(), found)["x-api-key"] == "ours"
    assert headers_of(call(admin=True), found)["x-api-key"] == "our-admin"


def test_client_with_another_address_has_the_keys_that_were_kept_back() -> None:
    client = antiphon.Client(environment=read_environment(THEIRS))
    named = client.with_options(base_url="https://api.example")
    assert headers_of(call(), named.options)["x-api-key"] == "of-hosted"


def test_proxy_of_a_callers_header_is_not_taken() -> None:
    assert read_environment({"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil"}).proxies == {}


def test_line_that_is_no_header_is_named_without_its_value() -> None:
    with pytest.raises(ValueError, match=r"line 2 is not of the form `Name: value`$"):
        read_environment({"ANTHROPIC_CUSTOM_HEADERS": "a: 1\nsecret"})


def test_program_comes_before_the_environment() -> None:
    environment = Environment(
        base_url="http://e/v1", api_key="of-e", headers=(("x-a", "e"), ("x-b", "e"))
    )
    found = client_options(
        environment=environment,
        base_url="http://p/",
        api_key="of-p",
        default_headers={"x-a": "p"},
    )
    assert (found.base_url, found.api_key) == ("http://p", "of-p")
    assert found.headers == {"x-a": "p", "x-b": "e"}
    assert client_options(environment=environment).base_url == "http://e"
    assert client_options(environment=NOWHERE).base_url == LOCAL
    assert "of-p" not in repr(found)


def test_key_of_the_environment_comes_before_its_token() -> None:
    both = Environment(api_key="k", auth_token="t")
    assert client_options(environment=both).auth_token is None
    found = client_options(environment=both, auth_token="mine")
    assert (found.api_key, found.auth_token) == (None, "mine")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"auth_token": "t"}, "give `api_key` or `auth_token`, not both"),
        ({"max_retries": -1}, "max_retries is -1; it is 0 or more"),
        ({"base_url": "localhost:8000"}, "base_url is 'localhost:8000'; it begins with http"),
        ({"timeout": 0}, "timeout is 0; it is more than 0 seconds"),
        ({"timeout": float("nan")}, "timeout is nan"),
    ],
)
def test_wrong_argument_is_told(said: Mapping[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        options(**said)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"apikey": "k"}, "a client has no parameter apikey; did you mean api_key?"),
        ({"http_client": 1}, "no parameter http_client; there are admin_key, api_key, auth_token"),
        ({"timeout": "60"}, "timeout is '60'; it is a number of seconds"),
    ],
)
def test_argument_of_the_wrong_name_or_kind_is_told(said: Mapping[str, Any], fault: str) -> None:
    with pytest.raises(TypeError, match=fault.replace("?", "[?]")):
        options(**said)


def test_timeout_of_a_call_comes_before_the_clients() -> None:
    client = options(timeout=30.0)
    assert client.timeout == Timeout(connect=5.0, total=30.0, idle=30.0)
    assert client.own_timeout
    assert not options().own_timeout
    assert timeout_for(call(), client) == client.timeout
    assert timeout_for(call(timeout=2.0), client) == Timeout(connect=2.0, total=2.0, idle=2.0)
    assert timeout_for(call(timeout=None), client) == Timeout(connect=5.0, total=None, idle=None)
    own = Timeout(idle=1.0)
    assert timeout_for(call(timeout=own), client) is own


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, 1e10])
def test_bound_that_no_clock_counts_to_is_none(seconds: float) -> None:
    assert timeout_of(seconds, Timeout()) == Timeout(total=None, idle=None)
    assert Timeout(connect=seconds).connect is None


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_bound_in_the_past_is_none_of_a_timeout(seconds: float) -> None:
    with pytest.raises(ValueError, match="the idle timeout is"):
        Timeout(idle=seconds)


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ({"temperature": float("nan")}, "temperature"),
        ({"tools": [{"name": "n"}, {"input_schema": {"minimum": float("-inf")}}]}, "tools.1.input"),
    ],
)
def test_number_that_json_does_not_have_is_not_sent_as_null(extra: Any, path: str) -> None:
    with pytest.raises(ValueError, match=f"the value of `{path}"):
        json_body({"model": "m"}, {"extra_body": extra})
    assert json_body({"a": None, "b": [1.5, {"c": "null"}]}, {}) == (
        b'{"a":null,"b":[1.5,{"c":"null"}]}'
    )


@given(st.floats(0.001, 1e6))
def test_number_bounds_connecting_too(seconds: float) -> None:
    found = timeout_of(seconds, Timeout())
    assert found.connect == min(5.0, seconds)
    assert timeout_of(seconds, Timeout(connect=None)).connect == seconds


def test_read_timeout_of_another_client_is_as_a_number() -> None:
    class Timeouts:
        connect, read, write, pool = 2.0, 5.0, 10.0, None

    said = client_options(timeout=Timeouts(), environment=Environment()).timeout
    assert said == Timeout(connect=2.0, total=5.0, idle=5.0)
