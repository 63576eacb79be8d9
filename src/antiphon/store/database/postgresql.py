"""PostgreSQL: a pool of connections, one more that listens, and one that holds the lock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import ArgumentError

from antiphon.store.database.backend import Backend
from antiphon.store.database.changes import CHANNEL, ChangeSignal
from antiphon.store.database.connection import AsyncConnection, connect, place_of
from antiphon.store.database.errors import StoreError, unreachable
from antiphon.store.database.instance_lock import (
    SESSION,
    InstanceLock,
    OnLockChange,
    PostgresInstanceLock,
)
from antiphon.store.database.session import HEARTBEAT_S, RETRY_S, Session, broken, dialer

if TYPE_CHECKING:
    from asyncpg import Connection


def open_postgresql(url: URL, patience_s: float) -> Backend:
    """Return the parts of a PostgreSQL database; the pool connects when it is first used."""
    try:
        engine = create_engine(
            url.set(drivername="postgresql+asyncpg"),
            # No request waits for the database, so a ping before each use delays none, and a
            # restart of the server fails no transaction.
            pool_pre_ping=True,
            # By default a lock is waited for without an end.
            connect_args={
                "timeout": patience_s,
                "server_settings": {"lock_timeout": str(round(patience_s * 1000))},
            },
            hide_parameters=True,
            # Each transaction is settled; a rollback more would wait for the database once more.
            pool_reset_on_return=None,
        )
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs a driver: pip install 'antiphon[postgres]'") from error
    except ArgumentError as error:
        raise StoreError("The URL of the PostgreSQL database cannot be used") from error

    async def watch() -> ChangeSignal:
        signal = PostgresSignal(dialer(engine, patience_s))
        await signal.start()
        return signal

    async def acquire(on_change: OnLockChange, exclusive: bool) -> InstanceLock:  # noqa: FBT001 - a word of the port
        dial = dialer(engine, patience_s, **SESSION)
        lock = PostgresInstanceLock(dial, on_change, exclusive=exclusive)
        await lock.start()
        return lock

    async def connect_in_time(pool: Engine) -> AsyncConnection:
        try:
            # Also limits the ping of a connection whose server is silent.
            async with asyncio.timeout(patience_s):
                return await connect(pool)
        except broken() as error:
            raise unreachable(error, place_of(url)) from error

    readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Backend(
        readers=readers, writers=engine, watch=watch, acquire=acquire, connect=connect_in_time
    )


class PostgresSignal:
    """Counts the notices of changes.

    Without a connection to listen on (the server restarts, the network is away) every version is a
    new one: each request then reads the accounts, and never gets old ones.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable["Connection"]],
        heartbeat_s: float = HEARTBEAT_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._count = 0
        self._breaks = 0
        self._session = Session(
            "antiphon-store-listener",
            dial,
            self._listen,
            self._break,
            heartbeat_s=heartbeat_s,
            retry_s=retry_s,
        )

    async def start(self) -> None:
        """Listen, and keep listening until `aclose`."""
        await self._session.start()

    def version(self) -> int:
        if not self._session.alive:
            self._count += 1
        return self._count

    def breaks(self) -> int:
        """Return how often a connection was lost, and how often there was a new one."""
        return self._breaks

    def touch(self) -> None:
        """Count a change of this process at once; its notice arrives later through the server."""
        self._count += 1

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _listen(self, connection: "Connection") -> None:
        await connection.add_listener(CHANNEL, self._on_notice)
        # Changes until now were missed; later ones are not.
        self._break()

    def _break(self) -> None:
        self._breaks += 1
        self._count += 1

    def _on_notice(self, *_notice: object) -> None:
        self._count += 1
