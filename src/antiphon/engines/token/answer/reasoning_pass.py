"""The first half of an answer: reasoning, in a completion of its own.

A completion that ends by itself, at the closing or when the budget is used up, leaves its KV in a
free slot, and the answer continues there. One that is broken off keeps its slot busy for another
moment, so that the answer would have to read the whole prompt again in another slot.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from antiphon.engines.base import EngineError, EngineErrorKind, EngineEvent, Prompt, ThinkingChunk
from antiphon.engines.token.answer.transcript import Transcript, text_of
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd, TokenMachine
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


class ReasoningPass:
    """Has a model reason, up to a number of tokens.

    Afterwards `used` is how many tokens that has cost, and `tokens` what the answer goes on from:
    the prompt, the reasoning and its closing. A closing that the model did not write itself is
    not charged.
    """

    def __init__(self, tokens: list[int], tags: ReasoningTags) -> None:
        self.tokens = tokens
        self.used = 0
        self._tags = tags
        self._transcript = Transcript()
        self._unpriced = 0
        self._closed = False
        self._closing_is_known = True

    async def run(
        self, machine: TokenMachine, prompt: Prompt, max_tokens: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Yield at most `max_tokens` tokens of reasoning."""
        if max_tokens > 0:
            async with aclosing(machine.complete(self._request(prompt, max_tokens))) as pieces:
                async for piece in pieces:
                    for event in self._read(piece):
                        yield event
        ending = await machine.tokenize(self._ending, control=True) if self._ending else []
        self.tokens = [*self.tokens, *await self._transcript.tokens(machine), *ending]

    def _request(self, prompt: Prompt, max_tokens: int) -> CompletionRequest:
        return CompletionRequest(
            tokens=self.tokens,
            max_tokens=max_tokens,
            temperature=prompt.temperature,
            top_p=prompt.top_p,
            top_k=prompt.top_k,
            stop=(self._tags.closing,),
            shown=self._tags.tokens,
        )

    def _read(self, piece: Piece) -> list[EngineEvent]:
        self.used += piece.count
        self._unpriced += piece.count
        if piece.end is not None:
            self._closed = piece.end is PieceEnd.STOP
        else:
            self._transcript.add(piece)
            # The last of these pieces is the one that ends in the closing, if the model closes.
            self._closing_is_known = piece.tokens is not None
        text = text_of(piece)
        return self._chunk(text) if text or piece.end is not None else []

    def _chunk(self, text: str) -> list[EngineEvent]:
        """Show a piece of reasoning. The closing has a price, but no text."""
        tokens, self._unpriced = self._unpriced, 0
        return [ThinkingChunk(text, tokens)] if text or tokens else []

    @property
    def _ending(self) -> str:
        """What stands between the tokens of the reasoning and the answer."""
        if not self._closed:
            return self._tags.end
        return self._tags.gap if self._closing_is_known else self._tags.closing + self._tags.gap


def unexpected_end(end: PieceEnd) -> EngineError:
    """Make the error for an end that no request asked for."""
    return EngineError(EngineErrorKind.FAILED, f"the machine ended an answer by {end.value!r}")
