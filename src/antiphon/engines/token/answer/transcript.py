"""The tokens that a model has written so far, from which its answer continues."""

from typing import Final

import msgspec

from antiphon.engines.token.machine import Piece, TokenMachine

REPLACEMENT: Final = "\ufffd"


def text_of(piece: Piece) -> str:
    """Return the text of a piece, without bytes that are no character: a model may sample any."""
    return piece.text.replace(REPLACEMENT, "")


class _Entry(msgspec.Struct, gc=False):
    """A piece: the character of the answer at which it begins, its text, its tokens if known."""

    at: int
    text: str
    tokens: tuple[int, ...] | None


class Transcript:
    """The pieces of an answer. Where a machine has not shown the tokens of one, its text counts."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._length = 0

    def add(self, piece: Piece) -> None:
        self._append(text_of(piece), piece.tokens)

    def cut(self, at: int) -> None:
        """Forget what was written from character `at` on.

        The text before it that is in one token with it stays, and is tokenized anew.
        """
        first = max(entry.at for entry in self._entries if entry.at <= at)
        place = next(n for n, entry in enumerate(self._entries) if entry.at == first)
        kept = "".join(entry.text for entry in self._entries[place:])[: at - first]
        del self._entries[place:]
        self._length = first
        if kept:
            self._append(kept, None)

    async def tokens(self, machine: TokenMachine) -> list[int]:
        """Return all tokens; text whose tokens are not known is tokenized as plain text."""
        tokens: list[int] = []
        for entry in self._entries:
            if entry.tokens is None:
                entry.tokens = tuple(await machine.tokenize(entry.text, control=False))
            tokens += entry.tokens
        return tokens

    def _append(self, text: str, tokens: tuple[int, ...] | None) -> None:
        self._entries.append(_Entry(self._length, text, tokens))
        self._length += len(text)
