"""Several engines as one: requests are spread over them and bypass those that fail.

If an engine is overloaded, times out, breaks, or is not ready, the request goes to the next one, as
long as no part of its answer was sent. A fault of the request itself fails on every engine. Prompts
with breakpoints that begin alike go to the same engine, which may still have what it read of them.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager

import msgspec
from msgspec.structs import replace

from antiphon.engines.base import (
    Capabilities,
    Engine,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Prompt,
    PromptSize,
    Started,
    keeps_prefixes,
)
from antiphon.engines.rendezvous import prefix_key
from antiphon.engines.rotation import Rotation
from antiphon.engines.states import MemberState, RequestFailure
from antiphon.logs import EventLog


class WeightedEngine(msgspec.Struct, frozen=True):
    """One of the engines of a model, and its share of the requests."""

    engine: Engine
    weight: int


class RoutedEngine:
    """A model that several engines run. It owns them, and closes them.

    The `Started` of an answer comes from the engine that answers, and tells which it is;
    `count_tokens` and `measure` ask the engine that has its turn now, and the answer may come from
    another one. It keeps prefixes if one of its engines does.
    """

    def __init__(
        self, model: str, members: Sequence[WeightedEngine], clock: Callable[[], float]
    ) -> None:
        self._model = model
        self._engines = tuple(member.engine for member in members)
        self._rotation = Rotation(member.weight for member in members)
        self._clock = clock
        self._failures: list[tuple[EngineErrorKind, float] | None] = [None] * len(self._engines)
        self.capabilities = common([engine.capabilities for engine in self._engines])

    @property
    def ready(self) -> bool:
        return any(engine.ready for engine in self._engines)

    async def count_tokens(self, prompt: Prompt) -> int:
        return (await self._ask(prompt, _count)).tokens

    async def measure(self, prompt: Prompt) -> PromptSize:
        return await self._ask(prompt, _measure)

    async def _ask(
        self, prompt: Prompt, ask: Callable[[Engine, Prompt], Awaitable[PromptSize]]
    ) -> PromptSize:
        """Ask the engine that has its turn, or the next one that can tell."""
        broken: EngineError | None = None
        for index in self._rotation.candidates(self._able(), self._clock(), prefix_key(prompt)):
            try:
                return await ask(self._engines[index], prompt)
            except EngineError as error:
                broken = self._passed_over(index, error, broken)
        raise broken or _no_engine()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        broken: EngineError | None = None
        for index in self._rotation.order(self._able(), self._clock(), prefix_key(prompt)):
            with self._running(index):
                async with aclosing(self._engines[index].generate(prompt)) as events:
                    try:
                        opening = await self._opening(index, events)
                    except EngineError as error:
                        broken = self._passed_over(index, error, broken)
                        continue
                    for event in opening:
                        yield event
                    try:
                        async for event in events:
                            yield event
                    except EngineError as error:
                        self._note(index, error)
                        raise
                    return
        raise broken or _no_engine()

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for engine in self._engines:
                stack.push_async_callback(engine.aclose)

    def members(self) -> tuple[MemberState, ...]:
        """Return how each of the engines does, in their order."""
        now, rotation = self._clock(), self._rotation
        return tuple(
            MemberState(
                rotation.running(index),
                rotation.left_out_s(index, now),
                None if failed is None else RequestFailure(failed[0], max(0.0, now - failed[1])),
            )
            for index, failed in enumerate(self._failures)
        )

    def _able(self) -> list[bool]:
        return [engine.ready for engine in self._engines]

    @contextmanager
    def _running(self, index: int) -> Iterator[None]:
        self._rotation.began(index)
        try:
            yield
        finally:
            self._rotation.ended(index)

    async def _opening(
        self, index: int, events: AsyncGenerator[EngineEvent, None]
    ) -> list[EngineEvent]:
        """Wait for the first events of an engine.

        A `Started` is held back until the next event: some servers report the size of a prompt
        and then that they are overloaded.
        """
        try:
            started, first = await anext(events, None), await anext(events, None)
        except BaseException:
            self._rotation.gave_up(index)
            raise
        if started is None or first is None:
            raise EngineError(EngineErrorKind.FAILED, "the engine's answer has no end")
        self._rotation.answered(index)
        if isinstance(started, Started):
            started = replace(started, engine=index + 1)
        return [started, first]

    def _passed_over(
        self, index: int, error: EngineError, before: EngineError | None
    ) -> EngineError:
        """Note an error before the first event, and return the error to raise if no engine is left.

        Raises the error at once if it would be the same on any engine. An overload precedes other
        errors: it tells the caller that the same request may pass later.
        """
        if error.kind is EngineErrorKind.UNSUPPORTED:
            self._rotation.answered(index)
            raise error
        self._note(index, error)
        if before is None or before.kind is not EngineErrorKind.OVERLOADED:
            return error
        return before

    def _note(self, index: int, error: EngineError) -> None:
        now = self._clock()
        self._failures[index] = error.kind, now
        left_out_s = self._rotation.failed(index, now, error.retry_after_s or 0.0)
        EventLog(__name__).warning(
            "an engine of several failed",
            model=self._model,
            engine=index,
            kind=error.kind.value,
            left_out_s=round(left_out_s, 1),
        )


def common(each: Sequence[Capabilities]) -> Capabilities:
    """Return the capabilities that all share, and what any of them keeps or computes here."""
    pixels = [one.image_pixels for one in each if one.image_pixels is not None]
    most = [one.max_output_tokens for one in each if one.max_output_tokens is not None]
    return Capabilities(
        context_tokens=min(one.context_tokens for one in each),
        max_output_tokens=min(most, default=None),
        tools=all(one.tools for one in each),
        forced_tools=all(one.forced_tools for one in each),
        structured_outputs=all(one.structured_outputs for one in each),
        thinking=all(one.thinking for one in each),
        efforts=tuple(
            level for level in each[0].efforts if all(level in one.efforts for one in each)
        ),
        images=all(one.images for one in each),
        image_types=frozenset.intersection(*(one.image_types for one in each)),
        image_pixels=None if len(pixels) < len(each) else min(pixels),
        # The engine that is counted with need not be the one that answers.
        counts_exactly=False,
        cache_ttls=tuple(dict.fromkeys(ttl for one in each for ttl in one.cache_ttls)),
        keeps_prefixes=any(one.keeps_prefixes for one in each),
        loads_tools=all(one.loads_tools for one in each),
        computes_here=any(one.computes_here for one in each),
    )


async def _count(engine: Engine, prompt: Prompt) -> PromptSize:
    return PromptSize(await engine.count_tokens(prompt))


async def _measure(engine: Engine, prompt: Prompt) -> PromptSize:
    if keeps_prefixes(engine):
        return await engine.measure(prompt)
    return await _count(engine, prompt)


def _no_engine() -> EngineError:  # pragma: no cover - the settings name at least one
    return EngineError(EngineErrorKind.FAILED, "a model without engines")
