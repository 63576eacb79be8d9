"""A clock that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta
from threading import Condition


class Clock:
    """The time of a server: of its limits, its keys and batches, and of scripted delays.

    Timeouts of connections and the pings of streams go by real time. Any thread may use it.
    """

    def __init__(self, start: datetime | None = None) -> None:
        """`start` has a time zone; by default it is the real time."""
        self._now = datetime.now(UTC) if start is None else start
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        self._changed = Condition()

    def now(self) -> datetime:
        return self._now

    def milliseconds(self) -> int:
        """Return the time since 1970."""
        return int(self._now.timestamp() * 1000)

    def until_waiting(self, number: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many scripted delays wait for this clock, at most `timeout` real seconds.

        Raises `TimeoutError`. For the thread of the test, and no event loop.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waiting()) >= number, timeout):
                raise TimeoutError(f"{len(self._waiting())} of {number} delays wait for the clock")

    def _waiting(self) -> list["asyncio.Future[None]"]:
        return [future for _, future in self._sleepers if not future.done()]

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved so far."""
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            due = self._now + timedelta(seconds=seconds)
            if due <= self._now:
                return
            self._sleepers.append((due, future))
            self._changed.notify_all()
        await future

    def advance(self, seconds: float) -> None:
        """Move the clock, and end the delays that are over. Raises `ValueError` for the past."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        with self._changed:
            self._now += timedelta(seconds=seconds)
            due = [future for moment, future in self._sleepers if moment <= self._now]
            self._sleepers = [one for one in self._sleepers if one[0] > self._now]
        for future in due:
            future.get_loop().call_soon_threadsafe(_end, future)


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
