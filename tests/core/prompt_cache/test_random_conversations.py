"""Random conversations, on the rules and on the same rules written a second time.

Conversations grow, branch, and are edited; breakpoints move; time passes; requests overlap, fail,
and meet an engine that has forgotten. Each usage, each refusal and all entries must be the same.
"""

from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Confirmation
from support.examples import examples
from support.naive_prompt_cache import NaiveCache, RefusedError
from support.naive_prompt_cache import Request as NaiveRequest
from support.prompt_cache import ROOT, Cache, Running, prompt_of, seen
from support.requests import assistant, call, result, system, text, tool, user
from support.tool_changes import addition, definition, removal

MINIMUM = 10
TEXTS = ["a", "bb", "c" * 7, "d" * 10]
WAITS = [1, 1000, 60_000, 4 * 60_000, 299_998, 300_000, 40 * 60_000, 3_600_000]
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
SETTINGS = [
    {"tool_choice": {"type": "any"}},
    {"tool_choice": {"type": "auto"}},
    {"output_config": {"effort": "low"}},
    {"output_config": {"effort": "high"}},
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {},
]


def markable(body: dict[str, Any], *, definitions: bool = False) -> list[dict[str, Any]]:
    """Return all tools and blocks of a request that may have a breakpoint, in its order.

    With `definitions`, also the tools that are defined in its messages.
    """
    found = [tool for tool in body["tools"] if definitions or not tool.get("defer_loading")]
    found += body["system"]
    for message in body["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_result":
                found += block["content"]
            if "definition" in block.get("tool", {}) and definitions:
                found.append(block["tool"]["definition"])
            if block["type"] != "thinking":
                found.append(block)
    return found


class Conversations:
    """Conversations of two workspaces, and both caches. Each step is a method."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0
        self.calls = 0
        self.cache = Cache(MINIMUM)
        self.naive = NaiveCache(MINIMUM)
        self.running: list[tuple[Running, NaiveRequest]] = []
        self.seen = Counter[str]()
        self.bodies: list[dict[str, Any]] = [
            {
                "tools": [tool(name, description="f" * 7) for name in "fg"[: random.randint(0, 2)]]
                + [tool("late", description="l" * 9, defer_loading=True)] * random.randint(0, 1),
                "system": [text(self.words()) for _ in range(random.randint(0, 2))],
                "messages": [user([text(self.words())])],
            }
        ]

    def words(self) -> str:
        return self.random.choice(TEXTS)

    def body(self) -> dict[str, Any]:
        return self.random.choice(self.bodies)

    def step(self) -> None:
        steps = {
            self.turn: 40,
            self.ask_again: 10,
            self.start: 15,
            self.finish: 15,
            self.wait: 10,
            self.branch: 4,
            self.edit: 4,
            self.cut: 3,
            self.change_setting: 3,
            self.change_tools: 6,
        }
        self.random.choices([*steps], [*steps.values()])[0]()
        self.check_entries()

    def turn(self) -> None:
        """Let a conversation go on, mark it, and ask an engine that forgets nothing."""
        body = self.body()
        self.random.choice([self.talk, self.talk, self.loop])(body["messages"])
        self.mark(body)
        self.ask(body)

    def ask_again(self) -> None:
        body = self.body()
        if self.random.random() < 0.5:
            self.mark(body)
        self.ask(body)

    def start(self) -> None:
        body = self.body()
        self.mark(body)
        started = self.started(body)
        if started is not None:
            self.running.append(started)

    def finish(self) -> None:
        """End a request: with an error, or with whatever its engine has reused and kept."""
        if not self.running:
            return
        running, naive = self.running.pop(self.random.randrange(len(self.running)))
        if self.random.random() < 0.2:
            return
        reused = self.random.choice(
            [
                naive.total,
                0,
                self.random.randint(0, naive.total),
                *[hit.tokens for hit in naive.hits],
            ]
        )
        stored = {end for end in naive.ends if self.random.random() < 0.7}
        self.respond(running, naive, reused, stored)

    def wait(self) -> None:
        self.now += self.random.choice(WAITS)

    def branch(self) -> None:
        self.bodies.append(deepcopy(self.body()))

    def edit(self) -> None:
        blocks = markable(self.body(), definitions=True)
        block = self.random.choice([one for one in blocks if "text" in one or "description" in one])
        block["text" if "text" in block else "description"] = self.words()

    def cut(self) -> None:
        messages = self.body()["messages"]
        answers = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
        del messages[self.random.choice([*answers, len(messages)]) :]

    def change_setting(self) -> None:
        body, new = self.body(), self.random.choice(SETTINGS)
        body.pop("tool_choice", None)
        body.pop("output_config", None)
        if body["tools"] or "tool_choice" not in new:
            body.update(new)

    def change_tools(self) -> None:
        """Add, remove and define tools in a system message; rarely one that there is not."""
        body = self.body()
        known = {tool["name"] for tool in markable(body, definitions=True) if "name" in tool}
        name = self.random.choice(["f", "g", "late", "new"])
        blocks = [definition(name, self.words(), defer_loading=self.random.random() < 0.3)]
        if name in known or self.random.random() < 0.02:
            blocks += [addition(name), removal(name), removal(name)]
        body["messages"].append(system(self.random.sample(blocks, min(2, len(blocks)))))
        self.seen["changed tools"] += 1

    def talk(self, messages: list[dict[str, Any]]) -> None:
        asked = [text(self.words()) for _ in range(self.random.choice([1, 1, 1, 2, 3, 17]))]
        messages += [assistant([text(self.words())]), user(asked)]

    def loop(self, messages: list[dict[str, Any]]) -> None:
        """Add parallel calls and their results; one call in three of them is thought about."""
        ids = [f"id{self.calls + number}" for number in range(self.random.choice([1, 2, 11]))]
        self.calls += len(ids)
        thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
        thoughts = [thought] * (self.random.random() < 0.3)
        inner = [self.words() for _ in range(self.random.randint(0, 2))]
        messages.append(assistant([*thoughts, *[call(one) for one in ids]]))
        messages.append(user([result(one, [text(word) for word in inner]) for one in ids]))

    def mark(self, body: dict[str, Any]) -> None:
        """Set new breakpoints: mostly near the end, sometimes too many or in a wrong order."""
        blocks = markable(body)
        for block in blocks:
            block.pop("cache_control", None)
        body.pop("cache_control", None)
        last, count = len(blocks) - 1, self.random.choice([0, 1, 1, 2, 2, 3, 4, 5])
        near = [self.random.randint(max(0, last - 4), last) for _ in range(count)]
        far = [self.random.randint(0, last) for _ in range(count)]
        numbers = sorted({self.random.choice(both) for both in zip(near, far, strict=True)})
        ttls = self.random.choices(["5m", "5m", "1h"], k=len(numbers))
        if self.random.random() < 0.9:
            ttls.sort()
        for number, ttl in zip(numbers, ttls, strict=True):
            blocks[number]["cache_control"] = {"type": "ephemeral", "ttl": ttl}
        if self.random.random() < 0.4:
            ttl = self.random.choice(["5m", "5m", "5m", "1h"])
            body["cache_control"] = {"type": "ephemeral", "ttl": ttl}

    def ask(self, body: dict[str, Any]) -> None:
        started = self.started(body)
        if started is not None:
            running, naive = started
            self.respond(running, naive, naive.total, set(naive.ends))

    def started(self, body: dict[str, Any]) -> tuple[Running, NaiveRequest] | None:
        fields = {name: value for name, value in body.items() if name != "messages"}
        owner = self.random.choice(["one", "one", "one", "one", "two"])
        try:
            naive = self.naive.start(owner, body, self.now)
        except RefusedError:
            naive = None
        try:
            prompt = prompt_of(*body["messages"], **fields)
        except InvalidRequestError:
            assert naive is None
            self.seen["refused"] += 1
            return None
        assert naive is not None
        running = self.cache.start(prompt, self.now, replace(ROOT, workspace_id=owner))
        assert running.plan.tokens == naive.total
        return running, naive

    def respond(self, running: Running, naive: NaiveRequest, reused: int, stored: set[int]) -> None:
        claim = self.cache.respond(running, Confirmation(reused, frozenset(stored)), self.now)
        assert seen(claim) == self.naive.respond(naive, reused, stored, self.now)
        assert claim.usage.prompt == running.plan.tokens
        assert claim.usage.cache_read <= reused
        self.seen["read"] += claim.read is not None
        self.seen["corrected"] += claim.read != running.plan.read
        self.seen["corrected to a shorter read"] += None is not claim.read != running.plan.read
        self.seen["missed"] += claim.read is None and bool(claim.writes)
        self.seen["both lifetimes"] += bool(
            claim.usage.cache_write_1h and claim.usage.cache_write_5m
        )

    def check_entries(self) -> None:
        own = self.cache.entries.values()
        assert sorted((one.tokens, one.ttl, one.expires_at) for one in own) == sorted(
            (one.tokens, one.ttl, one.expires_at) for one in self.naive.entries
        )


def run(random: Random) -> Conversations:
    conversations = Conversations(random)
    for _ in range(25):
        conversations.step()
    return conversations


@settings(max_examples=examples(1.5))
@given(st.randoms(use_true_random=True))
def test_rules_agree_with_the_naive_ones(random: Random) -> None:
    run(random)


@pytest.mark.soak
@settings(max_examples=examples(5))
@given(st.randoms(use_true_random=True))
def test_rules_agree_with_the_naive_ones_thousands_of_times(random: Random) -> None:
    run(random)


def test_random_conversations_show_what_they_are_meant_to_show() -> None:
    """A generator that never hits an entry would prove nothing."""
    total = Counter[str]()
    for seed in range(50):
        total += run(Random(seed)).seen  # noqa: S311 - a test, the same each time
    assert len(total) == 7
    assert total["read"] > 200
    assert min(total.values()) >= 5, total
