"""Work of batches on llama.cpp that is parked when a test says so."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from msgspec.structs import replace

from antiphon.core.hints import OF_BATCH
from antiphon.core.prompt import Prompt, TextChunk
from antiphon.engines.base import Finished, FinishReason
from antiphon.engines.llama.engine import LlamaEngine
from support.caching import asked, text

TOKENS = 24
PIECES = 4
LONG = 300
"""Tokens that a tiny model writes for a second, so that it is still writing at most moments."""


class Ticket:
    """Parks work when a test says so, until it says that the work goes on."""

    def __init__(self) -> None:
        self.stop: Callable[[], None] | None = None
        self.parked = asyncio.Event()
        self.times = 0
        self._going_on = asyncio.Event()

    def watch(self, stop: Callable[[], None] | None) -> None:
        self.stop = stop

    async def park(self) -> None:
        self.times += 1
        self.parked.set()
        await self._going_on.wait()
        self._going_on.clear()

    async def until_parked(self) -> None:
        """Wait until it is parked: a shorter answer than was expected never is."""
        async with asyncio.timeout(60):
            await self.parked.wait()

    def tell(self) -> None:
        """Tell the work to stop."""
        assert self.stop is not None
        self.stop()

    def let_go_on(self) -> None:
        self.parked.clear()
        self._going_on.set()


class Running:
    """An answer to a prompt of a batch, as it is generated."""

    def __init__(self, engine: LlamaEngine, prompt: Prompt, ticket: Ticket | None) -> None:
        self.text = ""
        self.tokens = 0
        self.reason: FinishReason | None = None
        self.pieces = 0
        self.simple = True
        """Whether each of the first pieces was one token: then it is known which."""
        self.on_piece: Callable[[int], None] = lambda _: None
        self._engine = engine
        self._prompt = prompt
        self._ticket = ticket
        self._parks = False
        if ticket is not None:
            self._prompt = replace(prompt, hints=OF_BATCH, parking=ticket)

    def park_at_next_piece(self) -> None:
        """Tell it to stop when the next piece comes. Two tells at once would be one."""
        self._parks = True

    async def __call__(self) -> None:
        async with aclosing(self._engine.generate(self._prompt)) as events:
            async for event in events:
                if isinstance(event, TextChunk):
                    self.text += event.text
                    self.tokens += event.tokens
                    self.pieces += 1
                    self.simple &= event.tokens == 1 or self.pieces > PIECES
                    self.on_piece(self.pieces)
                    if self._parks and self._ticket is not None:
                        self._parks = False
                        self._ticket.tell()
                elif isinstance(event, Finished):
                    self.tokens += event.tokens
                    self.reason = event.reason


async def talkative(
    engine: LlamaEngine, seed: str, words: int = 120, tokens: int = TOKENS, first: int = 0
) -> tuple[Prompt, Running]:
    """Return a prompt to which a random model answers more than a few words, and its answer.

    Looks through the prompts of a seed, of which `first` is the first one.
    """
    for number in range(first, first + 300):
        prompt = asked(text(f"{seed} {number}", words), "What?", marks=[0], tokens=tokens)
        answer = Running(engine, replace(prompt, cache_salt="other"), None)
        await answer()
        if answer.pieces > PIECES and answer.simple:
            return prompt, answer
    raise AssertionError("this model says nothing")
