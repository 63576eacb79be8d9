"""The disk of an SQLite file. A reserve of it stays free, whatever is stored in bulk.

Ledger entries and results need it, and so does the removal of what was refused half-way: on a full
disk SQLite removes nothing, because its log has to grow first, and no server can start.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from anyio import to_thread
from sqlalchemy import text

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import DiskFullError, explained

MIB: Final = 1024 * 1024
RESERVE: Final = 64 * MIB
LEAST_RESERVE: Final = 8 * MIB
REMOVAL_BYTES: Final = 8 * MIB
"""What the log grows by at most when stored rows are removed in portions of 4 MiB or one row.

It begins anew after a commit that leaves 1,000 pages (4 MiB) in it, so it has at most as much and
one transaction; and no removal is larger than the transaction that has stored its largest row.
"""

# The end of the file once the log is copied into it, and how much of that is unused.
_SIZES = text(
    "SELECT page_count * page_size, freelist_count * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)


class Usage(Protocol):
    """What `shutil.disk_usage` returns, in bytes."""

    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


# Returns the use of the disk of a folder, as `shutil.disk_usage` does.
DiskUsage: TypeAlias = Callable[[Path], Usage]


def reserve_of(total: int) -> int:
    """Return the bytes that stay free on a disk: 64 MiB, or 1 % if that is less; at least 8 MiB."""
    return min(RESERVE, max(total // 100, LEAST_RESERVE))


class DatabaseDisk:
    """The disk of one file. Both methods raise `StoreError` if the disk cannot be asked."""

    def __init__(self, path: Path, disk_usage: DiskUsage) -> None:
        self._path = path
        self._disk_usage = disk_usage

    async def nearly_full(self, added: int = 0) -> str | None:
        """Return a sentence for the operator if `added` bytes do not leave the reserve free."""
        try:
            usage = await to_thread.run_sync(self._disk_usage, self._path.parent)
        except OSError as error:
            raise explained(error, str(self._path)) from error
        reserve = reserve_of(usage.total)
        if usage.free - added >= reserve:
            return None
        return (
            f"The disk of the database is nearly full: {self._path}. New Message Batches are "
            f"refused while less than {-(-reserve // MIB)} MiB would stay free. Free some space"
        )

    async def check(self, connection: AsyncConnection, added: int, beside: int) -> None:
        """Raise `DiskFullError` if so many bytes of rows would not leave the reserve free.

        They are written twice: to the log, and from there to the file, after what the log has
        already. The reserve and `beside` have to stay. In a transaction that writes, no other one
        comes between.
        """
        end, unused = (await connection.execute(_SIZES)).one()
        grown = end + max(0, added - unused)
        try:
            there = (await to_thread.run_sync(self._path.stat)).st_size
        except OSError as error:
            raise explained(error, str(self._path)) from error
        needed = added + max(0, grown - there) + beside
        if (reason := await self.nearly_full(needed)) is not None:
            raise DiskFullError(reason)
