from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.sdk.call import JSON, Call, Timeout
from antiphon.sdk.environment import LOCAL, Environment
from antiphon.sdk.errors import CredentialsError
from antiphon.sdk.options import ClientOptions, client_options
from antiphon.sdk.outgoing import Outgoing, headers_of
from antiphon.transport.base import HttpRequest


def options(**said: Any) -> ClientOptions:
    return client_options(**{"environment": Environment(), "api_key": "k", **said})


def call(
    *,
    admin: bool = False,
    body: bytes = b"",
    content_type: str = JSON,
    headers: tuple[tuple[str, str], ...] = (("X-Of-Call", "1"),),
    **own: Any,
) -> Call[Any]:
    return Call(
        method="POST",
        path="/v1/x",
        decode=lambda answer: answer,
        options=own,  # type: ignore[arg-type] # what a test says
        admin=admin,
        body=body,
        content_type=content_type,
        headers=headers,
    )


def outgoing(client: ClientOptions) -> Outgoing:
    return Outgoing(client, now=lambda: 1.0, wall=lambda: 2.0, draw=lambda: 0.5)


def request_of(one: Call[Any], client: ClientOptions) -> HttpRequest:
    return outgoing(client).request(one)


def test_later_headers_count() -> None:
    client = options(default_headers={"User-Agent": "mine", "X-Client": "1"})
    found = headers_of(call(extra_headers={"x-client": "2", "ACCEPT": None}), client)
    assert found["user-agent"] == "mine"
    assert found["x-client"] == "2"
    assert found["x-of-call"] == "1"
    assert "accept" not in found
    assert found["x-api-key"] == "k"
    assert found["anthropic-version"] == "2023-06-01"
    assert "content-type" not in found
    assert headers_of(call(body=b"{}"), client)["content-type"] == "application/json"


def test_each_call_has_the_key_that_it_needs() -> None:
    client = options(admin_key="a")
    assert headers_of(call(admin=True), client)["x-api-key"] == "a"
    assert headers_of(call(), client)["x-api-key"] == "k"
    token = options(api_key=None, auth_token="t")
    assert headers_of(call(admin=True), token)["authorization"] == "Bearer t"


def test_call_without_a_key_says_how_to_give_one() -> None:
    client = options(api_key=None)
    with pytest.raises(CredentialsError, match="give `api_key` to the client, or set ANTIPHON_API"):
        request_of(call(), client)
    own = headers_of(call(extra_headers={"Authorization": "Bearer mine"}), client)
    assert own["authorization"] == "Bearer mine"
    of_client = options(api_key=None, default_headers={"X-API-Key": "mine"})
    assert headers_of(call(), of_client)["x-api-key"] == "mine"


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "admin": st.booleans(),
                "body": st.sampled_from([b"", b"{}"]),
                "content_type": st.sampled_from([JSON, "multipart/form-data; boundary=a"]),
                "headers": st.sampled_from([(), (("x-of-call", "1"),)]),
            },
            optional={
                "extra_headers": st.sampled_from([{"accept": None}, {"x-api-key": "mine"}]),
                "timeout": st.just(3.0),
            },
        )
    )
)
def test_headers_are_right_whatever_was_sent_before(calls: list[Mapping[str, Any]]) -> None:
    client = options(admin_key="a")
    made = outgoing(client)
    for one in (call(**said) for said in calls):
        assert dict(made.request(one).headers) == headers_of(one, client)


def test_headers_that_most_calls_have_are_made_once() -> None:
    made = outgoing(options())
    first, second = (made.request(call(headers=(), body=body)) for body in (b"1", b"2"))
    # The writer of heads tells by identity that it has written them.
    assert first.headers is second.headers
    assert (first.body, second.body) == (b"1", b"2")


def test_conditions_are_those_of_the_client_and_of_the_call() -> None:
    made = outgoing(options(timeout=9.0, max_retries=4))
    usual = made.conditions(call())
    assert usual is made.conditions(call())
    assert (usual.timeout.total, usual.max_retries) == (9.0, 4)
    assert (usual.now(), usual.wall(), usual.draw()) == (1.0, 2.0, 0.5)
    own = made.conditions(call(timeout=None, max_retries=0))
    assert own.timeout == Timeout(connect=5.0, total=None, idle=None)
    assert own.max_retries == 0
    assert made.conditions(call(extra_headers={})) == usual


def test_query_of_the_client_is_on_each_call() -> None:
    client = options(default_query={"beta": "true"})
    assert request_of(call(), client).url == f"{LOCAL}/v1/x?beta=true"
    asked = call(extra_query={"a": [1, 2], "b": False, "c": None})
    assert request_of(asked, client).url == f"{LOCAL}/v1/x?a%5B%5D=1&a%5B%5D=2&b=false&beta=true"
