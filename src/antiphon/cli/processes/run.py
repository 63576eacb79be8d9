"""One run of a process: its start, its reports and its end, as the overseer sees them."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from antiphon.cli.processes.reports import DRAIN, HAND_OVER, PING, Found, Report, Start

MODULE: Final = "antiphon.cli.processes.child"
LONGEST_REPORT: Final = 1 << 20
LOOK_S: Final = 120.0
"""How long a process may look; to ask llama.cpp for its devices takes a second or two."""


class ProcessStartError(Exception):
    """A process did not start. The message is for the operator, and may be empty: it was logged."""


class Run(Protocol):
    """A run of one process."""

    @property
    def pid(self) -> int: ...

    @property
    def left(self) -> int | None:
        """The requests that ran at the signal to stop; `None` if it has not said."""
        ...

    @property
    def found(self) -> Found | None:
        """What an engine host depends on, once it is ready."""
        ...

    async def until_ready(self) -> str:
        """Wait until it answers requests; return its welcome. Raises `ProcessStartError`."""
        ...

    async def wait(self) -> int:
        """Wait for its end, and return its code as `returncode` of subprocess does."""
        ...

    async def alive(self) -> None:
        """Ask for a sign of life, and wait for it."""
        ...

    def hand_over(self) -> None: ...

    def drain(self) -> None: ...

    def send(self, number: signal.Signals) -> None: ...


class ChildRun:
    """A run in a child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._alive = asyncio.Event()
        self.left: int | None = None
        self.found: Found | None = None
        self._reading = asyncio.create_task(self._read(), name="antiphon-reports")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def until_ready(self) -> str:
        return await asyncio.shield(self._ready)

    async def wait(self) -> int:
        code = await self._process.wait()
        await self._reading
        return code

    async def alive(self) -> None:
        self._alive.clear()
        self._tell(PING)
        await self._alive.wait()

    def hand_over(self) -> None:
        self._tell(HAND_OVER)

    def drain(self) -> None:
        self._tell(DRAIN)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def begin(self, start: Start) -> None:
        """Tell the process how it begins."""
        self._tell(msgspec.json.encode(start) + b"\n")

    def _tell(self, words: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(words)

    async def _read(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (line := await _line_of(stdout)):
            # A later release may report what this one does not know.
            with contextlib.suppress(msgspec.DecodeError):
                self._note(msgspec.json.decode(line, type=Report))
        if not self._ready.done():
            self._fail("a process of the server ended before it was ready; its log says why")

    def _note(self, report: Report) -> None:
        self.found = report.found or self.found
        match report.state:
            case "ready" | "found" if not self._ready.done():
                self._ready.set_result(report.welcome)
            case "failed" if not self._ready.done():
                self._fail(report.error)
            case "stopping":
                self.left = report.left
            case "alive":
                self._alive.set()
            case _:
                pass

    def _fail(self, reason: str) -> None:
        self._ready.set_exception(ProcessStartError(reason))
        # It may be that nobody waits for it.
        self._ready.exception()


async def _line_of(stdout: asyncio.StreamReader) -> bytes:
    """Return the next line, or as much of a longer one as a report may have; b"" at the end."""
    try:
        return await stdout.readline()
    except ValueError:
        return b"\n"  # What was read of it is thrown away.


async def look_with(
    start: Start, program: Sequence[str] = (sys.executable, "-P", "-m", MODULE)
) -> Found:
    """Have a new process look, and end. Raises `ProcessStartError` with what it cannot read."""
    run = await start_run(start, (), program)
    try:
        async with asyncio.timeout(LOOK_S):
            await run.until_ready()
    except TimeoutError as error:
        raise ProcessStartError(f"a new process says nothing within {LOOK_S:g} s") from error
    finally:
        run.send(signal.SIGKILL)
        await run.wait()
    if run.found is None:
        raise ProcessStartError("the installed release cannot say what it depends on")
    return run.found


async def start_run(
    start: Start,
    descriptors: Sequence[int],
    program: Sequence[str] = (sys.executable, "-P", "-m", MODULE),
) -> ChildRun:
    """Start a process that inherits some descriptors."""
    # The number is for `ps` to show. In a session of its own it gets no signal that a terminal or
    # systemd sends to the whole group: the overseer says when it stops.
    process = await asyncio.create_subprocess_exec(
        *program,
        str(start.number),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
        limit=LONGEST_REPORT,
    )
    run = ChildRun(process)
    await run.begin(start)
    return run
