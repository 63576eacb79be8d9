"""The first half of an answer: reasoning, in a completion of its own.

A completion that ends by itself, at the closing tag or at the budget, leaves its KV cache in a free
slot, where the answer continues. An aborted completion keeps its slot busy a moment longer, so the
answer would have to read the whole prompt again in another slot.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from antiphon.core.stop_sequences import StopScanner
from antiphon.engines.base import EngineError, EngineErrorKind, EngineEvent, Prompt, ThinkingChunk
from antiphon.engines.token.answer.transcript import Transcript, text_of
from antiphon.engines.token.machine import Completer, CompletionRequest, Piece, PieceEnd
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


class ReasoningPass:
    """Runs the reasoning of a model, up to a number of tokens.

    It ends at its closing, and where the model writes one of `turn_ends`, which end a turn.
    Afterwards `used` is the number of tokens that the reasoning cost, and `tokens` holds the input
    of the answer: the prompt, the reasoning and its closing. A closing that the model did not
    generate itself is not charged.
    """

    def __init__(
        self, tokens: list[int], tags: ReasoningTags, turn_ends: tuple[str, ...] = ()
    ) -> None:
        self.tokens = tokens
        self.used = 0
        self._tags = tags
        self._transcript = Transcript()
        self._unpriced = 0
        self._closed = False
        self._closing_is_known = True
        self._scanner = StopScanner(turn_ends)
        self._length = 0  # of the reasoning without what may end it
        self._ended = False

    async def run(
        self, machine: Completer, prompt: Prompt, max_tokens: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of at most `max_tokens` tokens of reasoning."""
        if max_tokens > 0:
            async with aclosing(machine.complete(self._request(prompt, max_tokens))) as pieces:
                async for piece in pieces:
                    for event in self._read(piece):
                        yield event
                    if self._ended:
                        break
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
            # If the model closes its reasoning, the last of these pieces ends with the closing.
            self._closing_is_known = piece.tokens is not None
        text = self._scanned(piece)
        is_end = self._ended or piece.end is not None
        return self._chunk(text) if text or is_end else []

    def _scanned(self, piece: Piece) -> str:
        """Return the text that can be no part of a mark, and stop at a whole one."""
        scan = self._scanner.feed(text_of(piece))
        text = scan.text
        self._length += len(text)
        if scan.match is not None:
            self._ended = True
            self._transcript.cut(self._length)
        elif piece.end is not None:
            text += self._scanner.flush()
        return text

    def _chunk(self, text: str) -> list[EngineEvent]:
        """Return the event of a piece of reasoning. The closing has tokens, but no text."""
        tokens, self._unpriced = self._unpriced, 0
        return [ThinkingChunk(text, tokens)] if text or tokens else []

    @property
    def _ending(self) -> str:
        """The text between the tokens of the reasoning and the answer."""
        if not self._closed:
            return self._tags.end
        return self._tags.gap if self._closing_is_known else self._tags.closing + self._tags.gap


def unexpected_end(end: PieceEnd) -> EngineError:
    """Return the error for an end that the request did not allow."""
    return EngineError(EngineErrorKind.FAILED, f"the machine ended an answer by {end.value!r}")
