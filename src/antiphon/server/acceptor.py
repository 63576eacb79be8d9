"""Accepts connections from a queue from which other processes accept as well.

All of them wake when a connection comes, and the one that runs first has it. Without more that is
the one that is awake, or that came last to the queue: of 32 connections one of four processes had
27. So each lets some turns of its event loop pass, the more the more connections it has, and
pauses when it has taken a few.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from antiphon.logs import EventLog

AT_ONCE: Final = 4
"""The connections that are accepted before a pause. With it, 4,000 in a second, which is more than
a process has time to read a request of."""
PAUSE_S: Final = 0.001
MOST_TURNS: Final = 8
"""The most turns of the event loop for which others go first, some microseconds each."""
FULL_PAUSE_S: Final = 1.0
"""The pause when no connection can be accepted, as too many files are open."""


class Acceptor:
    """Accepts connections for a protocol until it is closed. It does not own the listener.

    `connections` returns how many this process has.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        connections: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._descriptor = listener.fileno()
        self._protocol = protocol
        self._connections = connections
        self._turns = 0
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._beginning: set[asyncio.Task[object]] = set()
        self._closed = False
        listener.setblocking(False)  # noqa: FBT003 - it takes nothing else
        self._listen()

    def close(self) -> None:
        """Accept nothing more; what was accepted goes on."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._descriptor)
            if self._again is not None:
                self._again.cancel()

    def _listen(self) -> None:
        self._loop.add_reader(self._descriptor, self._accept)

    def _accept(self) -> None:
        """Accept a few; called in each turn of the loop while there is something to accept."""
        if self._turns < min(self._connections(), MOST_TURNS):
            self._turns += 1
            return
        self._turns = 0
        pause_s = 0.0
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                # Another process has it, or its caller has gone.
                break
            except OSError as error:
                EventLog(__name__).error("connections wait", reason=error.strerror)
                pause_s = FULL_PAUSE_S
                break
            pause_s = PAUSE_S
            connection.setblocking(False)  # noqa: FBT003 - it takes nothing else
            task = self._loop.create_task(self._begin(connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        if pause_s:
            self._loop.remove_reader(self._descriptor)
            self._again = self._loop.call_later(pause_s, self._listen)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            # Its caller has gone.
            connection.close()
