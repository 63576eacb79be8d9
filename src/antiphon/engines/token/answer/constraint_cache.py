"""The grammars of answers, kept for the next request that asks the same.

An agent sends the same tools with every request. What a schema becomes depends on it alone, so
grammars are kept by what they were made from, the last ones used, up to so many characters.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from antiphon.engines.token.answer.constraint import Constraint, ConstraintRequest, constrain

CHARACTERS: Final = 8_000_000
"""Characters of all grammars and their questions that are kept at most."""

LONG: Final = 2_000
"""Bytes of a question that takes so long (some milliseconds) that a thread answers it."""


class ConstraintCache:
    """Makes grammars, and keeps those that were used last."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self._room = characters
        self._kept: OrderedDict[bytes, Constraint] = OrderedDict()
        self._making: dict[bytes, asyncio.Task[Constraint]] = {}

    async def of(self, question: ConstraintRequest) -> Constraint:
        """Return what may be answered; raises `SchemaUnsupportedError`."""
        if not question.tools and question.schema is None:
            return constrain(question)
        key = question.key
        found = self._kept.get(key)
        if found is None:
            found = await self._made(key, question)
        else:
            self._kept.move_to_end(key)
        return found

    async def _made(self, key: bytes, question: ConstraintRequest) -> Constraint:
        made = constrain(question) if len(key) < LONG else await self._in_thread(key, question)
        if key not in self._kept:
            self._kept[key] = made
            self._room -= _size(key, made)
        while self._room < 0 and self._kept:
            self._room += _size(*self._kept.popitem(last=False))
        return made

    async def _in_thread(self, key: bytes, question: ConstraintRequest) -> Constraint:
        """Make it once for all who ask at the same time, even if the first of them hangs up."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(
                asyncio.to_thread(constrain, question), name="grammar"
            )
            making.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(making)


def _size(key: bytes, made: Constraint) -> int:
    return len(key) + len(made.grammar or "")
