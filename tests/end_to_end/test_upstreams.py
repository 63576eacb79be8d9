"""Antiphon in front of real Antiphons over HTTP: fallback, and thinking that comes back."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.processes import KEY, Program, serving
from support.upstreams import fake_upstream

pytestmark = pytest.mark.anyio

SCRIPT = """
engine = "scripted"
[scripted]
text = "{text}"
context_tokens = 100000
[[scripted.replies]]
when = "Think"
thinking = "Deep thoughts."
text = "{text}"
"""


@pytest.fixture
def upstreams(tmp_path: Path) -> Iterator[list[Program]]:
    """Two programs that say who they are."""
    with ExitStack() as stack:
        programs = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "antiphon.toml").write_text(SCRIPT.format(text=name), encoding="utf-8")
            settings = {"ANTIPHON_API_KEY": KEY}
            programs.append(stack.enter_context(serving(folder, environ=settings)))
        yield programs


def engine(program: Program, **more: Any) -> dict[str, Any]:
    options = {"url": program.url, "api_key": KEY, "model": "scripted", "context_tokens": 90_000}
    return {"engine": "messages_api", "options": {**options, "thinking": True}, **more}


def said(answer: Any) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json["content"][-1]["text"])


async def test_no_request_is_lost_when_one_of_two_upstreams_dies(gateway, upstreams) -> None:
    client = await gateway(
        {"id": "both", "aliases": ["*"], "engines": list(map(engine, upstreams))}
    )
    before = Counter([said(await client.create()) for _ in range(10)])
    assert before == {"one": 5, "two": 5}
    # Connections to it are open and kept, and a request in one of them is lost with it.
    await asyncio.to_thread(upstreams[0].stop, signal.SIGKILL)
    answers = await asyncio.gather(*(client.create(stream=bool(n % 2)) for n in range(40)))
    for answer in answers:
        assert answer.status == 200
        assert b"two" in answer.body
        assert b"error" not in answer.body
    after = Counter([said(await client.create()) for _ in range(10)])
    assert after == {"two": 10}
    counted = await client.post(
        "/v1/messages/count_tokens",
        {"model": "x", "messages": [{"role": "user", "content": "Hi"}]},
    )
    usage = (await client.create()).json["usage"]
    assert counted.json["input_tokens"] == usage["input_tokens"] > 0
    await asyncio.to_thread(upstreams[1].stop)
    answer = await client.create()
    assert answer.error[:2] == (529, "overloaded_error")


@pytest.mark.covers("blocks of a request: thinking", "effect")
async def test_thinking_goes_back_with_the_signature_of_whom_it_came_from(
    gateway, upstreams
) -> None:
    client = await gateway(
        {"id": "first", **engine(upstreams[0])}, {"id": "second", **engine(upstreams[1])}
    )
    asked = [{"role": "user", "content": "Think"}]
    thinking = {"type": "adaptive"}
    first = await client.create(model="first", messages=asked, thinking=thinking)
    thought = first.json["content"][0]
    assert (thought["type"], thought["thinking"]) == ("thinking", "Deep thoughts.")
    again = [
        *asked,
        {"role": "assistant", "content": first.json["content"]},
        {"role": "user", "content": "Think again"},
    ]
    # The upstream checks its signature; and the other one must not be shown it.
    for model, text in (("first", "one"), ("second", "two")):
        assert said(await client.create(model=model, messages=again, thinking=thinking)) == text
    forged = {**thought, "thinking": "Other thoughts."}
    again[1] = {"role": "assistant", "content": [forged]}
    refused = await client.create(model="first", messages=again, thinking=thinking)
    assert refused.error[:2] == (400, "invalid_request_error")
    assert "cannot be modified" in refused.error[2]


def events(*said: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in said)


SIGNED = events(
    {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 7, "cache_read_input_tokens": 3}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "S"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "redacted_thinking", "data": "D"},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
)


@pytest.mark.covers("blocks of a request: redacted_thinking", "effect")
@pytest.mark.covers("usage: cache_read_input_tokens", "effect")
async def test_an_upstream_gets_its_own_signatures_and_no_others(gateway) -> None:
    async with fake_upstream() as upstream:
        options = {"url": upstream.url, "model": "m", "context_tokens": 90_000, "thinking": True}
        client = await gateway({"id": "m", "engine": "messages_api", "options": options})
        upstream.streams(SIGNED)
        asked = [{"role": "user", "content": "Hi"}]
        thinking = {"type": "adaptive"}
        first = (await client.create(model="m", messages=asked, thinking=thinking)).json
        assert first["usage"]["input_tokens"] == 7
        assert first["usage"]["cache_read_input_tokens"] == 3
        content = [*first["content"], {"type": "text", "text": "So"}]
        assert "S" not in {block.get("signature") for block in content}
        again = [*asked, {"role": "assistant", "content": content}, *asked]
        assert (await client.create(model="m", messages=again)).status == 200
        assert upstream.asked[-1][2]["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "Hm", "signature": "S"},
            {"type": "redacted_thinking", "data": "D"},
            {"type": "text", "text": "So"},
        ]


async def test_retry_after_of_an_overloaded_upstream_reaches_the_caller(gateway) -> None:
    async with fake_upstream() as upstream:
        options = {"url": upstream.url, "model": "m", "context_tokens": 90_000}
        client = await gateway({"id": "m", "engine": "messages_api", "options": options})

        async def script(_: web.Request) -> web.Response:
            return web.Response(status=429, headers={"retry-after": "7"})

        upstream.script = script
        answer = await client.create(model="m")
        assert answer.error[:2] == (529, "overloaded_error")
        assert answer.headers["retry-after"] == "7"
