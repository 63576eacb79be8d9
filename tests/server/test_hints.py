"""Hints of a client reach the engine, and change nothing that the client sees."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from antiphon.core.hints import NO_HINTS, Hints, ToolDuration
from antiphon.engines.base import Engine, EngineConfig, EngineEvent, Prompt
from antiphon.engines.registry import open_engine
from antiphon.server.app import build_app
from antiphon.service.platform import Platform
from support.asgi import HELLO, Client

pytestmark = pytest.mark.anyio

PLAIN = {"type": "text", "media_type": "text/plain", "data": "Plain."}
WITH_DOCUMENT = {
    **HELLO,
    "messages": [{"role": "user", "content": [{"type": "document", "source": PLAIN}]}],
}


class WatchedEngine:
    """An engine, and the prompts that it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.prompts: list[Prompt] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        self.prompts.append(prompt)
        return self._engine.generate(prompt)


@pytest.mark.parametrize("body", [HELLO, WITH_DOCUMENT])
async def test_hints_reach_the_engine_and_leave_the_answer_as_it_is(
    platform: Callable[..., Awaitable[Platform]], body: dict[str, Any]
) -> None:
    engines: list[WatchedEngine] = []

    async def watched(name: str, config: EngineConfig) -> Any:
        engines.append(WatchedEngine(await open_engine(name, config)))
        return engines[-1]

    client = Client(build_app(await platform(open_engine=watched)))
    sent = {
        "x-claude-code-request-class": "subagent",
        "x-claude-code-agent-type": "fork",
        "x-claude-code-context-compacted": "1",
        "x-claude-code-session-id": "s1",
        "x-claude-code-prev-tool-durations": "Bash=742;Read=9",
    }
    hinted = await client.post("/v1/messages", body, **sent)
    wrong = await client.post("/v1/messages", body, x_claude_code_request_class="main, main")
    plain = await client.post("/v1/messages", body)
    assert [prompt.hints for prompt in engines[0].prompts] == [
        Hints(
            request_class="subagent",
            agent_type="fork",
            was_compacted=True,
            session_id="s1",
            tool_durations=(ToolDuration("Bash", 742), ToolDuration("Read", 9)),
        ),
        NO_HINTS,
        NO_HINTS,
    ]
    for answer in (hinted, wrong, plain):
        assert answer.status == 200
        assert (answer.json["content"], answer.json["usage"]) == (
            plain.json["content"],
            plain.json["usage"],
        )
