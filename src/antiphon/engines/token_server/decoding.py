"""The tokens of an answer as pieces of text, one after the other."""

from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.core.stop_sequences import StopScanner
from antiphon.engines.token.machine import Piece, PieceEnd
from antiphon.engines.token_server.vocabulary import Vocabulary

REPLACEMENT: Final = "\ufffd"
MOST_HELD: Final = 4
"""A character has at most four bytes, and so many tokens."""
BEFORE: Final = 4


class TextDecoder:
    """Turns tokens into text that never ends within a character.

    Some vocabularies write a space as the beginning of a token, and drop it in front of a text: so
    each token is decoded together with those before it, at first with the end of the prompt.
    """

    def __init__(self, vocabulary: Vocabulary, prompt: Sequence[int], shown: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._shown = frozenset(shown)
        end = (token for token in prompt[-2 * BEFORE :] if token not in vocabulary.spellings)
        self._before = list(end)[-BEFORE:]
        self._known = vocabulary.text(self._before)
        self._held: list[int] = []

    def add(self, token: int) -> str:
        """Return the text that a token completes; of a control token, if it is to be shown."""
        spelling = self._vocabulary.spellings.get(token)
        if spelling is not None:
            self._held.clear()
            shows = token not in self._vocabulary.silent or spelling in self._shown
            return spelling if shows else ""
        self._held.append(token)
        text = self._vocabulary.text([*self._before, *self._held])[len(self._known) :]
        is_open = not text or text.endswith(REPLACEMENT)
        if is_open and len(self._held) < MOST_HELD:
            return ""
        self._before = self._held
        self._known = self._vocabulary.text(self._before)
        self._held = []
        return text


class PieceDecoder:
    """Turns the tokens of a completion into pieces. `ended` is set behind a stop text.

    Nothing of a text that may become one of `stop` is in a piece before it is known not to.
    """

    def __init__(self, decoder: TextDecoder, stop: Sequence[str]) -> None:
        self.ended = False
        self._decoder = decoder
        self._scanner = StopScanner(stop)
        self._tokens: list[int] = []

    def feed(self, tokens: Sequence[int]) -> Iterator[Piece]:
        """Yield the pieces of further tokens, and the end if they have a stop text."""
        for token in tokens:
            self._tokens.append(token)
            text = self._decoder.add(token)
            if not text:
                continue
            scan = self._scanner.feed(text)
            if scan.text or scan.match is not None:
                yield self._piece(scan.text)
            if scan.match is not None:
                self.ended = True
                yield Piece(end=PieceEnd.STOP)
                return

    def end(self, reason: PieceEnd, tokens: int = 0) -> Iterator[Piece]:
        """Yield the rest of the text and the end, which has `tokens` of its own."""
        self.ended = True
        if rest := self._scanner.flush():
            yield self._piece(rest)
        yield Piece(count=len(self._tokens) + tokens, end=reason)

    def _piece(self, text: str) -> Piece:
        tokens, self._tokens = tuple(self._tokens), []
        return Piece(text=text, count=len(tokens), tokens=tokens)
