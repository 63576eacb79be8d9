"""The slots of one llama.cpp: each is taken by one prompt at a time, and what it holds is noted."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from antiphon.engines.llama.slots import SlotChoice, SlotState


class TakenSlot:
    """A slot while one prompt has it, from the choice on.

    `generation` is that of the child in which it was chosen.
    """

    def __init__(self, state: SlotState, choice: SlotChoice, generation: int) -> None:
        self.state = state
        self.choice = choice
        self.generation = generation

    @property
    def id(self) -> int:
        return self.state.id

    def holds(self, salt: str | None, tokens: bytes) -> None:
        """Note what the slot holds from now on: KV of a salt, beginning with packed tokens."""
        self.state = replace(self.state, salt=salt, tokens=tokens)


class SlotPool:
    """The slots of one llama.cpp.

    `generation` changes with each child, whose slots are empty then. Prompts get slots in the order
    in which they ask.
    """

    def __init__(
        self,
        count: int,
        generation: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = [SlotState(id=number) for number in range(count)]
        self._generations = [generation()] * count
        self._generation = generation
        self._free = asyncio.Semaphore(count)
        self._now = now

    def states(self) -> Sequence[SlotState]:
        """Return what the slots hold now."""
        generation = self._generation()
        return [
            state
            if state.busy or self._generations[state.id] == generation
            else SlotState(id=state.id)
            for state in self._states
        ]

    @asynccontextmanager
    async def taken(
        self, choose: Callable[[Sequence[SlotState]], SlotChoice | None]
    ) -> AsyncGenerator[TakenSlot, None]:
        """Wait for a slot and take the one that `choose` names, until the end of the block."""
        async with self._free:
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
        self._generations[taken.id] = generation
        self._states[taken.id] = replace(state, busy=False, used_at=self._now())
