"""The attribution header of Claude Code, on its way to an engine."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from antiphon.engines.base import EngineEvent, Prompt
from antiphon.engines.scripted import ScriptedEngine, ScriptedOptions
from antiphon.service.access import RequestContext
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from support.asgi import HELLO, KEY
from support.organization import StartPlatform

pytestmark = pytest.mark.anyio

HEADER = "x-anthropic-billing-header: cc_version=2.1.330.003; cc_entrypoint=cli; cch={};"


class RecordingEngine(ScriptedEngine):
    """Answers as a scripted engine, and keeps the first text of each prompt."""

    def __init__(self) -> None:
        super().__init__(ScriptedOptions())
        self.counted: set[str] = set()
        self.answered: set[str] = set()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        self.answered.add(prompt.turns[0].texts[0])
        async for event in super().generate(prompt):
            yield event

    async def count_tokens(self, prompt: Prompt) -> int:
        self.counted.add(prompt.turns[0].texts[0])
        return await super().count_tokens(prompt)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, {"00000"}),
        ({"normalize_attribution": True}, {"00000"}),
        ({"normalize_attribution": False}, {"1a2b3", "f00d5"}),
    ],
)
async def test_conversations_share_their_header_unless_the_setting_says_no(
    platform: StartPlatform, settings: dict[str, Any], values: set[str]
) -> None:
    engine = RecordingEngine()

    async def opened(*_: object) -> RecordingEngine:
        return engine

    started = await platform(settings, open_engine=opened)
    caller = await started.access.authenticate(KEY, None, None)
    for number, value in enumerate(("1a2b3", "f00d5")):
        context = RequestContext(caller, f"req_{number}", "2023-06-01")
        body = {**HELLO, "system": [{"type": "text", "text": HEADER.format(value)}]}
        counted = {name: body[name] for name in ("model", "messages", "system")}
        params = msgspec.convert(counted, CountTokensParams)
        await started.messages.count_tokens(params, context)
        async with started.messages.answer(
            msgspec.convert(body, CreateMessageParams), context
        ) as answer:
            await answer.message()
    assert engine.counted == engine.answered == {HEADER.format(value) for value in values}
