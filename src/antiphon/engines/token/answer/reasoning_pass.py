"""The first half of an answer: a thought, in a completion of its own.

A completion that ends by itself, at the closing or when the budget is used up, leaves the KV of
all it has read and written in a slot that is free; one that is broken off leaves it in a slot that
is busy for another moment, and the answer would have to read the whole prompt again in another.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from antiphon.engines.base import EngineError, EngineErrorKind, EngineEvent, Prompt, ThinkingChunk
from antiphon.engines.llama.client import Completes, Completion, Piece
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags

REPLACEMENT: Final = "\ufffd"


class ReasoningPass:
    """A thought in the making.

    Afterwards `used` is how many tokens it has cost, and `tokens` what the answer goes on from:
    the prompt, what was thought, and its closing, which is not the caller's to pay if the model
    did not write it.
    """

    def __init__(self, tokens: list[int], marks: ReasoningTags) -> None:
        self.tokens = tokens
        self.used = 0
        self._marks = marks
        self._written: list[int | str] = []
        self._told = 0
        self._closed = False

    async def think(
        self, client: Completes, prompt: Prompt, most: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Have at most `most` tokens of thought written."""
        if most > 0:
            async with aclosing(client.complete(self._completion(prompt, most))) as pieces:
                async for piece in pieces:
                    for event in self._read(piece):
                        yield event
        self.tokens = [*self.tokens, *await self._after(client)]

    def _completion(self, prompt: Prompt, most: int) -> Completion:
        return Completion(
            prompt=self.tokens,
            n_predict=most,
            temperature=prompt.temperature,
            top_p=prompt.top_p,
            top_k=prompt.top_k,
            stop=(self._marks.closing,),
            preserved_tokens=self._marks.tokens,
        )

    def _read(self, piece: Piece) -> list[EngineEvent]:
        fresh = piece.tokens_predicted - self.used
        self.used = piece.tokens_predicted
        text = piece.content.replace(REPLACEMENT, "")
        if piece.stop:
            self._closed = piece.stop_type == "word"
            if piece.stop_type not in {"word", "eos", "limit"}:
                raise stopped_for_no_reason(piece)
        elif fresh:
            # Of a character in several tokens llama.cpp shows the last one only.
            self._written += piece.tokens if len(piece.tokens) == fresh else [text]
        if text or piece.stop:
            return self._chunk(text)
        return []

    def _chunk(self, text: str) -> list[EngineEvent]:
        """Show a piece of thought; the closing has a price, but no text."""
        tokens, self._told = self.used - self._told, self.used
        return [ThinkingChunk(text, tokens)] if text or tokens else []

    async def _after(self, client: Completes) -> list[int]:
        tokens: list[int] = []
        for part in self._written:
            if isinstance(part, int):
                tokens.append(part)
            else:
                tokens += await client.tokenize(part, control=False)
        ending = self._marks.gap if self._closed else self._marks.end
        return tokens + (await client.tokenize(ending, control=True) if ending else [])


def stopped_for_no_reason(last: Piece) -> EngineError:
    """Make the error for an end that llama.cpp does not explain."""
    return EngineError(
        EngineErrorKind.FAILED, f"llama.cpp stopped for an unknown reason: {last.stop_type!r}"
    )
