"""The grammars of answers, kept for the next request with the same tools.

An agent sends the same tools with every request. What a schema becomes depends on it alone, so
grammars are kept by what they were made from, the last ones used, up to so many characters.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from antiphon.engines.token.answer.constraint import Constraint, ConstraintRequest, constrain

CHARACTERS: Final = 8_000_000
"""Characters of all grammars and their keys that are kept at most."""

LONG: Final = 2_000
"""Bytes of a key whose grammar takes so long (some milliseconds) that a thread makes it."""


class ConstraintCache:
    """Makes grammars, and keeps those that were used last."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self._room = characters
        self._kept: OrderedDict[bytes, Constraint] = OrderedDict()
        self._making: dict[bytes, asyncio.Task[Constraint]] = {}

    async def of(self, request: ConstraintRequest) -> Constraint:
        """Return the constraint of an answer; raises `SchemaUnsupportedError`."""
        if not request.tools and request.schema is None:
            return constrain(request)
        key = request.key
        found = self._kept.get(key)
        if found is None:
            found = await self._made(key, request)
        else:
            self._kept.move_to_end(key)
        return found

    async def _made(self, key: bytes, request: ConstraintRequest) -> Constraint:
        made = constrain(request) if len(key) < LONG else await self._in_thread(key, request)
        if key not in self._kept:
            self._kept[key] = made
            self._room -= _size(key, made)
        while self._room < 0 and self._kept:
            self._room += _size(*self._kept.popitem(last=False))
        return made

    async def _in_thread(self, key: bytes, request: ConstraintRequest) -> Constraint:
        """Make it once for all requests that wait for it, even if the first one is cancelled."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(
                asyncio.to_thread(constrain, request), name="grammar"
            )
            making.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(making)


def _size(key: bytes, made: Constraint) -> int:
    return len(key) + len(made.grammar or "")
