"""One connection to PostgreSQL outside of the pool, which is replaced when it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from antiphon.store.database.errors import StoreError, explained

if TYPE_CHECKING:
    from asyncpg import Connection
    from sqlalchemy import Engine

# A silent connection may be dead; it is checked at this interval.
HEARTBEAT_S = 5.0
# The pause before another try to connect.
RETRY_S = 0.5


class Session:
    """Keeps a session of the database for a lock or a listener, which end with the session.

    `greet` prepares each new connection, and `lost` is called when one is lost. If `greet` raises
    an exception of the driver or a `StoreError`, the connection is closed and replaced.
    """

    def __init__(  # noqa: PLR0913 - the last two are times for tests
        self,
        name: str,
        dial: Callable[[], Awaitable["Connection"]],
        greet: Callable[["Connection"], Awaitable[None]],
        lost: Callable[[], None],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._dial = dial
        self._greet = greet
        self._lost = lost
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._retry_s = retry_s
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the session has a connection that is not known to be dead."""
        return self._connection is not None

    async def start(self) -> None:
        """Connect, and stay connected until `aclose`. Raises `StoreError` without an answer."""
        try:
            await self._connect()
        except broken() as error:
            raise explained(error) from error
        self._keeper = asyncio.create_task(self._keep(), name=self._name)

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
            self._lost()
            while self._connection is None:
                await asyncio.sleep(self._retry_s)
                with suppress(*broken(), StoreError):
                    await self._connect()

    async def _connect(self) -> None:
        connection = await self._dial()
        try:
            self._ended.clear()
            connection.add_termination_listener(self._on_end)
            await self._greet(connection)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def _until_broken(self) -> None:
        while (connection := self._connection) is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._heartbeat_s)
                return
            try:
                await connection.execute("SELECT 1", timeout=self._heartbeat_s)
            except broken():
                return

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _on_end(self, connection: object) -> None:
        if connection is self._connection:
            self._connection = None
        self._ended.set()


def dialer(
    engine: "Engine", patience_s: float, **server_settings: str
) -> Callable[[], Awaitable["Connection"]]:
    """Return a function that connects like the pool, with these settings of the session."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    options: dict[str, Any] = {"timeout": patience_s}
    # The dialect takes these out before it calls the driver.
    dialects_own = {"prepared_statement_cache_size", "prepared_statement_name_func"}
    options |= {name: value for name, value in arguments.items() if name not in dialects_own}
    if server_settings:
        options["server_settings"] = {**options.get("server_settings", {}), **server_settings}

    async def dial() -> "Connection":
        from asyncpg import connect  # noqa: PLC0415 - an extra

        connection: Connection = await connect(**options)
        return connection

    return dial


def broken() -> tuple[type[Exception], ...]:
    """Return the exceptions of a connection that cannot be opened or is lost."""
    from asyncpg import InterfaceError, InternalClientError, PostgresError  # noqa: PLC0415

    # The last one is what a query gets between the server's farewell and its end of the connection.
    return (OSError, InterfaceError, PostgresError, InternalClientError)
