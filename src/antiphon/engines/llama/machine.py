"""llama.cpp as a token machine: a slot for each prompt, until its answer ends.

Prefixes belong to breakpoints, not to slots: a prompt goes to the slot that holds most of it for
the same workspace, or a snapshot is restored into the slot where least is lost. A prefix that
another prompt is reading just now is waited for.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from types import MappingProxyType
from typing import Final

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.base import KeptSnapshot, SnapshotReport
from antiphon.engines.llama.batch_child import BatchChild
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.flights import Flight, Flights
from antiphon.engines.llama.parkable import ParkableCompletions
from antiphon.engines.llama.prompt_slot import Mark, PromptSlot, SlotParts, SlotPrompt
from antiphon.engines.llama.server_types import MediaPrompt
from antiphon.engines.llama.slot_pool import SlotPool
from antiphon.engines.llama.slots import SlotChoice, SlotState, choose_slot, held_tokens
from antiphon.engines.llama.snapshots.index import Snapshot
from antiphon.engines.llama.snapshots.prefixes import pack_tokens
from antiphon.engines.llama.steering import PLAIN, steering_of
from antiphon.engines.states import EngineMemory, EngineState
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.tokens import RenderedPrompt

LIFETIME_S: Final = {"5m": 300.0, "1h": 3600.0}
NO_MEDIA: Final[Mapping[int, MediaPrompt]] = MappingProxyType({})
IMAGE_SIZES: Final = "image sizes"
"""The salt of what is read only to be counted."""


class LlamaCompletions:
    """The completions of one prompt in its slot."""

    def __init__(self, client: LlamaClient, slot: PromptSlot) -> None:
        self._client = client
        self._slot = slot

    @property
    def confirmed(self) -> Confirmation:
        return self._slot.confirmed

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._client.tokenize(text, control=control, ends=ends)

    def complete(
        self, request: CompletionRequest, media: MediaPrompt | None = None
    ) -> AsyncGenerator[Piece, None]:
        return self._slot.complete(request, media)


class LlamaMachine:
    """One llama.cpp. Requests without a slot wait here.

    In llama.cpp each of them would hold one of the threads that also tokenize and answer health
    checks. Prefixes of fewer than `minimum_tokens` are not kept. Batches leave one slot to others,
    so that what a conversation has there is not lost to them; or they are computed in a child of
    their own, `batches`. With `only_batches` there is nobody for whom they would make way.
    """

    keeps_prefixes = True

    def __init__(
        self,
        parts: SlotParts,
        slots: int,
        *,
        minimum_tokens: int = MINIMUM_TOKENS,
        batches: "BatchChild[LlamaMachine] | None" = None,
        only_batches: bool = False,
    ) -> None:
        self.client = parts.client
        self.batches = batches
        self.parts = parts
        self._minimum_tokens = minimum_tokens
        self._only_batches = only_batches
        self._pool = SlotPool(slots, lambda: parts.server.generation)
        self._spare = asyncio.Semaphore(max(1, slots - 1))
        self._flights = Flights()

    @property
    def ready(self) -> bool:
        return self.client.ready

    def busy(self) -> bool:
        """Return whether llama.cpp has anything to do. Any thread may ask."""
        return self._pool.busy

    def snapshot_report(self) -> SnapshotReport:
        """Return the snapshots, and how often slots held less than was known. Reads no file."""
        store, mismatches = self.parts.store, self.parts.mismatches
        if store is None:
            return SnapshotReport(mismatches=mismatches)
        return SnapshotReport(
            snapshots=tuple(
                KeptSnapshot(one.salt, one.token_count, one.size, one.used_at, one.ends_at)
                for one in store.snapshots()
            ),
            limit_bytes=store.limit_bytes,
            mismatches=mismatches,
            evictions=store.evictions,
        )

    def state(self) -> EngineState:
        """Return how it is now. Asks the system for the memory of its processes."""
        server, pool = self.parts.server, self._pool
        return EngineState(
            slots=pool.count,
            busy_slots=pool.in_use,
            waiting=pool.waiting,
            restarts=server.generation if server.supervised else None,
            failure=server.failure,
            memory=self._memory(),
            speeds=self.client.speeds,
        )

    def _memory(self) -> EngineMemory | None:
        """Return its memory; `None` on a server that somebody else runs, maybe elsewhere."""
        parts, size = self.parts, self.parts.size
        if not parts.server.supervised:
            return None
        another = None if self.batches is None else self.batches.machine
        token = None if size is None else size.token
        return EngineMemory(
            process=parts.used_memory(),
            batch_process=None if another is None else another.parts.used_memory(),
            weights=None if size is None else size.weights,
            kv_per_token=token,
            kv=None if token is None else token * parts.slot_context * self._pool.count,
        )

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self.client.tokenize(text, control=control, ends=ends)

    @asynccontextmanager
    async def completions(
        self,
        prompt: RenderedPrompt,
        salt: str,
        hints: Hints = NO_HINTS,
        parking: Parking | None = None,
    ) -> AsyncGenerator[LlamaCompletions | ParkableCompletions, None]:
        async with self.place(parking, hints) as (machine, told):
            slot_prompt = machine.slot_prompt(salt, prompt.tokens, prompt.breakpoints, hints=told)
            if parking is None or machine is not self or self._only_batches:
                async with machine.completions_of(slot_prompt) as completions:
                    yield completions
                return
            parkable = ParkableCompletions(self.client, self._slot, slot_prompt, parking)
            async with aclosing(parkable):
                await parkable.open()
                yield parkable

    @asynccontextmanager
    async def place(
        self, parking: Parking | None, hints: Hints
    ) -> AsyncGenerator[tuple["LlamaMachine", Hints]]:
        """Yield the machine that computes a prompt, and the hints that it is to follow there.

        In the child for batches nobody waits for them, and the work is parked as a whole.
        """
        if parking is None or self.batches is None:
            yield self, NO_HINTS if self._only_batches else hints
            return
        async with self.batches.place(parking) as machine:
            yield (self, hints) if machine is None else (machine, NO_HINTS)

    @asynccontextmanager
    async def completions_of(self, prompt: SlotPrompt) -> AsyncGenerator[LlamaCompletions, None]:
        """Take a slot for the completions of a prompt, as `completions` does."""
        async with self._slot(prompt) as slot:
            yield LlamaCompletions(self.client, slot)

    async def evaluated(self, prompt: MediaPrompt) -> int:
        """Let llama.cpp read a prompt, and return its number of tokens."""
        async with self._slot(SlotPrompt(IMAGE_SIZES, (), b"")) as slot:
            return await slot.evaluated(prompt)

    @asynccontextmanager
    async def _slot(self, prompt: SlotPrompt) -> AsyncGenerator[PromptSlot, None]:
        if prompt.steering.drops:
            await self._drop_session(prompt)
        await self._wait_for_flights(prompt)
        # A prompt that lets others pass must not make them wait for itself.
        waits = prompt.steering.waits
        flights = [] if waits else self._begin_flights(prompt)
        try:
            found: Snapshot | None = None

            def choose(states: Sequence[SlotState]) -> SlotChoice | None:
                nonlocal found
                found = self._snapshot(prompt)
                tokens = 0 if found is None else found.token_count
                return choose_slot(
                    states,
                    prompt.salt,
                    prompt.key,
                    snapshot_tokens=tokens,
                    rewinds=self.parts.rewinds,
                    enough=prompt.enough,
                )

            async with AsyncExitStack() as stack:
                if prompt.steering.spare:
                    await stack.enter_async_context(self._spare)
                taken = await stack.enter_async_context(self._pool.taken(choose, waits=waits))
                flights += self._begin_flights(prompt) if waits else []
                slot = PromptSlot(self.parts, taken, prompt)
                await slot.prepare(found, flights)
                yield slot
        finally:
            for flight in flights:
                flight.give_up()

    async def _drop_session(self, prompt: SlotPrompt) -> None:
        """Drop what a session has kept of a context that it has replaced, unless it begins anew."""
        session, store = prompt.steering.session, self.parts.store
        if session is None or store is None:
            return
        old = store.named(self.parts.sessions.take(session))
        await store.discard(*(one for one in old if not prompt.key.startswith(one.record.tokens)))

    async def _wait_for_flights(self, prompt: SlotPrompt) -> None:
        """Wait while another prompt reads a longer prefix than there is of this one."""
        while (flight := self._flights.longest(prompt.salt, prompt.key)) is not None:
            if flight.size <= self._available(prompt):
                return
            await flight.landed.wait()

    def _begin_flights(self, prompt: SlotPrompt) -> list[Flight]:
        if self.parts.store is None or not prompt.marks:
            # Nothing of it will be kept outside of its slot: others would wait in vain.
            return []
        available = self._available(prompt)
        unread = [prompt.packed(mark.at) for mark in prompt.marks if mark.at > available]
        return self._flights.begin(prompt.salt, unread)

    def _available(self, prompt: SlotPrompt) -> int:
        """Return how many tokens of a prompt need not be read now."""
        found = self._snapshot(prompt)
        free = [state for state in self._pool.states() if not state.busy]
        held = held_tokens(free, prompt.salt, prompt.key, rewinds=self.parts.rewinds)
        return max(held, 0 if found is None else found.token_count)

    def _snapshot(self, prompt: SlotPrompt) -> Snapshot | None:
        """Return the longest snapshot of a prompt that is restored sooner than read."""
        store = self.parts.store
        if store is None:
            return None
        found = store.find_packed(prompt.salt, prompt.key)
        if found is None:
            return None
        faster = self.parts.rates.restores_faster(found.size, found.token_count, found.read_ms)
        return found if faster else None

    def slot_prompt(
        self,
        salt: str,
        tokens: Sequence[int],
        edges: Sequence[Edge],
        media: Mapping[int, MediaPrompt] = NO_MEDIA,
        hints: Hints = NO_HINTS,
    ) -> SlotPrompt:
        """Return a prompt for a slot, with a mark at each edge that has enough tokens before it."""
        lifetimes: dict[int, float] = {}
        for edge in edges:
            if edge.at >= self._minimum_tokens:
                lifetimes[edge.at] = max(lifetimes.get(edge.at, 0.0), LIFETIME_S[edge.ttl])
        marks = tuple(Mark(at, lifetimes[at]) for at in sorted(lifetimes))
        steering = PLAIN if hints is NO_HINTS else steering_of(hints, salt)
        return SlotPrompt(salt, tokens, pack_tokens(tokens), marks, media, steering)
