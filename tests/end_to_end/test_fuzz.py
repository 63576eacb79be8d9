"""Thousands of requests, from valid to absurd: each is answered, in a shape that the wire knows."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import ASGIApp

from antiphon.logs import set_up_logs
from antiphon.server.app import build_app
from support.asgi import Answer, Call
from support.fuzz_requests import (
    LARGEST_BODY,
    Request,
    description,
    request_number,
    simplifications,
)
from support.logs import reset_logs
from support.processes import Program

BATCH = 100
PATIENCE_S = 20.0
TYPES = {
    **dict.fromkeys((400, 405, 431), "invalid_request_error"),
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}
# What msgspec, zlib and Python say of what they do not like.
FOREIGN = re.compile(r" - at `\$|Expected `|Object (?:missing|contains)|zlib|Error -\d| at 0x")


async def answered(app: ASGIApp, request: Request) -> Answer:
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "query_string": request.query,
        "headers": list(request.headers),
    }
    call = Call(app, scope, list(request.chunks))
    try:
        return await asyncio.wait_for(call.task, PATIENCE_S)
    finally:
        call.hang_up()


def complaint(request: Request, answer: Answer) -> str | None:
    """What is wrong with an answer, in words that are the same for the same defect."""
    kind = answer.headers.get("content-type", "none").partition(";")[0]
    wrong = {
        "no answer": not answer.status,
        f"{answer.status}, and then no end": not answer.whole,
        f"{answer.status} without a request-id": not answer.headers.get(
            "request-id", ""
        ).startswith("req_"),
        f"{answer.status}": answer.status >= 500,
        "204 with a body": answer.status == 204 and answer.body,
    }
    for words, so in wrong.items():
        if so:
            return words
    if answer.status == 204:
        return None
    if kind == "text/event-stream":
        return complaint_of_stream(answer)
    return (
        complaint_of_json(request, answer)
        if kind == "application/json"
        else f"{answer.status} as {kind}"
    )


def complaint_of_stream(answer: Answer) -> str | None:
    names = [frame.event for frame in answer.frames]
    if answer.status != 200 or names[:1] != ["message_start"] or "error" in names:
        return f"{answer.status} with a stream that breaks"
    return None if names[-1] == "message_stop" else "a stream without an end"


def complaint_of_json(request: Request, answer: Answer) -> str | None:
    try:
        body = answer.json
    except ValueError:
        # The status of HEAD is that of GET, and so may its body be left out.
        return None if request.method == "HEAD" else f"{answer.status} that is not JSON"
    if answer.status != 200:
        return complaint_of_error(answer, body)
    shapes = ({"input_tokens"}, {"type", "id"}, {"data", "has_more"}, {"status"})
    return None if any(shape <= set(body) for shape in shapes) else "200 of no known shape"


def complaint_of_error(answer: Answer, body: Any) -> str | None:
    error = body.get("error", {})
    wrong = {
        "without the envelope": list(body) != ["type", "error", "request_id"],
        "that is no error": body.get("type") != "error",
        "with another request's id": body.get("request_id") != answer.headers["request-id"],
        "without its type, message and details": list(error) != ["type", "message", "details"],
        "of another type": error.get("type") != TYPES.get(answer.status),
        "that says nothing": not isinstance(error.get("message"), str) or not error["message"],
        "in the words of a library": bool(FOREIGN.search(str(error.get("message")))),
        "with details that have no code": error.get("details") is not None
        and not error["details"].get("error_code"),
        "that may not say whether to retry": answer.headers.get("x-should-retry")
        != ("true" if answer.status >= 500 else "false"),
    }
    return next((f"{answer.status} {words}" for words, so in wrong.items() if so), None)


async def checked(app: ASGIApp, request: Request) -> str | None:
    try:
        return complaint(request, await answered(app, request))
    except Exception as error:  # noqa: BLE001 - what the application lets through is a finding
        return f"raised {type(error).__name__}: {error}"[:120]


@pytest.fixture
async def app(platform: Any) -> AsyncGenerator[ASGIApp]:
    set_up_logs("error", "json")
    yield build_app(await platform({"max_body_bytes": LARGEST_BODY}))
    reset_logs()


async def smallest(app: ASGIApp, request: Request, wrong: str) -> Request:
    """Take away what can be taken away while the same thing stays wrong."""
    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in simplifications(request):
            if smaller.size < request.size and await checked(app, smaller) == wrong:
                request, shrinking = smaller, True
                break
    return request


@pytest.mark.anyio
@pytest.mark.parametrize("number", [3_000, pytest.param(12_000, marks=pytest.mark.soak)])
async def test_every_request_is_answered_in_a_shape_of_the_wire(app: ASGIApp, number: int) -> None:
    wrong: dict[str, list[Request]] = {}
    for first in range(0, number, BATCH):
        requests = [request_number(one) for one in range(first, first + BATCH)]
        verdicts = await asyncio.gather(*(checked(app, request) for request in requests))
        for request, verdict in zip(requests, verdicts, strict=True):
            if verdict is not None:
                wrong.setdefault(verdict, []).append(request)
    report = []
    for verdict, requests in wrong.items():
        request = await smallest(app, min(requests, key=lambda one: one.size), verdict)
        report.append(f"{verdict} ({len(requests)} times): {description(request)}")
    assert not report, "\n".join(report)


@pytest.mark.anyio
async def test_fuzz_requests_get_answers_of_all_kinds(app: ASGIApp) -> None:
    """A fuzz whose every request fails at the door tells nothing."""
    statuses: dict[int, int] = {}
    for number in range(500):
        answer = await answered(app, request_number(number))
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    assert statuses[200] > 25
    assert statuses[400] > 100
    assert {200, 400, 401, 404, 405} <= set(statuses)


NOT_HTTP = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "another version": b"GET /health HTTP/9.9\r\nhost: x\r\n\r\n",
    "another method": b"BREW /health HTTP/1.1\r\nhost: x\r\n\r\n",
    "two lengths": b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n"
    b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "a long path": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header with a zero": b"GET /health HTTP/1.1\r\nhost: x\r\nx: \0\r\n\r\n",
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
def test_bytes_that_are_not_http_are_refused_in_the_envelope(scripted: Program, raw: bytes) -> None:
    host, _, port = scripted.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as caller:
        caller.sendall(raw)
        answer = caller.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nrequest-id: req_" in head.lower()
    assert json.loads(body)["type"] == "error"
