"""PostgreSQL: a pool of connections, and one more that listens."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from antiphon.store.backend import Backend
from antiphon.store.changes import CHANNEL, ChangeSignal
from antiphon.store.errors import StoreError, explained

if TYPE_CHECKING:
    from asyncpg import Connection

# A connection that says nothing may be dead without a word; it is asked this often.
HEARTBEAT_S = 5.0
# A server that is down is tried again after this time.
RETRY_S = 0.5


def open_postgresql(url: URL, patience_s: float) -> Backend:
    """Open nothing yet: the pool connects when it is first used."""
    try:
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            # The database is not in the way of a request, so a question before each use is free,
            # and a server that was restarted is not noticed by anybody.
            pool_pre_ping=True,
            connect_args={"timeout": patience_s},
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs a driver: pip install 'antiphon[postgres]'") from error
    except ArgumentError as error:
        raise StoreError("The URL of the PostgreSQL database cannot be used") from error

    async def watch() -> ChangeSignal:
        signal = PostgresSignal(_dialer(engine, patience_s))
        await signal.start()
        return signal

    readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Backend(readers=readers, writers=engine, watch=watch)


class PostgresSignal:
    """Counts what `NOTIFY` tells.

    While nobody listens (the server restarts, the network is away) every answer is a new one:
    then there is a question per request again, but never an old answer.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable["Connection"]],
        heartbeat_s: float = HEARTBEAT_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._dial = dial
        self._heartbeat_s = heartbeat_s
        self._retry_s = retry_s
        self._count = 0
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and keep listening until `aclose`."""
        try:
            await self._listen()
        except _broken() as error:
            raise explained(error) from error
        self._keeper = asyncio.create_task(self._keep(), name="antiphon-store-listener")

    def version(self) -> int:
        if self._connection is None:
            self._count += 1
        return self._count

    def touch(self) -> None:
        """Learn of an own change at once; its notice takes the way through the server."""
        self._count += 1

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        self._hang_up()

    async def _keep(self) -> None:
        while True:
            await self._until_broken()
            self._hang_up()
            while self._connection is None:
                await asyncio.sleep(self._retry_s)
                with suppress(*_broken()):
                    await self._listen()

    async def _listen(self) -> None:
        connection = await self._dial()
        try:
            self._ended.clear()
            connection.add_termination_listener(self._on_end)
            await connection.add_listener(CHANNEL, self._on_notice)
        except BaseException:
            connection.terminate()
            raise
        # What was changed until now was missed; from here on nothing is.
        self._count += 1
        self._connection = connection

    async def _until_broken(self) -> None:
        while (connection := self._connection) is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._heartbeat_s)
                return
            try:
                await connection.execute("SELECT 1", timeout=self._heartbeat_s)
            except _broken():
                return

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _on_notice(self, *_notice: object) -> None:
        self._count += 1

    def _on_end(self, connection: object) -> None:
        if connection is self._connection:
            self._connection = None
        self._ended.set()


def _dialer(engine: AsyncEngine, patience_s: float) -> Callable[[], Awaitable["Connection"]]:
    """Connect as the pool does, with a connection of our own."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    options: dict[str, Any] = {"timeout": patience_s}
    # The dialect takes these out before it calls the driver.
    dialects_own = {"prepared_statement_cache_size", "prepared_statement_name_func"}
    options |= {name: value for name, value in arguments.items() if name not in dialects_own}

    async def dial() -> "Connection":
        from asyncpg import connect  # noqa: PLC0415 - an extra, so not everybody has it

        connection: Connection = await connect(**options)
        return connection

    return dial


def _broken() -> tuple[type[Exception], ...]:
    """Name what the driver raises where a connection cannot be made or is lost."""
    from asyncpg import InterfaceError, PostgresError  # noqa: PLC0415

    return (OSError, InterfaceError, PostgresError)
