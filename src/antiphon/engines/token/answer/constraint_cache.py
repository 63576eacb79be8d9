"""A cache of the constraints of answers.

An agent sends the same tools with every request, and a constraint depends on its request alone. The
cache holds the constraints used last, up to a number of characters.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from antiphon.engines.token.answer.constraint import Constraint, ConstraintRequest, constrain

CHARACTERS: Final = 8_000_000
"""The maximum number of characters of all cached grammars and their keys."""

LONG: Final = 2_000
"""From this many bytes of a key on, a thread builds the grammar: it takes milliseconds."""


class ConstraintCache:
    """Builds constraints, and caches those used last."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self._room = characters
        self._cached: OrderedDict[bytes, Constraint] = OrderedDict()
        self._builds: dict[bytes, asyncio.Task[Constraint]] = {}

    async def of(self, request: ConstraintRequest) -> Constraint:
        """Return the constraint of an answer; raises `SchemaUnsupportedError`."""
        if not request.tools and request.schema is None:
            return constrain(request)
        key = request.key
        found = self._cached.get(key)
        if found is None:
            found = await self._build(key, request)
        else:
            self._cached.move_to_end(key)
        return found

    async def _build(self, key: bytes, request: ConstraintRequest) -> Constraint:
        constraint = constrain(request) if len(key) < LONG else await self._in_thread(key, request)
        if key not in self._cached:
            self._cached[key] = constraint
            self._room -= _size(key, constraint)
        while self._room < 0 and self._cached:
            self._room += _size(*self._cached.popitem(last=False))
        return constraint

    async def _in_thread(self, key: bytes, request: ConstraintRequest) -> Constraint:
        """Build it once for all requests that wait for it, even if the first is cancelled."""
        build = self._builds.get(key)
        if build is None:
            build = self._builds[key] = asyncio.create_task(
                asyncio.to_thread(constrain, request), name="grammar"
            )
            build.add_done_callback(lambda _: self._builds.pop(key))
        return await asyncio.shield(build)


def _size(key: bytes, constraint: Constraint) -> int:
    return len(key) + len(constraint.grammar or "")
