"""Engines that are one: where a request goes, and what becomes of it when an engine fails."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.images import JPEG, PNG
from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    PromptSize,
    Started,
    TextChunk,
    Turn,
    keeps_prefixes,
)
from antiphon.engines.routed import RoutedEngine, WeightedEngine, common
from antiphon.engines.scripted import open_scripted
from antiphon.engines.states import MemberState, RequestFailure
from antiphon.wire.content import TextParam
from support.conversation import all_events, ask, text_of, turn

pytestmark = pytest.mark.anyio

OVERLOADED, FAILED = EngineErrorKind.OVERLOADED, EngineErrorKind.FAILED
END = Finished(FinishReason.END_TURN)


@dataclass
class FakeEngine:
    """An engine that answers with its name, or fails: at once, or `late`, after some text."""

    name: str
    fails: EngineErrorKind | None = None
    late: bool = False
    ready: bool = True
    size: int = 10
    retry_after_s: float | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    counted: int = 0
    closed: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(**{"context_tokens": 1000, **self.limits})

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        self.asked += 1
        counts = self.capabilities.counts_exactly
        yield Started(input_tokens=await self.count_tokens(prompt) if counts else self.size)
        if self.fails and not self.late:
            raise EngineError(self.fails, self.name, retry_after_s=self.retry_after_s)
        yield TextChunk(self.name, 1)
        if self.fails:
            raise EngineError(self.fails, self.name)
        yield END

    async def count_tokens(self, prompt: Prompt) -> int:
        del prompt
        self.counted += 1
        if self.fails and not self.late:
            raise EngineError(self.fails, self.name, retry_after_s=self.retry_after_s)
        return self.size

    async def aclose(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def routed(
    *engines: FakeEngine, weights: tuple[int, ...] = (), clock: Clock | None = None
) -> RoutedEngine:
    shares = weights or (1,) * len(engines)
    members = [WeightedEngine(engine, share) for engine, share in zip(engines, shares, strict=True)]
    return RoutedEngine("m", members, clock or Clock())


async def said(engine: RoutedEngine) -> str:
    return text_of(await all_events(engine, ask("Hi")))


async def test_requests_are_spread_by_weight() -> None:
    engine = routed(FakeEngine("a"), FakeEngine("b"), weights=(3, 1))
    assert sorted([await said(engine) for _ in range(8)]) == ["a"] * 6 + ["b"] * 2


@pytest.mark.parametrize("counts_exactly", [True, False])
@pytest.mark.parametrize("kind", [OVERLOADED, EngineErrorKind.TIMEOUT, FAILED])
async def test_request_goes_to_the_next_engine_after_an_early_failure(
    kind: EngineErrorKind, counts_exactly: bool
) -> None:
    broken = FakeEngine("a", fails=kind, limits={"counts_exactly": counts_exactly})
    engine = routed(broken, FakeEngine("b", size=20))
    started = Started(input_tokens=20, engine=2)
    assert await all_events(engine, ask("Hi")) == [started, TextChunk("b", 1), END]


async def test_unsupported_prompt_is_not_tried_on_the_next_engine() -> None:
    second = FakeEngine("b")
    engine = routed(FakeEngine("a", fails=EngineErrorKind.UNSUPPORTED), second)
    with pytest.raises(EngineError, match="a"):
        await said(engine)
    with pytest.raises(EngineError, match="a"):
        await routed(FakeEngine("a", fails=EngineErrorKind.UNSUPPORTED), second).count_tokens(
            ask("Hi")
        )
    assert second.asked == 0


async def test_failure_after_the_first_text_is_raised() -> None:
    second = FakeEngine("b")
    engine = routed(FakeEngine("a", fails=FAILED, late=True), second)
    seen: list[EngineEvent] = []

    async def watch() -> None:
        async for event in engine.generate(ask("Hi")):
            seen.append(event)  # noqa: PERF401 - they are wanted in spite of the error

    with pytest.raises(EngineError):
        await watch()
    assert (text_of(seen), second.asked) == ("a", 0)
    # But the next request goes elsewhere.
    assert await said(engine) == await said(engine) == "b"


@pytest.mark.parametrize("weights", [(1, 0), (0, 1)])
async def test_overload_is_raised_before_failure_where_all_engines_fail(
    weights: tuple[int, int],
) -> None:
    overloaded = FakeEngine("b", fails=OVERLOADED, retry_after_s=7.0)
    engine = routed(FakeEngine("a", fails=FAILED), overloaded, weights=weights)
    with pytest.raises(EngineError) as caught:
        await said(engine)
    assert (caught.value.kind, caught.value.retry_after_s) == (OVERLOADED, 7.0)
    with pytest.raises(EngineError):
        await engine.count_tokens(ask("Hi"))


async def test_an_engine_that_failed_is_left_out_and_tried_again() -> None:
    clock, broken = Clock(), FakeEngine("a", fails=FAILED)
    engine = routed(broken, FakeEngine("b"), clock=clock)
    for _ in range(10):
        assert await said(engine) == "b"
    assert broken.counted == 1
    broken.fails = None
    clock.now = 1.0
    assert {await said(engine) for _ in range(2)} == {"a", "b"}


async def test_members_tell_which_engine_is_left_out_and_why() -> None:
    clock, broken = Clock(), FakeEngine("a", fails=OVERLOADED, retry_after_s=7.0)
    engine = routed(broken, FakeEngine("b"), clock=clock)
    assert engine.members() == (MemberState(0, 0.0, None),) * 2
    async with aclosing(engine.generate(ask("Hi"))) as events:
        await anext(events)
        clock.now = 2.0
        first, second = engine.members()
        assert first == MemberState(0, 5.0, RequestFailure(OVERLOADED, 2.0))
        assert second == MemberState(1, 0.0, None)
    clock.now, broken.fails = 8.0, None
    assert {await said(engine) for _ in range(2)} == {"a", "b"}
    assert engine.members()[0] == MemberState(0, 0.0, RequestFailure(OVERLOADED, 8.0))


async def test_engine_that_is_not_ready_is_not_tried_first() -> None:
    loading = FakeEngine("a", ready=False)
    engine = routed(loading, FakeEngine("b"))
    assert [await said(engine) for _ in range(4)] == ["b"] * 4
    assert engine.ready
    assert not routed(loading).ready


async def test_an_answer_without_an_end_is_a_failure() -> None:
    class Silent(FakeEngine):
        async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
            del prompt
            for event in ():
                yield event

    assert await said(routed(Silent("a"), FakeEngine("b"))) == "b"


async def test_cancelled_trial_of_a_failed_engine_is_repeated() -> None:
    class Slow(FakeEngine):
        async def count_tokens(self, prompt: Prompt) -> int:
            if self.fails is None:
                reached.set()
                await asyncio.Event().wait()
            return await super().count_tokens(prompt)

    reached, clock, slow = asyncio.Event(), Clock(), Slow("a", fails=FAILED)
    engine = routed(slow, FakeEngine("b"), weights=(9, 1), clock=clock)
    await said(engine)
    slow.fails, clock.now = None, 1.0
    for _ in range(2):
        reader = asyncio.create_task(said(engine))
        await reached.wait()
        reached.clear()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader


async def test_prompt_size_is_that_of_the_answering_engine() -> None:
    engine = routed(
        FakeEngine("a", size=10), FakeEngine("b", size=20, limits={"counts_exactly": False})
    )
    for _ in range(2):
        start, word, _end = await all_events(engine, ask("Hi"))
        assert isinstance(start, Started)
        answered = text_of([word])
        assert (start.input_tokens, start.engine) == {"a": (10, 1), "b": (20, 2)}[answered]


async def test_closing_closes_every_engine() -> None:
    engines = FakeEngine("a"), FakeEngine("b")
    await routed(*engines).aclose()
    assert all(engine.closed for engine in engines)


def test_routed_engine_has_the_common_capabilities() -> None:
    full = {"tools": True, "forced_tools": True, "images": True, "thinking": True}
    small = Capabilities(500, max_output_tokens=50, structured_outputs=True, tools=True)
    both = common([Capabilities(1000, max_output_tokens=None, loads_tools=True, **full), small])
    assert both == Capabilities(500, max_output_tokens=50, tools=True, counts_exactly=False)
    assert common([Capabilities(1000)]).max_output_tokens is None
    assert common([Capabilities(1000, loads_tools=True)] * 2).loads_tools
    assert common([Capabilities(1000), Capabilities(1000, computes_here=True)]).computes_here


def test_routed_engine_takes_the_images_that_all_of_its_engines_read() -> None:
    some = Capabilities(9, images=True, image_types=frozenset({PNG, JPEG}), image_pixels=900)
    fewer = Capabilities(9, images=True, image_pixels=400)
    assert common([some, fewer]).image_types == {PNG, JPEG}
    assert common([some, fewer]).image_pixels == 400
    assert common([some, Capabilities(9, images=True)]).image_pixels is None


# Whatever is drawn is drawn before the loop runs: giving a case up must not end the loop.
@given(
    st.lists(
        st.tuples(st.sampled_from([None, OVERLOADED, FAILED]), st.integers(0, 3)),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.floats(0, 3), min_size=10, max_size=10),
)
async def test_no_request_is_lost_while_one_engine_is_healthy(
    members: list[tuple[EngineErrorKind | None, int]], pauses: list[float]
) -> None:
    clock = Clock()
    members.append((None, 1))
    engines = [FakeEngine(str(place), fails=state) for place, (state, _) in enumerate(members)]
    weights = tuple(weight for _, weight in members)
    engine = routed(*engines, weights=weights, clock=clock)
    for pause in pauses:
        clock.now += pause
        answered = await said(engine)
        assert engines[int(answered)].fails is None


def marked(text: str, salt: str = "", more: str = "") -> Prompt:
    """Return a prompt with a breakpoint behind its system prompt."""
    turns = tuple(
        Turn(role, (TextParam(text=said),))
        for role, said in (("system", text), ("user", more or "Hi"))
    )
    return Prompt(turns, 5, breakpoints=(Breakpoint(0, (0,)),), cache_salt=salt)


async def test_marked_prompts_that_begin_alike_go_to_the_same_engine() -> None:
    engine = routed(FakeEngine("a"), FakeEngine("b"), FakeEngine("c"))
    homes = set()
    for number in range(20):
        found = set()
        for more in ("Hi", "How are you?", "Bye"):
            events = await all_events(engine, marked(f"You are {number}.", "s", more))
            found.add(text_of(events))
        assert len(found) == 1
        homes |= found
    assert homes == {"a", "b", "c"}


async def test_marked_prompt_goes_on_where_its_engine_fails() -> None:
    engines = [FakeEngine(name) for name in "abc"]
    engine = routed(*engines)
    home = text_of(await all_events(engine, marked("x")))
    engines["abc".index(home)].fails = OVERLOADED
    after = {text_of(await all_events(engine, marked("x"))) for _ in range(5)}
    assert len(after) == 1
    assert after != {home}


@pytest.mark.parametrize("leave", [True, False])
async def test_every_request_that_ends_makes_its_engine_free(leave: bool) -> None:
    engines = [FakeEngine(name) for name in "ab"]
    engine = routed(*engines)
    home = text_of(await all_events(engine, marked("x")))
    engines["ab".index(home)].late = True
    engines["ab".index(home)].fails = None if leave else FAILED
    for _ in range(20):
        events = engine.generate(marked("x"))
        await anext(events)
        if leave:
            await events.aclose()
        else:
            with suppress(EngineError):
                [one async for one in events]
            engine._rotation.answered("ab".index(home))
    assert [one.running for one in engine._rotation._engines] == [0, 0]
    assert engines["ab".index(home)].asked == 21


async def test_busy_engine_leaves_marked_prompts_to_others() -> None:
    engine = routed(FakeEngine("a"), FakeEngine("b"))
    running = [engine.generate(marked("x")) for _ in range(6)]
    for events in running:
        await anext(events)
    said = Counter([text_of([one async for one in events]) for events in running])
    assert sorted(said.values()) == [2, 4]


async def test_prefixes_are_kept_if_one_engine_keeps_them() -> None:
    keeping = await open_scripted(EngineConfig("m"))
    other = await open_scripted(EngineConfig("m", options={"kept_prefixes": 0}))
    prompt = Prompt((turn("user", "one two"),), 1, breakpoints=(Breakpoint(0, (0,)),))
    size = await keeping.measure(prompt)
    assert size.breakpoints
    for members, measured in (((keeping, other), size), ((other, keeping), PromptSize(6))):
        # The second is asked only if the first one cannot answer.
        weighted = [WeightedEngine(one, 1 - place) for place, one in enumerate(members)]
        engine = RoutedEngine("m", weighted, time.monotonic)
        assert keeps_prefixes(engine)
        assert await engine.measure(prompt) == measured
        assert await engine.count_tokens(prompt) == size.tokens
