"""The tokens that a model has generated so far, from which its answer continues."""

from typing import Final

import msgspec

from antiphon.engines.token.machine import Completer, Piece

REPLACEMENT: Final = "\ufffd"


def text_of(piece: Piece) -> str:
    """Return the text of a piece without invalid bytes, which a model may sample."""
    return piece.text.replace(REPLACEMENT, "")


class _Entry(msgspec.Struct, gc=False):
    """A piece: its position in the answer, its text, and its tokens if known."""

    at: int
    text: str
    tokens: tuple[int, ...] | None


class Transcript:
    """The pieces of an answer; a piece whose tokens are unknown is tokenized from its text."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._length = 0

    def add(self, piece: Piece) -> None:
        self._append(text_of(piece), piece.tokens)

    def cut(self, at: int) -> None:
        """Drop everything from character `at` on.

        Text before `at` that shares a token with it stays, and is tokenized again.
        """
        first = max(entry.at for entry in self._entries if entry.at <= at)
        index = next(n for n, entry in enumerate(self._entries) if entry.at == first)
        remaining = "".join(entry.text for entry in self._entries[index:])[: at - first]
        del self._entries[index:]
        self._length = first
        if remaining:
            self._append(remaining, None)

    async def tokens(self, machine: Completer) -> list[int]:
        """Return all tokens; text without known tokens is tokenized as plain text."""
        tokens: list[int] = []
        for entry in self._entries:
            if entry.tokens is None:
                entry.tokens = tuple(await machine.tokenize(entry.text, control=False))
            tokens += entry.tokens
        return tokens

    def _append(self, text: str, tokens: tuple[int, ...] | None) -> None:
        self._entries.append(_Entry(self._length, text, tokens))
        self._length += len(text)
