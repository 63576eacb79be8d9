"""One prompt in one slot of llama.cpp: what is reused of it, read, and kept.

    erase ─► restore ─► read to a breakpoint, save ─► … ─► completions

A prompt is read exactly to each breakpoint, and the slot is saved there before anything behind it
is read. So whoever restores the snapshot only goes on from its end: that works for every kind of
memory, also for those that cannot go back (a sliding window, recurrent layers).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Final

import msgspec

from antiphon.core.prompt import Confirmation
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.client import LlamaClient, SlotUse
from antiphon.engines.llama.flights import Flight
from antiphon.engines.llama.memory import ModelSize
from antiphon.engines.llama.rates import Rates
from antiphon.engines.llama.server_types import MediaPrompt
from antiphon.engines.llama.slot_pool import TakenSlot
from antiphon.engines.llama.slots import ENOUGH
from antiphon.engines.llama.snapshots.index import Snapshot, Written
from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES, pack_tokens
from antiphon.engines.llama.snapshots.store import SnapshotLostError, SnapshotStore
from antiphon.engines.llama.steering import PLAIN, SessionPrefixes, Steering
from antiphon.engines.llama.supervisor import LlamaServer
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.logs import EventLog

CHECKPOINT_GAP: Final = 8
"""Tokens that may be read again of a prefix that counts as reused: where a state cannot be taken
back, llama.cpp goes on from a checkpoint a few tokens before its end, and it always reads the last
token of a prompt again."""


class Mark(msgspec.Struct, frozen=True):
    """A place to keep a prompt: behind `at` tokens, for `lifetime_s` after the last use."""

    at: int
    lifetime_s: float


class SlotPrompt(msgspec.Struct, frozen=True):
    """A prompt for a slot, with its marks in rising order.

    `tokens` are its tokens, with other numbers for those of an image: so they say of which.
    `key` is the same, packed. `media` are the prompts to send for the prefixes at marks behind an
    image, instead of tokens. A slot is chosen for `enough` of the tokens.
    """

    salt: str
    tokens: Sequence[int]
    key: bytes
    marks: tuple[Mark, ...] = ()
    media: Mapping[int, MediaPrompt] = MappingProxyType({})
    steering: Steering = PLAIN
    enough: int = ENOUGH

    def packed(self, at: int) -> bytes:
        """Return the first tokens, packed."""
        return self.key[: at * TOKEN_BYTES]


class SlotParts:
    """What all slots of one llama.cpp share.

    `rewinds` is false once the model has shown that it cannot go back to a shorter prefix,
    `keeps_images` if it cannot restore an image.
    `folder` is that of snapshots, also while another engine keeps them; `None` if none are kept.
    `mismatches` counts prompts of which llama.cpp reused less than the slot was known to hold,
    `tokens_read` all tokens of prompts that were computed. `size` is that of the model, where its
    file is here, `slot_context` the tokens of a slot, and `used_memory` returns the bytes of its
    process.
    """

    def __init__(  # noqa: PLR0913 - the parts of a machine, each once
        self,
        client: LlamaClient,
        server: LlamaServer,
        store: SnapshotStore | None = None,
        *,
        erases: bool = False,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.client = client
        self.server = server
        self.store = store
        self.folder = None if store is None else store.folder
        self.erases = erases
        self.now = now
        self.clock = clock
        self.rates = Rates()
        # llama.cpp would read the portions of several slots in one batch, which is larger.
        self.portions = asyncio.Lock()
        self.sessions = SessionPrefixes()
        self.rewinds = True
        self.keeps_images = True
        self.mismatches = 0
        self.size: ModelSize | None = None
        self.slot_context = 0
        self.used_memory: Callable[[], int | None] = lambda: None
        self.tokens_read = 0
        self.log = EventLog(__name__)

    def take_store(self, store: SnapshotStore) -> None:
        """Keep snapshots from now on, unless the model has shown that it cannot restore any."""
        if self.folder is not None:
            self.store = store


class PromptSlot:
    """One prompt in one slot. Call `prepare`, then `complete` for each completion."""

    def __init__(self, parts: SlotParts, taken: TakenSlot, prompt: SlotPrompt) -> None:
        self._parts = parts
        self._taken = taken
        self._prompt = prompt
        self._held = taken.choice.reused
        """The tokens of the prompt that the slot is known to hold."""
        self._only = len(taken.state.tokens) == self._held * TOKEN_BYTES
        """Whether the slot holds nothing behind them."""
        self._fresh = False
        self._reused: int | None = None
        self._restored = False
        self._stored: set[int] = set()

    @property
    def confirmed(self) -> Confirmation:
        return Confirmation(self._reused or 0, frozenset(self._stored), restored=self._restored)

    async def prepare(self, snapshot: Snapshot | None, flights: Sequence[Flight] = ()) -> None:
        """Reuse what there is of the prompt, and read and keep the rest up to the last mark.

        `snapshot` is restored if the choice of the slot says so. Flights land when their prefix can
        be found.
        """
        choice = self._taken.choice
        self._taken.held_s = self._prompt.steering.held_s
        self._taken.spare = self._prompt.steering.spare
        if choice.erase:
            await self._erase()
        if choice.restore and snapshot is not None:
            await self._restore(snapshot)
        by_size = {flight.size: flight for flight in flights}
        for mark in self._prompt.marks:
            await self._keep(mark, by_size.get(mark.at))

    async def complete(
        self, request: CompletionRequest, media: MediaPrompt | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Continue the prompt in its slot; `media` is sent instead of the tokens."""
        behind = request.tokens[len(self._prompt.tokens) :]
        if media is None:
            await self._approach(len(self._prompt.tokens))
        # llama.cpp tokenizes what follows an image itself.
        known = self._prompt.key + (b"" if media is not None else pack_tokens(behind))
        whole = media is None or not behind
        async with aclosing(self._complete(request, media, known, whole=whole)) as pieces:
            async for piece in pieces:
                yield piece

    async def _complete(
        self, request: CompletionRequest, media: MediaPrompt | None, known: bytes, *, whole: bool
    ) -> AsyncGenerator[Piece, None]:
        """Run a completion, after which the slot holds `known` tokens, and those written.

        If they are not the `whole` prompt, what follows them is unknown.
        """
        use = SlotUse(self._taken.id, fresh=self._fresh)
        self._forget(known)
        written: list[int] = []
        begun = False
        async with aclosing(self._parts.client.complete(request, media, use)) as pieces:
            async for piece in pieces:
                if not begun:
                    begun = True
                    self._begin(use, known)
                whole = whole and piece.tokens is not None
                written.extend(piece.tokens or ())
                if piece.end is not None and whole:
                    # The last token was generated, and never read.
                    answer = written[: request.max_tokens][:-1]
                    self._taken.holds(self._prompt.salt, known + pack_tokens(answer))
                # The reader may close the generator here: nothing may follow.
                yield piece

    async def evaluated(self, prompt: MediaPrompt) -> int:
        """Let llama.cpp read a prompt with an image, and return its number of tokens."""
        # It reuses nothing, so whatever the slot holds is nothing for this salt.
        self._taken.holds(self._prompt.salt, b"")
        return await self._parts.client.evaluated(prompt, SlotUse(self._taken.id))

    async def _keep(self, mark: Mark, flight: Flight | None) -> None:
        """Read the prompt up to a mark and keep that prefix, unless it is kept already."""
        store = self._parts.store
        if store is not None:
            found = store.exact(self._prompt.salt, self._prompt.packed(mark.at))
            if found is not None and await store.renew(found, mark.lifetime_s):
                self._keeps(found.name)
                self._stored.add(mark.at)
                return
        if mark.at > self._held or self._goes_back_to(mark.at):
            if mark.at not in self._prompt.media:
                await self._approach(mark.at)
            await self._read(mark.at)
        elif mark.at < self._held or not self._only:
            if self._parts.rewinds:
                self._stored.add(mark.at)
            return
        if await self._save(mark, flight) or self._parts.rewinds:
            self._stored.add(mark.at)

    def _goes_back_to(self, at: int) -> bool:
        """Return whether the slot is taken back to a prefix that it holds, in order to save it.

        What it holds of the prompt behind it is then read again: at most as much as the snapshot
        will save a later prompt.
        """
        behind = self._held - at
        exact = behind == 0 and self._only
        able = self._parts.rewinds and self._parts.store is not None
        return able and not exact and behind <= max(ENOUGH, at)

    async def _approach(self, at: int) -> None:
        """Read the prompt up to at most a portion before `at`, if it is read in portions.

        A model with recurrent layers reads it at once: what was kept of one after portions has
        been seen to give another answer.
        """
        portion = self._prompt.steering.portion if self._parts.rewinds else None
        while portion is not None and self._held + portion < at:
            async with self._parts.portions:
                await self._read(self._held + portion)

    async def _read(self, at: int) -> None:
        self._held = min(self._held, at)
        request = CompletionRequest(
            tokens=list(self._prompt.tokens[:at]), max_tokens=0, temperature=0.0
        )
        media, known = self._prompt.media.get(at), self._prompt.packed(at)
        async with aclosing(self._complete(request, media, known, whole=True)) as pieces:
            async for _ in pieces:
                pass
        self._held, self._only = at, True

    async def _save(self, mark: Mark, flight: Flight | None) -> bool:
        """Save the slot as the snapshot of a prefix; returns whether there is one."""
        parts, salt = self._parts, self._prompt.salt
        store, tokens = parts.store, self._prompt.tokens[: mark.at]
        if store is None:
            return False
        size, displaces = parts.rates.size_of(mark.at), self._prompt.steering.displaces
        async with store.saving(salt, tokens, size, displaces=displaces) as draft:
            if draft is None:
                return store.keeps(salt, tokens)
            try:
                saved = await parts.client.save_slot(self._taken.id, draft.file)
            except EngineError as error:
                parts.log.warning("llama.cpp did not save a slot", reason=str(error))
                return False
            parts.rates.note_saved(saved.n_saved, saved.n_written)
            kept = draft.keep(
                Written(
                    tokens=saved.n_saved,
                    size=saved.n_written,
                    lifetime_s=mark.lifetime_s,
                    # Not from the start of the request: to read a prompt may take minutes here.
                    used_at=parts.now(),
                    read_ms=parts.rates.read_ms(mark.at),
                )
            )
        self._keeps(draft.name)
        if flight is not None:
            flight.lands_with(kept)
        return True

    def _keeps(self, name: str) -> None:
        if self._prompt.steering.session is not None:
            self._parts.sessions.add(self._prompt.steering.session, name)

    async def _erase(self) -> None:
        """Take the KV of another workspace out of the slot.

        The slot counts as that workspace's until it is certain that nothing of it is left.
        """
        self._held, self._only = 0, True
        if self._parts.erases:
            await self._parts.client.erase_slot(self._taken.id)
            self._taken.holds(self._prompt.salt, b"")
        else:
            self._fresh = True

    async def _restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot; without success the prompt is read from its beginning.

        After a failure in llama.cpp its KV may be wrong in every slot, so the child is ended.
        """
        parts, store = self._parts, self._parts.store
        self._held, self._only = 0, False
        if store is None:  # pragma: no cover - snapshots come from a store
            return
        address = await parts.server.address()
        try:
            async with store.restoring(snapshot) as file:
                self._forget(b"")
                began = parts.clock()
                restored = await parts.client.restore_slot(self._taken.id, file)
        except SnapshotLostError:
            return
        except EngineError as error:
            if error.kind is EngineErrorKind.OVERLOADED:
                raise
            await self._distrust(snapshot, address, str(error))
            return
        if (restored.n_restored, restored.n_read) != (snapshot.token_count, snapshot.size):
            await self._distrust(snapshot, address, "it restored another number of tokens")
            return
        parts.rates.note_restored(snapshot.size, 1000 * (parts.clock() - began))
        self._held, self._only, self._restored = snapshot.token_count, True, True
        self._taken.holds(self._prompt.salt, self._prompt.packed(self._held))

    async def _distrust(self, snapshot: Snapshot, address: str, why: str) -> None:
        parts = self._parts
        parts.log.error("llama.cpp did not restore a snapshot", reason=why)
        parts.server.end(address, "llama.cpp may hold wrong prefixes and is restarted")
        if parts.store is not None:
            await parts.store.discard(snapshot)

    def _forget(self, known: bytes) -> None:
        """Note what is certain of the slot while llama.cpp works in it."""
        if self._fresh:
            # llama.cpp drops what another workspace left when it begins.
            return
        rest = known if self._parts.rewinds else b""
        held = self._prompt.packed(self._held)
        self._taken.holds(self._prompt.salt, held if rest.startswith(held) else b"")

    def _begin(self, use: SlotUse, known: bytes) -> None:
        """Note that a completion has read its prompt, and begins to write."""
        if self._fresh:
            self._fresh = False
            self._taken.holds(self._prompt.salt, b"")
        if use.read:
            self._parts.rates.note_read(use.read, use.read_ms)
            self._parts.tokens_read += use.read
        if self._parts.rewinds:
            self._taken.holds(self._prompt.salt, known)
        self._note_reuse(use)

    def _note_reuse(self, use: SlotUse) -> None:
        """Note how much of the prompt was reused, by the first completion."""
        if self._reused is not None or use.reused is None:
            return
        self._reused, expected = use.reused, self._held
        if use.reused >= expected:
            return
        if expected - use.reused <= CHECKPOINT_GAP and use.reused:
            self._reused = expected
        elif not self._only and self._parts.rewinds:
            self._parts.log.info("this model does not go back to a shorter prefix")
            self._parts.rewinds = False
        elif self._taken.generation == self._parts.server.generation:
            self._parts.mismatches += 1
            self._parts.log.warning(
                "llama.cpp reused less than a slot held", held=expected, reused=use.reused
            )
