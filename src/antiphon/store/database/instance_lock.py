"""Who may serve from a PostgreSQL database: one server, or many that share their limits.

A server that keeps its limits in memory has the database to itself, as each of two would grant
the whole of every limit. It holds an advisory lock of the session; those that share their limits
hold the same lock together. PostgreSQL lets go of it when the session ends, however it ends.

Each server counts up the house's term when it moves in. One that was alone, lost its session, and
finds a later term when it is back, knows that somebody has served meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from antiphon.store.database.errors import StoreError
from antiphon.store.database.session import RETRY_S, Session

if TYPE_CHECKING:
    from asyncpg import Connection

# How long somebody who is about to leave is waited for.
WAIT_S = 2.0

# PostgreSQL lets go of the lock of a machine that has vanished after 20 seconds: its own answer
# could be two hours. A session that is cut off notices within ten, and so before.
SESSION = {
    "application_name": "antiphon-server",
    "lock_timeout": str(round(WAIT_S * 1000)),
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# Any number does; the other half of the key is the schema, as several can be in a database.
_LOCK = "26844746, hashtext(coalesce(current_schema(), ''))"
_NEXT_TERM = """
    INSERT INTO revision (name, value) VALUES ('term', 1)
    ON CONFLICT (name) DO UPDATE SET value = revision.value + 1 RETURNING value
"""
# A standby that was promoted may not have heard of our term.
_TERM = """
    INSERT INTO revision (name, value) VALUES ('term', $1)
    ON CONFLICT (name) DO UPDATE SET value = greatest(revision.value, $1) RETURNING value
"""

# Told why nothing may be granted now, or `None` when it may again.
OnLockChange = Callable[[str | None], None]


class OccupiedError(StoreError):
    """Another server has the database, and the two do not share their limits."""


class InstanceLock(Protocol):
    """The right to serve from a database, until it is closed."""

    async def aclose(self) -> None: ...


class NoInstanceLock:
    """Nobody is asked: the database is in a folder that a server has to itself."""

    async def aclose(self) -> None:
        """Nothing is held."""


class PostgresInstanceLock:
    """Holds the lock: alone, or together with others. `told` hears when it is lost, and back."""

    def __init__(
        self,
        dial: Callable[[], Awaitable["Connection"]],
        told: OnLockChange,
        *,
        alone: bool,
        retry_s: float = RETRY_S,
    ) -> None:
        self._told = told
        self._alone = alone
        self._term: int | None = None
        self._session = Session(
            "antiphon-store-tenancy", dial, self._move_in, self._moved_out, retry_s=retry_s
        )

    async def start(self) -> None:
        """Take the lock. Raises `OccupiedError` if another server has it, or else `StoreError`."""
        await self._session.start()

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _move_in(self, connection: "Connection") -> None:
        await self._lock(connection)
        if self._term is None:
            self._term = await connection.fetchval(_NEXT_TERM)
        elif self._alone and await connection.fetchval(_TERM, self._term) > self._term:
            # For good: what the other has spent is not known here.
            await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})")
            self._told("another server has used the database meanwhile: start this one again")
            return
        self._told(None)

    async def _lock(self, connection: "Connection") -> None:
        from asyncpg import LockNotAvailableError  # noqa: PLC0415 - an extra

        function = "pg_advisory_lock" if self._alone else "pg_advisory_lock_shared"
        try:
            await connection.execute(f"SELECT {function}({_LOCK})")
        except LockNotAvailableError as error:
            self._told("another server has the database now")
            raise OccupiedError(
                "another server uses this database, and the two do not share their limits"
            ) from error

    def _moved_out(self) -> None:
        self._told("the database is away")
