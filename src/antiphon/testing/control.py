"""Scripts a server for tests by HTTP, for programs in other languages.

Every path begins with `/testing/`, and wants the API key as every other one does. Nothing of it is
recorded, limited or scripted.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from antiphon.testing.answers import Answer, StopReason, ToolCall
from antiphon.testing.failures import ERRORS, Failure, connection_lost, raw
from antiphon.testing.instance import Server
from antiphon.testing.requests import RecordedRequest
from antiphon.testing.script import MESSAGES

PREFIX: Final = "/testing/"

_Times = Annotated[int, Meta(ge=1)] | None
_Seconds = Annotated[float, Meta(ge=0)]


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """A call of a tool."""

    name: str
    input: dict[str, Any] = {}


class AnswerParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An answer of the model: see `Answer`. `when` and `times` are as in `Server.answers`."""

    text: str = ""
    thinking: str = ""
    tool_calls: list[Call] = []
    stop_reason: StopReason = "end_turn"
    category: str | None = None
    explanation: str | None = None
    delay: _Seconds = 0.0
    tokens_per_second: _Seconds = 0.0
    pings: Annotated[int, Meta(ge=0)] = 0
    when: str | None = None
    times: _Times = 1

    def answer(self) -> Answer:
        return Answer(
            thinking=self.thinking,
            text=self.text,
            tool_calls=tuple(ToolCall(one.name, one.input) for one in self.tool_calls),
            stop_reason=self.stop_reason,
            category=self.category,
            explanation=self.explanation,
            delay=self.delay,
            tokens_per_second=self.tokens_per_second,
            pings=self.pings,
        )


class FailureParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A failure: a type of error of the API, `connection_lost`, or `raw` with a `body`."""

    type: str
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    message: str | None = None
    headers: dict[str, str] = {}
    retry_after: _Seconds | None = None
    after: str | None = None
    delay: _Seconds = 0.0
    body: str | None = None
    content_type: str = "text/html"
    when: str | None = None
    times: _Times = 1
    path: str = MESSAGES
    method: str | None = None

    def failure(self) -> Failure:
        """Return the failure. Raises `ValueError` for an unknown type."""
        if self.type == "connection_lost":
            return connection_lost(after=self.after, delay=self.delay)
        if self.type == "raw":
            page = raw(delay=self.delay)
            return raw(
                page.status if self.status is None else self.status,
                page.body if self.body is None else self.body,
                content_type=self.content_type,
                headers=self.headers,
                delay=self.delay,
            )
        if self.type not in ERRORS:
            known = ", ".join([*ERRORS, "connection_lost", "raw"])
            raise ValueError(f"type: no failure is called {self.type[:80]!r}: {known}")
        return ERRORS[self.type](
            self.message,
            status=self.status,
            retry_after=self.retry_after,
            headers=self.headers,
            after=self.after,
            delay=self.delay,
        )


class LimitParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Limits of the organization; `null` removes one, what is not there stays."""

    requests_per_minute: int | UnsetType | None = UNSET
    input_tokens_per_minute: int | UnsetType | None = UNSET
    output_tokens_per_minute: int | UnsetType | None = UNSET


class HttpControl:
    """Answers the requests below `PREFIX`. `server` is known once it has been made."""

    def __init__(self) -> None:
        self.server: Server | None = None

    def answers(self, request: RecordedRequest) -> bool:
        return request.path.startswith(PREFIX)

    async def answer(self, request: RecordedRequest, key: str | None) -> tuple[int, bytes]:
        """Return the status and the JSON of the answer. `key` is what the request has as key."""
        server = self.server
        if server is None or key is None or not compare_digest(key.encode(), server.key.encode()):
            return _refused(401, "authentication_error", "invalid x-api-key")
        does = _DEEDS.get((request.method, request.path.removeprefix(PREFIX)))
        if does is None:
            known = ", ".join(f"{method} {PREFIX}{name}" for method, name in _DEEDS)
            return _refused(404, "not_found_error", f"Not found. There is {known}")
        try:
            return 200, msgspec.json.encode(await does(server, request.content))
        except (ValueError, msgspec.DecodeError) as error:
            return _refused(400, "invalid_request_error", str(error))


def _refused(status: int, kind: str, message: str) -> tuple[int, bytes]:
    told = {"type": "error", "error": {"type": kind, "message": message}}
    return status, msgspec.json.encode(told)


async def _add_answers(server: Server, body: bytes) -> object:
    found = msgspec.json.decode(body, type=AnswerParams | list[AnswerParams])
    for one in found if isinstance(found, list) else [found]:
        server.answers(one.answer(), when=one.when, times=one.times)
    return {"unused": server.unused}


async def _add_failures(server: Server, body: bytes) -> object:
    found = msgspec.json.decode(body, type=FailureParams | list[FailureParams])
    for one in found if isinstance(found, list) else [found]:
        server.fails(
            one.failure(), when=one.when, times=one.times, path=one.path, method=one.method
        )
    return {"unused": server.unused}


async def _set_limits(server: Server, body: bytes) -> object:
    found = msgspec.json.decode(body, type=LimitParams)
    given: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(found).items() if value is not UNSET
    }
    await server.set_limits(given)
    return given


async def _tell_requests(server: Server, body: bytes) -> object:
    del body
    return [
        {
            "method": one.method,
            "path": one.path,
            "query": one.query,
            "headers": one.headers,
            "body": _json(one.body),
            "status": one.status,
            "request_id": one.request_id,
            "usage": one.usage,
            "answer": _json(one.answer),
            "left": one.left.is_set(),
        }
        for one in server.requests
    ]


async def _tell_unused(server: Server, body: bytes) -> object:
    del body
    return {"unused": server.unused}


async def _reset(server: Server, body: bytes) -> object:
    del body
    server.reset()
    return {}


def _json(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


_DEEDS: Final[dict[tuple[str, str], Callable[[Server, bytes], Any]]] = {
    ("POST", "answers"): _add_answers,
    ("POST", "failures"): _add_failures,
    ("POST", "limits"): _set_limits,
    ("GET", "requests"): _tell_requests,
    ("GET", "unused"): _tell_unused,
    ("POST", "reset"): _reset,
}
