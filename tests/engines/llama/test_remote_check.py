"""A server at a `url` that lacks what Antiphon needs is told at the start, with what to do."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web

from antiphon.engines.base import EngineConfig, EngineError, EngineStartError
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.remote_check import ANSWER, check_server, missing_events, missing_props
from antiphon.engines.llama.session import open_session
from antiphon.engines.llama.supervisor import RemoteServer
from support.logs import capture_logs
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

PROPS: Mapping[str, Any] = {
    "default_generation_settings": {"n_ctx": 4096},
    "total_slots": 2,
    "chat_template": "{{ messages }}",
    "bos_token": "",
    "eos_token": "<|im_end|>",
    "build_info": "b9000-0123abc",
}
PROGRESS: Mapping[str, Any] = {
    "content": "",
    "tokens": [],
    "tokens_predicted": 0,
    "stop": False,
    "prompt_progress": {"total": 4, "cache": 0, "processed": 4, "time_ms": 1},
}
PIECE: Mapping[str, Any] = {
    "content": ANSWER,
    "tokens": [7],
    "tokens_predicted": 1,
    "stop": False,
}
END: Mapping[str, Any] = {
    "content": "",
    "tokens": [],
    "tokens_predicted": 2,
    "stop": True,
    "stop_type": "eos",
}
# What ik_llama.cpp of August 2026 and llama.cpp before December 2024 stream, as far as it matters.
OLD_PIECE: Mapping[str, Any] = {"content": ANSWER, "stop": False, "id_slot": 0, "multimodal": False}
OLD_END: Mapping[str, Any] = {
    "content": "",
    "stop": True,
    "tokens_predicted": 2,
    "stopped_eos": True,
    "stopped_word": False,
    "stopped_limit": False,
}
ADVICE = (
    ". A `llama-server` of llama.cpp from 2026 on has all of it; for another server use "
    '`engine = "chat_completions"` (docs/how-to/put-antiphon-in-front-of-another-server.md).'
)


class StandIn:
    """Answers as a llama-server does, and lacks what a test says."""

    def __init__(self) -> None:
        self.props: Any = dict(PROPS)
        self.events: list[Mapping[str, Any]] = [PROGRESS, PIECE, END]
        self.routes = {"/props", "/tokenize", "/completion"}
        self.reads_control_tokens = False
        self.streams = True
        self.status = 200
        self.asked: list[Any] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path not in self.routes:
            return web.json_response({"error": {"message": "File Not Found"}}, status=404)
        if request.path == "/props":
            return web.json_response(self.props)
        body = await request.json()
        if request.path == "/tokenize":
            control = body["parse_special"] or self.reads_control_tokens
            marked = control and body["content"].startswith("<|")
            return web.json_response({"tokens": [2] if marked else [60, 124, 105]})
        self.asked.append(body)
        if not self.streams or self.status != 200:
            return web.json_response({"content": ANSWER, "stop": True}, status=self.status)
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in self.events)
        return web.Response(text=f"{lines}data: [DONE]\n\n", content_type="text/event-stream")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.fixture
def server(upstream: FakeUpstream) -> StandIn:
    stand_in = StandIn()
    upstream.script = stand_in.answer
    return stand_in


async def checked(upstream: FakeUpstream, **options: Any) -> None:
    url = upstream.url.replace("//", "//ada:secret@")
    async with open_session(None) as session:
        client = LlamaClient(RemoteServer(upstream.url), session)
        await check_server(client, "qwen", LlamaOptions(url=url, **options))


async def refusal(upstream: FakeUpstream, **options: Any) -> str:
    with pytest.raises(EngineStartError) as caught:
        await checked(upstream, **options)
    return str(caught.value)


async def test_server_that_has_all_is_asked_for_one_short_answer(
    upstream: FakeUpstream, server: StandIn
) -> None:
    await checked(upstream)
    (asked,) = server.asked
    assert (asked["prompt"], asked["n_predict"], asked["cache_prompt"]) == (
        [60, 124, 105],
        8,
        False,
    )
    assert asked["grammar"] == f'root ::= "{ANSWER}"'


def without(event: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


LACKING: Mapping[str, tuple[Callable[[StandIn], Any], str]] = {
    "props": (lambda one: one.routes.remove("/props"), "the route /props"),
    "tokenize": (lambda one: one.routes.remove("/tokenize"), "the route /tokenize"),
    "completion": (lambda one: one.routes.remove("/completion"), "the route /completion"),
    "context": (
        lambda one: one.props.update(default_generation_settings={}),
        "the size of its context (`n_ctx` in /props)",
    ),
    "template": (
        lambda one: one.props.pop("chat_template"),
        "the chat template of its model (`chat_template` in /props)",
    ),
    "control tokens": (
        lambda one: setattr(one, "reads_control_tokens", True),
        "text without control tokens (`parse_special` of /tokenize)",
    ),
    "streams": (lambda one: setattr(one, "streams", False), "streams (`stream` of /completion)"),
    "grammars": (
        lambda one: setattr(one, "events", [PROGRESS, {**PIECE, "content": "Sure"}, END]),
        "grammars (`grammar`)",
    ),
    "tokens": (
        lambda one: setattr(one, "events", [PROGRESS, without(PIECE, "tokens"), END]),
        "the tokens of an answer (`return_tokens`)",
    ),
    "counts": (
        lambda one: setattr(one, "events", [PROGRESS, without(PIECE, "tokens_predicted"), END]),
        "their number (`tokens_predicted`)",
    ),
    "progress": (
        lambda one: setattr(one, "events", [PIECE, END]),
        "how far a prompt is read, and from where (`return_progress`)",
    ),
    "end": (
        lambda one: setattr(one, "events", [PROGRESS, PIECE, without(END, "stop_type")]),
        "why an answer ends (`stop_type`)",
    ),
}


@pytest.mark.parametrize(("lack", "told"), LACKING.values(), ids=LACKING)
async def test_each_thing_that_a_server_lacks_is_told_with_what_to_do(
    upstream: FakeUpstream, server: StandIn, lack: Callable[[StandIn], Any], told: str
) -> None:
    lack(server)
    build = " (b9000-0123abc)" if "/props" in server.routes else ""
    address = upstream.url.removeprefix("http://")
    said = await refusal(upstream)
    assert said == f"Model `qwen`: the server at {address}{build} lacks {told}{ADVICE}"


async def test_fork_and_old_release_are_told_all_in_one_message(
    upstream: FakeUpstream, server: StandIn
) -> None:
    server.events = [OLD_PIECE, OLD_END]
    server.props["build_info"] = "<b>4000</b>"
    with pytest.raises(EngineStartError) as caught:
        await open_llama(EngineConfig("qwen", options={"url": upstream.url}))
    address = upstream.url.removeprefix("http://")
    assert str(caught.value) == (
        f"Model `qwen`: the server at {address} lacks the tokens of an answer (`return_tokens`), "
        "their number (`tokens_predicted`), how far a prompt is read, and from where "
        f"(`return_progress`), why an answer ends (`stop_type`){ADVICE}"
    )


async def test_server_that_is_none_of_llama_cpp_is_told_by_its_routes(
    upstream: FakeUpstream, server: StandIn
) -> None:
    server.routes.clear()
    assert "lacks the route /props, the route /tokenize. A " in await refusal(upstream)


async def test_template_of_a_file_needs_none_of_the_server(
    upstream: FakeUpstream, server: StandIn
) -> None:
    del server.props["chat_template"]
    await checked(upstream, chat_template="my.jinja")


async def test_model_without_control_tokens_has_none_to_tell(
    upstream: FakeUpstream, server: StandIn
) -> None:
    server.reads_control_tokens = True
    server.props["eos_token"] = ""
    await checked(upstream)


async def test_server_that_refuses_or_gives_up_is_told_with_its_words(
    upstream: FakeUpstream, server: StandIn
) -> None:
    server.events = [{"error": {"code": 500, "message": "out of memory"}}]
    with pytest.raises(EngineError, match="out of memory"):
        await checked(upstream)
    server.status = 503
    with pytest.raises(EngineError, match="status 503"):
        await checked(upstream)


async def test_busy_server_is_used_and_what_was_not_tried_is_logged(
    upstream: FakeUpstream, server: StandIn
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/completion":
            response = web.StreamResponse()
            await response.prepare(request)
            await upstream.gone.wait()
        return await server.answer(request)

    upstream.script = answer
    async with open_session(None) as session:
        client = LlamaClient(RemoteServer(upstream.url), session)
        with capture_logs() as logs:
            await check_server(client, "qwen", LlamaOptions(url=upstream.url), patience_s=0.05)
    (line,) = logs
    assert (line["event"], line["model"]) == (
        "what a server can do was not tried: it is busy",
        "qwen",
    )


def test_properties_and_events_of_llama_cpp_lack_nothing() -> None:
    assert missing_props(dict(PROPS), with_template=True) == []
    assert missing_events([PROGRESS, PIECE, END]) == []
