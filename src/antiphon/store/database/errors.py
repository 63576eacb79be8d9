"""The errors of a database, with messages for its operator."""

_REASONS = {
    "SQLITE_BUSY": "The database is locked by another process",
    "SQLITE_CANTOPEN": "The database cannot be opened",
    "SQLITE_CORRUPT": "The database is damaged; restore it from a backup",
    "SQLITE_FULL": "The disk of the database is full",
    "SQLITE_NOTADB": "The file is not a database",
    "SQLITE_READONLY": "The database is read-only",
}
_DUPLICATES = {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "23505"}


class StoreError(Exception):
    """The database cannot read or write. The message contains no values from the database."""


class DuplicateError(StoreError):
    """An added row exists already."""


class AmbiguousNameError(StoreError):
    """Several objects have this name; only their ids are unique."""


def explained(error: Exception) -> StoreError:
    """Return a driver's exception as a `StoreError`, without the values that it may quote."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    for prefix, reason in _REASONS.items():
        if code.startswith(prefix):
            return StoreError(reason)
    # PostgreSQL quotes values from the second line on, SQLite does not at all.
    first_line = next(iter(str(cause).splitlines()), type(cause).__name__)
    if isinstance(cause, OSError):
        return StoreError(f"The database cannot be reached: {first_line}")
    kind = DuplicateError if code in _DUPLICATES else StoreError
    return kind(f"The database refused: {first_line}")
