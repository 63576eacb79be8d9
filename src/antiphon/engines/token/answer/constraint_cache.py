"""A cache of the constraints of answers.

An agent sends the same tools with every request, and a constraint depends on its request alone. The
cache holds the constraints used last, up to a number of characters.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Final

from antiphon.engines.step_runner import StepRunner
from antiphon.engines.token.answer.constraint import Constraint, ConstraintRequest, constrain

CHARACTERS: Final = 8_000_000
"""The maximum number of characters of all cached grammars and their keys."""

LONG: Final = 16_000
"""From this many bytes of a key on, a thread builds the grammar: writing it takes milliseconds."""


class ConstraintCache:
    """Builds constraints, and caches those used last."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self._room = characters
        self._cached: OrderedDict[bytes, Constraint] = OrderedDict()
        self._builds: dict[bytes, _Build] = {}
        self._runner = StepRunner()

    async def of(self, request: ConstraintRequest) -> Constraint:
        """Return the constraint of an answer; raises `SchemaUnsupportedError`."""
        if not request.tools and request.schema is None:
            return constrain(request)
        key = request.key
        found = self._cached.get(key)
        if found is None:
            found = await self._built(key, request)
        else:
            self._cached.move_to_end(key)
        return found

    async def _built(self, key: bytes, request: ConstraintRequest) -> Constraint:
        """Build it once for all requests that wait for it; the last one to leave ends the work."""
        build = self._builds.get(key)
        if build is None:
            task = asyncio.create_task(self._build(key, request), name="grammar")
            build = self._builds[key] = _Build(task)
        build.waiting += 1
        try:
            return await asyncio.shield(build.task)
        finally:
            build.waiting -= 1
            if not build.waiting:
                del self._builds[key]
                build.task.cancel()

    async def _build(self, key: bytes, request: ConstraintRequest) -> Constraint:
        constraint = await self._runner.run(partial(constrain, request), brief=len(key) < LONG)
        self._cached[key] = constraint
        self._room -= _size(key, constraint)
        while self._room < 0 and self._cached:
            self._room += _size(*self._cached.popitem(last=False))
        return constraint


@dataclass(slots=True)
class _Build:
    """A constraint that is being built, and the number of requests that wait for it."""

    task: asyncio.Task[Constraint]
    waiting: int = 0


def _size(key: bytes, constraint: Constraint) -> int:
    return len(key) + len(constraint.grammar or "")
