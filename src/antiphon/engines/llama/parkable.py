"""The completions of a prompt that is parked for others: its slot is free meanwhile.

    take a slot, read ─► complete ─► …
          ▲                 │ stopped: llama.cpp computes nothing, the slot is given back
          └──── goes on ────┘ with the tokens that were written as a part of the prompt

A slot that nobody else has taken still holds all of them, so nothing is computed again; otherwise
the prompt is read again, like any other one.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from functools import partial

from msgspec.structs import replace

from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.prompt_slot import PromptSlot, SlotPrompt
from antiphon.engines.llama.snapshots.prefixes import pack_tokens
from antiphon.engines.parkable import ParkableWork, StoppedError
from antiphon.engines.token.answer.transcript import Transcript
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd

TakeSlot = Callable[[SlotPrompt], AbstractAsyncContextManager[PromptSlot]]
"""Takes a slot for a prompt, until the end of the block."""


class ParkableCompletions:
    """The completions of one prompt. Call `open` first, and `aclose` at last."""

    def __init__(
        self, client: LlamaClient, take: TakeSlot, prompt: SlotPrompt, parking: Parking
    ) -> None:
        self._client = client
        self._take = take
        self._prompt = prompt
        self._parking = parking
        self._work = ParkableWork(parking)
        self._taken = AsyncExitStack()
        self._slot: PromptSlot | None = None

    @property
    def confirmed(self) -> Confirmation:
        """What was reused when the prompt was last read: of a parked one also what it had read."""
        return Confirmation(0) if self._slot is None else self._slot.confirmed

    async def open(self) -> None:
        """Take a slot, and read the prompt up to its last mark."""
        await self._go_on(())

    async def aclose(self) -> None:
        """Give back the slot."""
        self._parking.watch(None)
        await self._taken.aclose()

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._client.tokenize(text, control=control, ends=ends)

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        """Continue the prompt, however often the work is parked.

        A grammar cannot begin in the middle of its text: with one the work cannot be parked.
        """
        completion = self._whole if request.grammar is not None else self._parted
        async with aclosing(completion(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def _whole(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        await self._work.hold()
        async with aclosing(self._in_slot.complete(request)) as pieces:
            async for piece in pieces:
                yield piece
        self._work.let_go()

    async def _parted(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        written = Transcript()
        left = request.max_tokens
        part = request
        while True:
            # Tokens without text wait for their text: it may begin in them.
            held: list[Piece] = []
            try:
                async with aclosing(self._in_slot.complete(part)) as pieces:
                    while True:
                        held.append(await self._work.step(partial(anext, pieces)))
                        if held[-1].text or held[-1].end is not None:
                            piece, held = _joined(held), []
                            written.add(piece)
                            left -= piece.count
                            yield piece
                            if piece.end is not None:
                                return
            except StoppedError:
                await self._make_way()
                tokens = [*request.tokens, *await written.tokens(self)]
                await self._go_on(tokens)
                if left <= 0 < request.max_tokens:
                    yield Piece(end=PieceEnd.LIMIT)
                    return
                part = replace(request, tokens=tokens, max_tokens=left)

    @property
    def _in_slot(self) -> PromptSlot:
        if self._slot is None:
            raise AssertionError("open was not called")
        return self._slot

    async def _go_on(self, tokens: Sequence[int]) -> None:
        """Take a slot for the prompt, or for these `tokens`, which begin with it."""
        prompt = self._prompt
        if tokens:
            prompt = replace(prompt, tokens=tokens, key=pack_tokens(tokens), enough=1)
        while True:
            try:
                self._slot = await self._work.step(
                    partial(self._taken.enter_async_context, self._take(prompt))
                )
            except StoppedError:
                await self._make_way()
            else:
                return

    async def _make_way(self) -> None:
        """Give back the slot, and wait until the work may go on."""
        self._slot = None
        await self._taken.aclose()
        await self._work.park()


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Return one piece of several; all but the last have no text."""
    tokens: tuple[int, ...] | None = ()
    for piece in pieces:
        tokens = None if tokens is None or piece.tokens is None else tokens + piece.tokens
    return replace(pieces[-1], count=sum(piece.count for piece in pieces), tokens=tokens)
