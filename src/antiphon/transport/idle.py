"""Idle connections, kept by the server that they lead to."""

from collections import OrderedDict
from math import inf
from typing import Generic, TypeVar

from antiphon.transport.targets import Origin

C = TypeVar("C")


class IdleConnections(Generic[C]):
    """Keeps idle connections, each until its time. Closes none itself, and needs a lock around it.

    Of several to one server the newest is taken, so that the others can grow old. An interrupt in
    the middle of a change may leave a connection in one of the two tables alone, so nothing relies
    on both having it.
    """

    def __init__(self) -> None:
        self._by_origin: dict[Origin, dict[C, None]] = {}
        self._all: OrderedDict[C, tuple[Origin, float]] = OrderedDict()
        self._none_before = inf

    def __len__(self) -> int:
        return len(self._all)

    def put(self, origin: Origin, connection: C, until: float) -> int:
        """Keep a connection `until` a time of the clock, which is later than those before it.

        Return how many are kept.
        """
        self._none_before = min(self._none_before, until) if self._all else until
        self._all[connection] = (origin, until)
        self._by_origin.setdefault(origin, {})[connection] = None
        return len(self._all)

    def take(self, origin: Origin) -> C | None:
        """Take the newest connection to a server."""
        idle = self._by_origin.get(origin)
        if not idle:
            return None
        connection, _ = idle.popitem()
        if not idle:
            self._by_origin.pop(origin, None)
        self._all.pop(connection, None)
        return connection

    def discard(self, connection: C) -> bool:
        """Forget a connection. Return whether it was kept."""
        entry = self._all.pop(connection, None)
        if entry is None:
            return False
        idle = self._by_origin.get(entry[0], {})
        idle.pop(connection, None)
        if not idle:
            self._by_origin.pop(entry[0], None)
        return True

    def oldest(self) -> C | None:
        """Take the connection that has been idle for longest."""
        connection = next(iter(self._all), None)
        if connection is not None:
            self.discard(connection)
        return connection

    def expired(self, now: float) -> C | None:
        """Take a connection whose time is over, the oldest first."""
        if now < self._none_before:  # as in nearly every call
            return None
        for connection, (_, until) in self._all.items():
            self._none_before = until
            if until > now:
                return None
            self.discard(connection)
            return connection
        self._none_before = inf
        return None

    def clear(self) -> list[C]:
        """Take all."""
        every = list(self._all)
        self._all.clear()
        self._by_origin.clear()
        return every
