"""Locks a data folder and a database for one server, or for servers that share their limits.

A server that counts limits in its memory needs both exclusively: each of two would grant every
limit in full. The folder has a locked file, whose lock ends with the process. In PostgreSQL the
server holds an advisory lock of its session; servers that share their limits hold the same lock
together. PostgreSQL releases the lock when the session ends, for any reason.

Each server increments a number in the database, the term, when it acquires the lock. An exclusive
server that lost its session and finds a later term afterwards knows that another server has served
meanwhile.
"""

import fcntl
import os
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from antiphon.store.data_folder import open_data_folder, unusable
from antiphon.store.database.errors import StoreError
from antiphon.store.database.session import RETRY_S, Session

if TYPE_CHECKING:
    from asyncpg import Connection

LOCK_FILE = "server.lock"

# The time to wait for the lock: another server may be stopping.
WAIT_S = 2.0

# PostgreSQL releases the lock of a vanished machine after 20 seconds; its default could be two
# hours. A session that is cut off notices that within ten seconds, and so earlier.
SESSION = {
    "application_name": "antiphon-server",
    "lock_timeout": str(round(WAIT_S * 1000)),
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# An arbitrary number; the other half of the key is the schema, as a database can have several.
_LOCK = "26844746, hashtext(coalesce(current_schema(), ''))"
_NEXT_TERM = """
    INSERT INTO revision (name, value) VALUES ('term', 1)
    ON CONFLICT (name) DO UPDATE SET value = revision.value + 1 RETURNING value
"""
# A promoted standby may not have our term.
_TERM = """
    INSERT INTO revision (name, value) VALUES ('term', $1)
    ON CONFLICT (name) DO UPDATE SET value = greatest(revision.value, $1) RETURNING value
"""

_ADVICE = "set counters_url to the same Valkey server on both"

# Called with the reason when the lock is lost, and with `None` when it is held again.
OnLockChange = Callable[[str | None], None]


class OccupiedError(StoreError):
    """Another server uses the database, and the two do not share their limits.

    `holder` names its process and its address, as far as they are known.
    """

    def __init__(self, message: str, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


@contextmanager
def lock_data_dir(data_dir: Path, address: str = "") -> Generator[None]:
    """Lock the data folder for this process. The lock ends with the process, for any reason.

    The locked file names the process and the `address` on which it serves, for the error of the
    next one. Raises `OccupiedError` if another server holds the lock, and `DataFolderError`.
    """
    open_data_folder(data_dir)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(data_dir / LOCK_FILE, flags, 0o600)
    except OSError as error:
        raise unusable(data_dir, error) from error
    try:
        _take(descriptor, data_dir, address)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, data_dir: Path, address: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {address}\n".encode(), 0)
    except BlockingIOError as error:
        raise _occupied(data_dir, _holder(descriptor)) from error
    except OSError as error:
        raise unusable(data_dir, error) from error


class Holder(msgspec.Struct, frozen=True):
    """The server that holds the lock of a data folder: its process, and its address if known."""

    process: int
    address: str


def holder_of(data_dir: Path) -> Holder | None:
    """Return the server that holds the lock of a data folder; `None` if there is none.

    One of an earlier release, which does not name itself, is not found.
    """
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        process, address = _named(descriptor)
        # A server that starts in the moment of the look at the lock would find it held. So there
        # is none at what a server has left that is gone.
        if not process or not _is_running(int(process)):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Holder(int(process), address)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def serving_address(data_dir: Path) -> str | None:
    """Return the address of the server that holds the lock of a data folder: `host:port`.

    `None` if there is none, or if it is not known.
    """
    holder = holder_of(data_dir)
    known = holder is not None and re.fullmatch(r".+:\d{1,5}", holder.address)
    return holder.address if holder is not None and known else None


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _holder(descriptor: int) -> str:
    """Read who holds the lock; empty for a file of an earlier release."""
    process, address = _named(descriptor)
    if not process:
        return ""
    return f"process {process}" + (f" on {address}" if address else "")


def _named(descriptor: int) -> tuple[str, str]:
    """Read the process and the address that a locked file names; both are empty without them."""
    text = os.pread(descriptor, 512, 0).decode(errors="replace")
    found = re.fullmatch(r"(\d+) ([!-~]*)\n", text)
    return ("", "") if found is None else (found[1], found[2])


def _occupied(data_dir: Path, holder: str) -> OccupiedError:
    by = f" ({holder})" if holder else ""
    return OccupiedError(
        f"another server{by} uses the data folder {data_dir}. Stop it, or choose another folder "
        f"with --data-dir. To share one folder and its limits, {_ADVICE}",
        holder,
    )


class InstanceLock(Protocol):
    """The right to serve from a database, until it is closed."""

    async def aclose(self) -> None: ...


class NoInstanceLock:
    """No lock: the database is in a data folder, which has a lock of its own."""

    async def aclose(self) -> None:
        """Do nothing."""


class PostgresInstanceLock:
    """Holds the lock, exclusively or shared, and acquires it again when it is lost."""

    def __init__(
        self,
        dial: Callable[[], Awaitable["Connection"]],
        on_change: OnLockChange,
        *,
        exclusive: bool,
        retry_s: float = RETRY_S,
    ) -> None:
        self._on_change = on_change
        self._exclusive = exclusive
        self._term: int | None = None
        self._session = Session(
            "antiphon-store-lock", dial, self._acquire, self._lost, retry_s=retry_s
        )

    async def start(self) -> None:
        """Acquire the lock. Raises `OccupiedError` if another server has it, or `StoreError`."""
        await self._session.start()

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _acquire(self, connection: "Connection") -> None:
        await self._lock(connection)
        if self._term is None:
            self._term = await connection.fetchval(_NEXT_TERM)
        elif self._exclusive and await connection.fetchval(_TERM, self._term) > self._term:
            # Irrevocably: this server cannot know the money that the other one has spent.
            await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})")
            self._on_change("another server has used the database meanwhile: start this one again")
            return
        self._on_change(None)

    async def _lock(self, connection: "Connection") -> None:
        from asyncpg import LockNotAvailableError  # noqa: PLC0415 - an extra

        function = "pg_advisory_lock" if self._exclusive else "pg_advisory_lock_shared"
        try:
            await connection.execute(f"SELECT {function}({_LOCK})")
        except LockNotAvailableError as error:
            self._on_change("another server has the database now")
            raise OccupiedError(
                f"another server uses this database, and the two do not share their limits: "
                f"{_ADVICE}"
            ) from error

    def _lost(self) -> None:
        self._on_change("the database is away")
