"""What `/v1/models` claims, each claim driven: nothing is claimed that is refused."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.engines.base import Engine
from antiphon.engines.scripted import ScriptedEngine, ScriptedOptions, ScriptedReply
from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import ModelSettings, Settings
from support.asgi import KEY, Answer, Client
from support.pdf import pdf

pytestmark = pytest.mark.anyio

GRASS = "The grass is green."
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
CAN_ALL: dict[str, Any] = {
    "structured_outputs": True,
    "thinking": True,
    "images": True,
    "efforts": ("low", "medium", "high", "xhigh", "max"),
}
CAN_NOTHING: dict[str, Any] = {
    "structured_outputs": False,
    "thinking": False,
    "images": False,
    "efforts": (),
    "tools": False,
    "forced_tools": False,
}
ENGINES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "can all": CAN_ALL,
    "can nothing": CAN_NOTHING,
    "has two efforts": {"efforts": ("low", "high")},
    **{f"only {name}": {**CAN_NOTHING, name: can} for name, can in CAN_ALL.items()},
}

StartWith = Callable[[dict[str, Any]], Awaitable[Client]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[StartWith]:
    """Makes clients of an application over a scripted engine that can do more, or less."""
    async with AsyncExitStack() as stack:

        async def start(can: dict[str, Any]) -> Client:
            async def opened(*_: object) -> Engine:
                reply = ScriptedReply(text=GRASS, thinking="So.")
                engine = ScriptedEngine(ScriptedOptions(replies=(reply,)))
                engine.capabilities = replace(engine.capabilities, **can)
                return engine

            settings = Settings.load({"data_dir": tmp_path, "api_key": KEY}, environ={})
            source = ModelSource(ModelSettings(id="m", engine="scripted", aliases=("claude-*",)))
            platform = await stack.enter_async_context(
                build_platform(settings, [source], open_engine=opened)
            )
            await platform.models.open()
            return Client(build_app(platform))

        yield start


def asked(*blocks: dict[str, Any]) -> dict[str, Any]:
    content = [*blocks, {"type": "text", "text": "What is green?"}]
    return {"messages": [{"role": "user", "content": content}]}


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return asked({"type": "document", "source": source, **fields})


def with_tool(**tool: Any) -> dict[str, Any]:
    return {"tools": [tool]}


def with_edit(kind: str) -> dict[str, Any]:
    return {"context_management": {"edits": [{"type": kind}]}}


TEXT = {"type": "text", "media_type": "text/plain", "data": GRASS}
CODE = with_tool(type="code_execution_20250825", name="code_execution")
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
# A request for each thing that can be claimed.
DRIVEN: dict[str, dict[str, Any]] = {
    "citations": document(TEXT, citations={"enabled": True}),
    "code_execution": CODE,
    "image_input": asked(
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
        }
    ),
    "pdf_input": document(
        {"type": "base64", "media_type": "application/pdf", "data": pdf([GRASS])}
    ),
    "structured_outputs": FORMAT,
    "context_management.clear_thinking_20251015": with_edit("clear_thinking_20251015"),
    "context_management.clear_tool_uses_20250919": with_edit("clear_tool_uses_20250919"),
    "context_management.compact_20260112": with_edit("compact_20260112"),
    **{
        f"effort.{level}": {"output_config": {"effort": level}}
        for level in ("low", "medium", "high", "max", "xhigh")
    },
    "thinking.types.adaptive": {"thinking": {"type": "adaptive"}},
    "thinking.types.between_tools": {"thinking": {"type": "between_tools"}},
    "thinking.types.disabled": {"thinking": {"type": "disabled"}},
    "thinking.types.enabled": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "server_tools.web_search": with_tool(type="web_search_20250305", name="web_search"),
    "server_tools.code_execution": CODE,
}
# Clients send these to every model, so they are taken, and mean nothing.
IGNORED = ("context_management.", "effort.", "thinking.types.adaptive")


def claims(capabilities: dict[str, Any], where: str = "") -> Iterator[tuple[str, bool]]:
    """The leaves of what a model is listed with. `null` claims nothing."""
    for name, value in capabilities.items():
        inner = {} if value is None else {k: v for k, v in value.items() if k != "supported"}
        if inner:
            below = dict(claims(inner, f"{where}{name}."))
            # What says nothing for itself is supported when something below is, beside "disabled".
            if "supported" in value:
                more = [path for path, can in below.items() if can and ".disabled" not in path]
                assert value["supported"] == bool(more)
            yield from below.items()
        else:
            yield f"{where}{name}", bool(value and value["supported"])


def thoughts(answer: Answer) -> list[str]:
    return [one["thinking"] for one in answer.json["content"] if one["type"] == "thinking"]


@pytest.mark.parametrize("can", ENGINES.values(), ids=ENGINES.keys())
async def test_model_serves_exactly_the_capabilities_that_it_claims(start: StartWith, can) -> None:
    client = await start(can)
    listed = dict(claims((await client.get("/v1/models/m")).json["capabilities"]))
    batch = await client.post("/v1/messages/batches", {"requests": []})
    assert listed.pop("batch") == (batch.status != 404)
    assert set(listed) == set(DRIVEN)
    plain = (await client.create(max_tokens=2000)).json["content"]
    for path, claimed in listed.items():
        answer = await client.create(max_tokens=2000, **DRIVEN[path])
        if claimed:
            assert answer.status == 200, (path, answer.body)
        elif path.startswith(IGNORED) or (path.endswith("web_search") and answer.status == 200):
            # A model that calls it is told that it is unavailable.
            assert (answer.status, answer.json["content"]) == (200, plain), path
        else:
            assert answer.error[:2] == (400, "invalid_request_error"), path


async def test_claimed_capabilities_have_their_effect(start: StartWith) -> None:
    client = await start(CAN_ALL)
    answers = {
        path: await client.create(max_tokens=2000, **DRIVEN[path])
        for path in ("citations", "pdf_input", "structured_outputs", *DRIVEN)
        if path.startswith(("citations", "pdf", "structured", "thinking.types.enabled"))
    }
    (cited,) = answers["citations"].json["content"]
    assert [one["cited_text"] for one in cited["citations"]] == [GRASS]
    (made,) = answers["structured_outputs"].json["content"]
    assert isinstance(json.loads(made["text"])["a"], int)
    assert thoughts(answers["thinking.types.enabled"]) == ["So."]
    plain = await client.create()
    read = answers["pdf_input"].json["usage"]["input_tokens"]
    assert read > plain.json["usage"]["input_tokens"] + len(GRASS.split())


async def test_disabled_thinking_yields_no_thinking_block(start: StartWith) -> None:
    client = await start(CAN_ALL)
    for kind, said in (("disabled", []), ("adaptive", ["So."])):
        answer = await client.create(**DRIVEN[f"thinking.types.{kind}"])
        assert thoughts(answer) == said
