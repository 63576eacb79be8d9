"""Detects callers that hang up, and cancels their requests."""

import asyncio
from types import TracebackType
from typing import Any

from antiphon.server.http.exchange import Exchange

# The interval of the sweeps over running requests. A shorter request never has a watcher.
SWEEP_S = 0.05


class HangUps:
    """Watches the running requests.

    A timer and a task for each request would cost more than most answers of a fast engine. So one
    timer runs while there are requests, and a request that it finds a second time gets a task.
    """

    def __init__(self) -> None:
        self._young: set[UntilHangUp] = set()
        self._seen: set[UntilHangUp] = set()
        self._timer: asyncio.TimerHandle | None = None

    def stopping(self, exchange: Exchange) -> "UntilHangUp":
        """Return a context that is cancelled, and left quietly, when the caller hangs up."""
        return UntilHangUp(self, exchange)

    def add(self, watched: "UntilHangUp") -> None:
        self._young.add(watched)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def discard(self, watched: "UntilHangUp") -> None:
        self._young.discard(watched)
        self._seen.discard(watched)

    def _sweep(self) -> None:
        for watched in self._seen:
            watched.watch()
        self._seen, self._young = self._young, set()
        self._timer = None
        if self._seen:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


class UntilHangUp:
    """The context of one request; afterwards `exchange.gone` is true if the caller hung up."""

    __slots__ = ("_exchange", "_hang_ups", "_task", "_watcher")

    def __init__(self, hang_ups: HangUps, exchange: Exchange) -> None:
        self._hang_ups = hang_ups
        self._exchange = exchange
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._hang_ups.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._hang_ups.discard(self)
        if self._watcher is None:
            return False
        self._watcher.cancel()
        if not self._exchange.gone or self._task is None:
            return False
        # This was the watcher's own cancellation, unless a second one is pending.
        return not self._task.uncancel() and kind is asyncio.CancelledError

    def watch(self) -> None:
        """Wait for the hang-up in a task of its own."""
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        await self._exchange.disconnected()
        if self._task is not None:
            self._task.cancel()
