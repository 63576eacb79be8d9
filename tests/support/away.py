"""An SQLite database that is away for a while."""

import asyncio
from pathlib import Path


class AwayFor:
    """Sleeps of a loop: the database is away from its first to its second one.

    `over` is set at the third, which never ends.
    """

    def __init__(self, path: Path) -> None:
        self.pauses: list[float] = []
        self.over = asyncio.Event()
        self._path = path
        self._elsewhere = path.with_name("elsewhere.db")

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        match len(self.pauses):
            case 1:
                await asyncio.to_thread(self._path.rename, self._elsewhere)
            case 2:
                await asyncio.to_thread(self._elsewhere.rename, self._path)
            case _:
                self.over.set()
                await asyncio.Event().wait()
