"""The errors of a database, with messages for its operator."""

import os
from typing import Any

# Conditions outside of the program, after which the same transaction may succeed.
_REASONS = {
    "SQLITE_BUSY": "The database is locked by another process",
    "SQLITE_CANTOPEN": "The database cannot be opened",
    "SQLITE_CORRUPT": "The database is damaged; restore it from a backup",
    "SQLITE_FULL": "The disk of the database is full",
    "SQLITE_IOERR": "The disk of the database fails",
    "SQLITE_LOCKED": "The database is locked by another connection",
    "SQLITE_NOTADB": "The file is not a database",
    "SQLITE_PERM": "The database may not be used",
    "SQLITE_PROTOCOL": "The database is locked by another process",
    "SQLITE_READONLY": "The database is read-only",
}
# Their classes in PostgreSQL (postgresql.org/docs/current/errcodes-appendix.html): connections,
# passwords, names of databases, serialization, resources, interventions, the system.
_UNAVAILABLE_CLASSES = frozenset({"08", "28", "3D", "40", "53", "57", "58"})
# A standby that was not promoted, and a lock that was not given in time.
_UNAVAILABLE_STATES = frozenset({"25006", "55P03"})
_DUPLICATES = {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "23505"}


class StoreError(Exception):
    """The database cannot read or write. The message contains no values from the database."""


class DatabaseUnavailableError(StoreError):
    """The database cannot be used now: it is away, locked, full or damaged.

    The same transaction may succeed later. The message names the place of the database.
    """


class DiskFullError(DatabaseUnavailableError):
    """The disk of the database is full."""


class DuplicateError(StoreError):
    """An added row exists already."""


class AmbiguousNameError(StoreError):
    """Several objects have this name; only their ids are unique."""


def explained(error: BaseException, place: str = "") -> StoreError:
    """Return a driver's exception as a `StoreError`, without the values that it may quote.

    `place` is where the database is, for the message: a path, or a host.
    """
    cause: Any = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    for prefix, reason in _REASONS.items():
        if code.startswith(prefix):
            away = DiskFullError if prefix == "SQLITE_FULL" else DatabaseUnavailableError
            return away(f"{reason}: {place}" if place else reason)
    if _is_away(error, cause, code):
        return unreachable(cause, place)
    kind = DuplicateError if code in _DUPLICATES else StoreError
    return kind(f"The database refused: {_first_line(cause)}")


def unreachable(error: BaseException, place: str = "") -> DatabaseUnavailableError:
    """Return the exception of a connection that failed, for the same `place`."""
    at = f" at {place}" if place else ""
    return DatabaseUnavailableError(f"The database{at} cannot be reached: {_first_line(error)}")


def _is_away(error: BaseException, cause: Any, code: str) -> bool:
    return (
        isinstance(cause, OSError)
        or _is_late(cause)
        or getattr(error, "connection_invalidated", False)
        or code[:2] in _UNAVAILABLE_CLASSES
        or code in _UNAVAILABLE_STATES
    )


def _is_late(cause: Any) -> bool:
    # Commands without a database import this module, and would import SQLAlchemy with it: 0.2 s.
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError  # noqa: PLC0415

    return isinstance(cause, TimeoutError | PoolTimeoutError)


def _first_line(cause: Any) -> str:
    if _is_late(cause):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.errno:
        # The text of the exception repeats an address.
        return os.strerror(cause.errno)
    # PostgreSQL quotes values from the second line on, SQLite does not at all.
    return next(iter(str(cause).splitlines()), type(cause).__name__)
