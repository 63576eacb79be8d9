"""What goes wrong in a run, and when: the schedule that every seam asks."""

import errno
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Fault(StrEnum):
    """A kind of trouble that lasts for a while."""

    DISK_FULL = "the disk is full"
    DISK_BROKEN = "the disk cannot be read or written"
    DATABASE_BUSY = "another program writes to the database"
    DATABASE_HANGS = "the database does not answer"
    COMMIT_UNKNOWN = "a commit is done, and reported as an error"
    SYNC_FAILS = "the journal cannot be synced"
    COUNTERS_AWAY = "the shared counters refuse connections"
    COUNTERS_HANG = "the shared counters do not answer"
    COUNTERS_ANSWERS_LOST = "the shared counters do what is asked, and the answer is lost"


class Window(msgspec.Struct, frozen=True):
    """From when to when a fault lasts, in seconds of the run; for one server, or for all."""

    fault: Fault
    begin: float
    end: float
    server: str | None = None


WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT", "BEGIN IMMEDIATE")
# Steps of the driver that touch no disk, or cannot fail.
_HARMLESS = ("ROLLBACK", "CLOSE", "CURSOR", "FETCH")
# Which statements a fault concerns. A transaction that begins needs no room on the disk.
_CONCERNS = {
    Fault.DISK_BROKEN: ("",),
    Fault.DISK_FULL: ("INSERT", "UPDATE", "COMMIT"),
    Fault.DATABASE_BUSY: ("BEGIN IMMEDIATE",),
}
# How SQLite says it: its words, and the name of its code.
_SAID = {
    Fault.DISK_BROKEN: ("disk I/O error", "SQLITE_IOERR_WRITE"),
    Fault.DISK_FULL: ("database or disk is full", "SQLITE_FULL"),
    Fault.DATABASE_BUSY: ("database is locked", "SQLITE_BUSY"),
}

# What a statement meets: an error in its place, an error after it was done, or neither.
Meets: TypeAlias = tuple[sqlite3.Error | None, sqlite3.Error | None]


@dataclass
class Faults:
    """The schedule of one run. `time` tells the seconds since it began."""

    time: Callable[[], float]
    windows: list[Window] = field(default_factory=list)
    # The write that fails, of all that are made; the first is 1.
    failing_write: int | None = None
    writes: int = 0
    met: dict[str, int] = field(default_factory=dict)
    over: bool = False

    def end(self) -> None:
        """Let nothing go wrong from now on."""
        self.over = True

    def until(self, fault: Fault, server: str) -> float | None:
        """Return when a fault that lasts now will be over, or `None` where there is none."""
        if self.over:
            return None
        now = self.time()
        ends = [
            window.end
            for window in self.windows
            if window.fault is fault
            and window.begin <= now < window.end
            and window.server in (None, server)
        ]
        if not ends:
            return None
        self.met[fault] = self.met.get(fault, 0) + 1
        return max(ends)

    def lasts(self, fault: Fault, server: str) -> bool:
        return self.until(fault, server) is not None

    def statement(self, sql: str, server: str) -> Meets:
        """Decide what happens to a statement of SQLite."""
        if not sql or sql.startswith(_HARMLESS):
            return None, None
        if sql.startswith(WRITES):
            self.writes += 1
            if self.writes == self.failing_write and not self.over:
                self.met["write"] = 1
                return _error(Fault.DISK_BROKEN), None
        if sql.startswith("COMMIT") and self.lasts(Fault.COMMIT_UNKNOWN, server):
            return None, _error(Fault.DISK_BROKEN)
        fault = next(
            (f for f, begins in _CONCERNS.items() if self._meets(f, begins, sql, server)), None
        )
        return (None if fault is None else _error(fault)), None

    def _meets(self, fault: Fault, begins: tuple[str, ...], sql: str, server: str) -> bool:
        return sql.startswith(begins) and self.lasts(fault, server)

    def journal_grows(self, server: str) -> None:
        """Raise `OSError` where the journal finds no room."""
        if self.lasts(Fault.DISK_FULL, server):
            raise OSError(errno.ENOSPC, "No space left on device")

    def journal_syncs(self, server: str) -> None:
        """Raise `OSError` where the journal cannot be brought to the disk."""
        if self.lasts(Fault.SYNC_FAILS, server) or self.lasts(Fault.DISK_BROKEN, server):
            raise OSError(errno.EIO, "Input/output error")


def _error(fault: Fault) -> sqlite3.OperationalError:
    message, name = _SAID[fault]
    error = sqlite3.OperationalError(message)
    error.sqlite_errorname = name
    return error
