"""What callers were told and what the ledger says are the same, whatever happens to the answers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from antiphon.core.billing.usage import TokenCounts
from antiphon.engines.base import Capabilities, Engine, EngineConfig, EngineEvent, Prompt
from antiphon.engines.registry import open_engine
from antiphon.engines.scripted_prompt import tokens
from antiphon.settings import PriceSettings
from support.asgi import HELLO, Answer, Call
from support.organization import Organization, Recorded, StartOrganization

pytestmark = pytest.mark.anyio

REQUESTS = 120
WORDS = "one two three four five six seven eight nine ten " * 3
TOOL = {
    "name": "look",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}},
}
REPLIES = [
    {"when": "fail at once", "error": "failed"},
    {"when": "be overloaded", "error": "overloaded"},
    {"when": "break off", "text": WORDS, "error": "failed", "after": 7},
    {"when": "think", "text": WORDS, "thinking": "well " * 20},
    {"when": "call", "text": "So.", "tool_calls": [{"name": "look", "input": {"place": "here"}}]},
    {"when": "be long", "text": WORDS * 4},
]
# Those that are no requests at all.
INVALID: list[dict[str, Any]] = [{"max_tokens": -1}, {"model": "unknown"}, {"messages": []}]


class CountingEngine:
    """An engine, and what it has said in answer to each question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.said: Counter[str] = Counter()

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def ready(self) -> bool:
        return self._engine.ready

    async def count_tokens(self, prompt: Prompt) -> int:
        return await self._engine.count_tokens(prompt)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        question = "".join(prompt.turns[-1].texts)
        events = self._engine.generate(prompt)
        try:
            async for event in events:
                self.said[question] += event.tokens
                yield event
        finally:
            await events.aclose()

    async def aclose(self) -> None:
        await self._engine.aclose()


class Bills:
    """An organization, requests of all kinds, and the check of their bills."""

    def __init__(self, org: Organization, engine: CountingEngine, chance: random.Random) -> None:
        self.org = org
        self.engine = engine
        self.chance = chance
        self.admitted = 0

    def body(self, number: int) -> dict[str, Any]:
        kinds = ["hello", "fail at once", "be overloaded", "break off", "think", "call", "be long"]
        asked = f"{self.chance.choice(kinds)} {number}"
        body = {**HELLO, "messages": [{"role": "user", "content": asked}], "max_tokens": 2000}
        if self.chance.random() < 0.3:
            body["max_tokens"] = self.chance.randint(1, 20)
        elif "think" in asked:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if "call" in asked:
            body["tools"] = [TOOL]
        if self.chance.random() < 0.2:
            body["stop_sequences"] = ["four"]
        return {**body, "stream": self.chance.random() < 0.6}

    async def ask(self, number: int) -> tuple[dict[str, Any], Call]:
        body = self.body(number)
        if self.chance.random() < 0.15:
            body |= self.chance.choice(INVALID)
        call = self.org.caller.start("POST", "/v1/messages", body)
        if self.chance.random() < 0.3:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.chance.uniform(0, 0.2)):
                    await asyncio.shield(call.task)
            call.hang_up()
        await call.task
        return body, call

    def check(self, body: dict[str, Any], answer: Answer, entry: Recorded) -> None:
        said = self.engine.said[body["messages"][0]["content"]]
        if answer.status >= 500:
            assert entry.tokens == TokenCounts()
            assert (entry.outcome, entry.cost) == ("failed", 0)
            return
        if "tools" not in body:
            assert entry.tokens.input == 4 + len(tokens(body["messages"][0]["content"]))
        usage = usage_of(answer, stream=body["stream"])
        if usage is None:
            # Broken off: all that was produced, and so at least what the caller was sent.
            assert entry.outcome in {"interrupted", "completed"}
            assert entry.tokens.output >= seen(answer)
            if "stop_sequences" not in body:
                assert entry.tokens.output == said
            return
        assert entry.outcome == "completed"
        assert entry.tokens.input == usage["input_tokens"]
        assert entry.tokens.output == usage["output_tokens"]
        assert entry.tokens.thinking == usage["output_tokens_details"]["thinking_tokens"]


def usage_of(answer: Answer, *, stream: bool) -> dict[str, Any] | None:
    """Return the usage of an answer that came to its end."""
    if not answer.whole or answer.status != 200:
        return None
    if not stream:
        return dict(answer.json["usage"])
    ends = [event["usage"] for event in answer.events if event["type"] == "message_delta"]
    return ends[0] if ends else None


def seen(answer: Answer) -> int:
    """Count the tokens that a broken stream has shown."""
    deltas = (e["delta"] for e in answer.events if e["type"] == "content_block_delta")
    return sum(len(tokens(d.get("text") or d.get("thinking") or "")) for d in deltas)


@pytest.mark.parametrize("seed", range(4))
async def test_every_admitted_request_has_one_entry_with_the_usage_told_to_its_caller(
    organization: StartOrganization, seed: int
) -> None:
    engines: list[CountingEngine] = []

    async def counting(name: str, config: EngineConfig) -> CountingEngine:
        engines.append(CountingEngine(await open_engine(name, config)))
        return engines[-1]

    org = await organization(
        price=PriceSettings(input=Decimal(3), output=Decimal(15)),
        text=WORDS,
        replies=REPLIES,
        tokens_per_second=400,
        open_engine=counting,
    )
    chance = random.Random(seed)  # noqa: S311 - a failure has to come back
    bills = Bills(org, engines[0], chance)
    asked = await asyncio.gather(*(bills.ask(number) for number in range(REQUESTS)))
    entries = await org.entries()

    told = [(body, call.answer) for body, call in asked if call.answer.status]
    for body, answer in told:
        request_id = answer.headers["request-id"]
        if answer.status in {400, 404}:
            assert request_id not in entries
        else:
            bills.check(body, answer, entries.pop(request_id))
    # The other callers disconnected before an answer began. Their requests are billed, except
    # those that failed.
    assert len(entries) <= sum(not call.answer.status for _, call in asked)
    for entry in entries.values():
        assert (entry.outcome == "failed") == (entry.cost == 0) == (entry.tokens.prompt == 0)

    every = (await org.entries()).values()
    cost = sum(3_000 * entry.tokens.input + 15_000 * entry.tokens.output for entry in every)
    assert sum(entry.cost for entry in every) == cost
    balance = next(
        one
        for one in (await org.get("/balances?scope=organization"))["data"]
        if one["period"] == "monthly"
    )
    assert Decimal(balance["spent"]) * 10**7 == cost
    assert Decimal(balance["held"]) == 0

    day = "starting_at=2026-11-23T00:00:00Z&ending_at=2026-11-24T00:00:00Z"
    used = results(await org.get(f"/usage_report/messages?bucket_width=1d&{day}"))
    assert sum(one["uncached_input_tokens"] for one in used) == sum(e.tokens.input for e in every)
    assert sum(one["output_tokens"] for one in used) == sum(e.tokens.output for e in every)
    costs = results(await org.get(f"/cost_report?{day}"))
    assert sum(Decimal(one["amount"]) for one in costs) * 10**7 == cost


def results(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for bucket in report["data"] for one in bucket["results"]]
