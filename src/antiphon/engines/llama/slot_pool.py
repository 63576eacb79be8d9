"""The slots of one llama.cpp: each is taken by one prompt at a time, and what it holds is noted."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec.structs import replace

from antiphon.engines.llama.slots import SlotChoice, SlotState

MOST_PASSED: Final = 8
"""The most prompts that pass the first one of those that wait for others."""


class Line:
    """The line for so many places: in order, but those that wait let others pass."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._first: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(not turn.done() for turn in (*self._first, *self._waiting))

    @asynccontextmanager
    async def place(self, *, waits: bool) -> AsyncGenerator[None, None]:
        """Wait for a place, and have it until the end of the block."""
        await self._enter(self._waiting if waits else self._first)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, line: deque[asyncio.Future[None]]) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The place came together with the cancellation: the next prompt gets it.
                self._leave()
            raise

    def _leave(self) -> None:
        while self._first or self._waiting:
            turn = self._next()
            # One that was cancelled is still in the line.
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        if self._waiting and (not self._first or self._passed >= MOST_PASSED):
            self._passed = 0
            return self._waiting.popleft()
        if self._waiting:
            self._passed += 1
        return self._first.popleft()


class TakenSlot:
    """A slot while one prompt has it, from the choice on.

    `generation` is that of the child in which it was chosen. `held_s` is how long it is held for
    its session afterwards; a `spare` one is the first that others get.
    """

    def __init__(self, state: SlotState, choice: SlotChoice, generation: int) -> None:
        self.state = state
        self.choice = choice
        self.generation = generation
        self.held_s = 0.0
        self.spare = False

    @property
    def id(self) -> int:
        return self.state.id

    def holds(self, salt: str | None, tokens: bytes) -> None:
        """Note what the slot holds from now on: KV of a salt, beginning with packed tokens."""
        self.state = replace(self.state, salt=salt, tokens=tokens)


class SlotPool:
    """The slots of one llama.cpp.

    `generation` changes with each child, whose slots are empty then. Prompts get slots in the order
    in which they ask, but those that wait let others pass, at most `MOST_PASSED` of them.
    """

    def __init__(
        self,
        count: int,
        generation: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = [SlotState(id=number) for number in range(count)]
        self._generations = [generation()] * count
        self._held_until = [0.0] * count
        self._generation = generation
        self._line = Line(count)
        self._now = now

    @property
    def busy(self) -> bool:
        """Whether a prompt has a slot. Any thread may ask."""
        return any(state.busy for state in self._states)

    @property
    def count(self) -> int:
        return len(self._states)

    @property
    def in_use(self) -> int:
        """How many slots have a prompt."""
        return sum(state.busy for state in self._states)

    @property
    def waiting(self) -> int:
        """How many prompts wait for a slot."""
        return self._line.waiting

    def states(self) -> Sequence[SlotState]:
        """Return what the slots hold now."""
        generation, now = self._generation(), self._now()
        return [
            replace(state, kept=now < self._held_until[state.id])
            if state.busy or self._generations[state.id] == generation
            else SlotState(id=state.id)
            for state in self._states
        ]

    @asynccontextmanager
    async def taken(
        self, choose: Callable[[Sequence[SlotState]], SlotChoice | None], *, waits: bool = False
    ) -> AsyncGenerator[TakenSlot, None]:
        """Wait for a slot and take the one that `choose` names, until the end of the block.

        One that `waits` lets others pass.
        """
        async with self._line.place(waits=waits):
            states, generation = self.states(), self._generation()
            choice = choose(states)
            if choice is None:  # pragma: no cover - one is free
                raise RuntimeError("no slot is free")
            taken = TakenSlot(states[choice.slot], choice, generation)
            self._states[taken.id] = replace(taken.state, busy=True)
            try:
                yield taken
            finally:
                self._release(taken)

    def _release(self, taken: TakenSlot) -> None:
        generation, state = self._generation(), taken.state
        if generation != taken.generation and state.salt is not None:
            # The slot of the new child may hold the prompt: whose it is counts, not what.
            state = replace(state, tokens=b"")
        now = self._now()
        self._generations[taken.id] = generation
        self._held_until[taken.id] = now + taken.held_s
        self._states[taken.id] = replace(state, busy=False, spare=taken.spare, used_at=now)
