"""Every answer of a running server has all that the official SDK's types say, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import httpx2
import pytest
from anthropic import types
from anthropic.pagination import SyncPage, SyncPageCursor
from anthropic.types.file_not_downloadable_error_details import (
    FileNotDownloadableErrorDetails,
)
from anthropic.types.shared import ErrorObject, ErrorResponse
from pydantic import BaseModel

from antiphon.wire.sse import FrameDecoder
from support.processes import KEY, serving
from support.published import Published

HEADERS = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
TOOL = {"name": "get_weather", "input_schema": {"type": "object"}}
# Only where a request asks for a speed, and only for the tools of a toolset.
RARE = frozenset({"Usage.speed", "ToolUseBlock.toolset_name"})
# What has been said at the start of a stream, or has nothing to say there.
LATER = frozenset({"TextBlock.citations", "Delta.container", "MessageDeltaUsage.server_tool_use"})
# In every error of the API, and in the SDK a property of what it raises.
DETAILS = frozenset(f"{kind.__name__}.details" for kind in get_args(get_args(ErrorObject)[0]))

ANSWER = Published(absent=RARE)
EVENT = Published(absent=RARE | LATER, beyond=DETAILS)
ERROR = Published(absent=frozenset(), beyond=DETAILS)
CONFIG = """
engine = "scripted"
scripted.text = "One two three END four five."
[[scripted.replies]]
when = "call"
text = "I look."
tool_calls = [{ name = "get_weather", input = { city = "Oslo" } }]
[[scripted.replies]]
when = "think"
thinking = "Is it so? It is."
[[scripted.replies]]
when = "break off"
error = "overloaded"
after = 2
"""


def asked(text: str = "Hi", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "claude-x", "max_tokens": 2000, "messages": messages, **more}


ANSWERS: dict[str, dict[str, Any]] = {
    "end_turn": asked(),
    "max_tokens": asked(max_tokens=2),
    "nothing": asked(max_tokens=0),
    "stop_sequence": asked(stop_sequences=["END"]),
    "tool_use": asked("call", tools=[TOOL]),
    "thinking": asked("think", thinking={"type": "adaptive"}),
    "omitted": asked("think", thinking={"type": "adaptive", "display": "omitted"}),
    "a format": asked(
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            }
        }
    ),
    "diagnostics": asked(diagnostics={"previous_message_id": None}),
}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "antiphon.toml").write_text(CONFIG, encoding="utf-8")
    with (
        serving(folder, environ={"ANTIPHON_API_KEY": KEY}) as program,
        httpx2.Client(base_url=program.url, headers=HEADERS) as client,
    ):
        yield client


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_a_message_is_complete(caller: httpx2.Client, body: dict[str, Any]) -> None:
    answer = caller.post("/v1/messages", json=body)
    assert answer.status_code == 200
    assert ANSWER.complaints(types.Message, answer.content) == []


EVENTS: dict[str, type[BaseModel]] = {
    "message_start": types.RawMessageStartEvent,
    "content_block_start": types.RawContentBlockStartEvent,
    "content_block_delta": types.RawContentBlockDeltaEvent,
    "content_block_stop": types.RawContentBlockStopEvent,
    "message_delta": types.RawMessageDeltaEvent,
    "message_stop": types.RawMessageStopEvent,
    "error": ErrorResponse,
}


def complaints_of_stream(raw: bytes) -> tuple[list[str], list[str]]:
    """What the events are, and what is wrong with them."""
    frames = list(FrameDecoder().feed(raw))
    wrong = [
        complaint
        for frame in frames
        if frame.event in EVENTS
        for complaint in EVENT.complaints(EVENTS[frame.event], frame.data)
    ]
    return [frame.event or "" for frame in frames], wrong


@pytest.mark.parametrize(
    "body",
    [body for body in ANSWERS.values() if body["max_tokens"]],
    ids=[name for name, body in ANSWERS.items() if body["max_tokens"]],
)
def test_every_event_is_complete(caller: httpx2.Client, body: dict[str, Any]) -> None:
    answer = caller.post("/v1/messages", json={**body, "stream": True})
    names, wrong = complaints_of_stream(answer.content)
    assert wrong == []
    assert set(names) == EVENTS.keys() - {"error"} | {"ping"}


def test_an_error_in_a_stream_is_complete(caller: httpx2.Client) -> None:
    answer = caller.post("/v1/messages", json=asked("break off", stream=True))
    names, wrong = complaints_of_stream(answer.content)
    assert (names[-1], wrong) == ("error", [])


def test_ping_has_only_its_type(caller: httpx2.Client) -> None:
    frames = FrameDecoder().feed(caller.post("/v1/messages", json=asked(stream=True)).content)
    assert [json.loads(one.data) for one in frames if one.event == "ping"] == [{"type": "ping"}]


def test_a_token_count_is_complete(caller: httpx2.Client) -> None:
    body = asked()
    del body["max_tokens"]
    answer = caller.post("/v1/messages/count_tokens", json=body)
    assert ANSWER.complaints(types.MessageTokensCount, answer.content) == []


def test_models_are_complete(caller: httpx2.Client) -> None:
    listing = caller.get("/v1/models")
    (model,) = listing.json()["data"]
    assert ANSWER.complaints(SyncPage[types.ModelInfo], listing.content) == []
    assert caller.get(f"/v1/models/{model['id']}").json() == model


def test_files_are_complete(caller: httpx2.Client) -> None:
    file = caller.post("/v1/files", files={"file": ("a.txt", b"x", "text/plain")})
    assert ANSWER.complaints(types.FileMetadata, file.content) == []
    listing = caller.get("/v1/files")
    assert ANSWER.complaints(SyncPageCursor[types.FileMetadata], listing.content) == []
    path = f"/v1/files/{file.json()['id']}"
    refused = caller.get(f"{path}/content")
    assert FileNotDownloadableErrorDetails.model_validate(refused.json()["error"]["details"])
    assert ERROR.complaints(ErrorResponse, refused.content) == []
    assert ANSWER.complaints(types.DeletedFile, caller.delete(path).content) == []


ERRORS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "no key": ("POST", "/v1/messages", {"headers": {"x-api-key": ""}}, 401),
    "not found": ("POST", "/v1/messages", {"json": {**asked(), "model": "gpt-1"}}, 404),
    "no path": ("GET", "/v1/nothing", {}, 404),
    "no method": ("PUT", "/v1/messages", {}, 405),
    "no JSON": ("POST", "/v1/messages", {"content": b"{"}, 400),
    "a code": ("POST", "/v1/messages", {"headers": {"content-encoding": "br"}}, 400),
    "overloaded": ("POST", "/v1/messages", {"json": asked("break off")}, 529),
}


@pytest.mark.parametrize(("method", "path", "more", "status"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_complete(
    caller: httpx2.Client, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    answer = caller.request(method, path, **more)
    assert answer.status_code == status
    assert ERROR.complaints(ErrorResponse, answer.content) == []


def test_comparison_finds_missing_wrong_and_additional_fields(caller: httpx2.Client) -> None:
    whole = caller.post("/v1/messages", json=ANSWERS["tool_use"]).json()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"id": None}, "id"),
        ({"usage": {**whole["usage"], "input_tokens": "5"}}, "usage.input_tokens"),
        ({"stop_reason": "bored"}, "stop_reason"),
        ({"more": 1}, ".more is not published"),
        ({"content": [{"type": "text", "text": "x"}]}, ".content.0.citations is missing"),
    ]
    for change, place in changes:
        (said,) = ANSWER.complaints(types.Message, json.dumps({**whole, **change}))
        assert said.startswith(place)
    for key in whole.keys() - {"type"}:
        less = {name: value for name, value in whole.items() if name != key}
        assert ANSWER.complaints(types.Message, json.dumps(less))
