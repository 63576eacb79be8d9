import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.sdk import errors
from antiphon.sdk.errors import APIStatusError, class_of, status_of
from antiphon.sdk.exchange import status_error
from antiphon.sdk.types.blocks import TextBlock
from antiphon.sdk.types.message import Message
from antiphon.transport.base import Headers
from antiphon.wire.errors import ErrorDetail, ErrorEnvelope

HEADERS = Headers([("request-id", "req_1")])


def error_of(
    status: int, body: Any, headers: Headers = HEADERS, retries: int = 0
) -> APIStatusError:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return status_error(status, headers, raw, retries)


ENVELOPE = ErrorEnvelope(
    error=ErrorDetail(
        type="rate_limit_error", message="Slow down.", details={"error_code": "ramp_limit_exceeded"}
    ),
    request_id="req_2",
)


def test_error_has_the_facts_of_its_envelope() -> None:
    error = error_of(429, ENVELOPE)
    assert isinstance(error, antiphon.RateLimitError)
    assert (error.type, error.error_code) == ("rate_limit_error", "ramp_limit_exceeded")
    assert error.message == "Slow down."
    assert error.request_id == "req_1"
    assert str(error) == "429 rate_limit_error: Slow down. (req_1)"
    assert str(error_of(429, ENVELOPE, retries=2)).endswith("(req_1) after 3 attempts")


def test_error_travels_between_processes() -> None:
    error = error_of(429, ENVELOPE, retries=2)
    error.partial = Message(id="msg_1", model="m", content=[TextBlock(text="so far")])
    error.add_note("A note.")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert (again.error_code, again.request_id) == (error.error_code, error.request_id)
    assert again.partial == error.partial
    assert again.__notes__ == ["A note."]
    other = antiphon.APITimeoutError("late")
    assert str(pickle.loads(pickle.dumps(other))) == "late"  # noqa: S301 - its own


def test_request_id_of_the_body_is_told_where_no_header_has_one() -> None:
    assert error_of(429, ENVELOPE, Headers()).request_id == "req_2"
    assert error_of(429, {"request_id": 7}, Headers()).request_id is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "502: the answer has no body (req_1)"),
        (b"<html>\n  Bad   gateway</html>", "502: <html> Bad gateway</html> (req_1)"),
        (b"\xff", "502: \ufffd (req_1)"),
        (b'{"error":"no envelope"}', '502: {"error":"no envelope"} (req_1)'),
        (b'{"error":{"message":7}}', '502: {"error":{"message":7}} (req_1)'),
        (b"[1]", "502: [1] (req_1)"),
        (b'{"error":{"message":"m","type":3,"details":4}}', "502: m (req_1)"),
    ],
)
def test_answer_of_something_else_is_told_as_it_is(body: bytes, text: str) -> None:
    error = error_of(502, body)
    assert str(error) == text
    assert error.type is None
    assert error.error_code is None


@given(st.binary(max_size=50))
def test_no_body_is_too_strange_for_an_error(body: bytes) -> None:
    assert str(error_of(500, body))


def test_deep_and_long_bodies_are_bounded() -> None:
    assert "[[" in str(error_of(500, b"[" * 100_000))
    assert len(error_of(500, b"x" * 100_000).message) == 2000


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (402, "PaymentRequiredError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (405, "APIStatusError"),
        (408, "RequestTimeoutError"),
        (409, "ConflictError"),
        (412, "PreconditionFailedError"),
        (413, "RequestTooLargeError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (431, "RequestHeaderFieldsTooLargeError"),
        (499, "ClientClosedRequestError"),
        (500, "InternalServerError"),
        (501, "HTTPNotImplementedError"),
        (503, "ServiceUnavailableError"),
        (504, "GatewayTimeoutError"),
        (529, "OverloadedError"),
        (599, "InternalServerError"),
    ],
)
def test_each_status_has_its_class(status: int, name: str) -> None:
    assert class_of(status).__name__ == name
    assert issubclass(class_of(status), APIStatusError)
    assert issubclass(class_of(status), errors.InternalServerError) == (status >= 500)


def test_errors_of_streams_have_the_status_of_the_servers_catalogue() -> None:
    from antiphon.core.errors import ApiError  # noqa: PLC0415 - the server is no part of the SDK

    for kind in ApiError.__subclasses__():
        if kind.__module__ == ApiError.__module__:
            assert status_of(kind.type) == kind.status


def test_class_of_a_program_is_not_raised() -> None:
    class Mine(antiphon.InternalServerError):
        """A class that a program derives, for errors of its own."""

    assert class_of(500) is antiphon.InternalServerError
    assert Mine.__name__ == "Mine"


def test_error_has_the_answer_that_it_was() -> None:
    error = status_error(429, Headers([("retry-after", "2")]), b'{"error": {"type": "x"}}')
    assert (error.response.status_code, error.response.headers["Retry-After"]) == (429, "2")
    assert error.response.json() == {"error": {"type": "x"}}
    assert status_error(502, Headers(), b"<html>").response.text == "<html>"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - what is pickled here
    assert copy.response.json() == error.response.json()
