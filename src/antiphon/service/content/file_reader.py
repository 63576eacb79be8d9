"""Reads PDFs and images in child processes.

A child is killed when it is late or its caller is gone.
"""

import asyncio
import math
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Final

import msgspec

from antiphon.core.errors import OverloadedError
from antiphon.core.images import UNREADABLE
from antiphon.service.background import offload
from antiphon.service.content.file_protocol import (
    HEAD,
    LENGTH,
    MOST_PAGES,
    MOST_PIXELS,
    FileReply,
    Refusal,
    Task,
)
from antiphon.service.limits.gate import Gate
from antiphon.settings import child_environment

CHILD: Final = "antiphon.service.content.file_child"
CHILDREN: Final = 2
QUEUED: Final = 32
PATIENCE_S: Final = 30.0
"""How long a request may wait for a child, and again how long all its files may take."""
IDLE_S: Final = 60.0
START_S: Final = 30.0
GRACE_S: Final = 5
"""A child that nobody kills ends itself so much later."""
CHUNK: Final = 256 * 1024
LARGEST_REPLY: Final = 64 * 1024 * 1024

INVALID: Final = "The PDF specified was not valid."
LATE: Mapping[Task, str] = MappingProxyType(
    {
        Task.PDF_TEXT: "the PDF takes too long to read",
        Task.PNG: "the image takes too long to convert",
        Task.PAGE: "the page takes too long to read",
    }
)
# PDFium ends its process when it finds itself in disorder or without memory.
ENDED: Mapping[Task, str] = MappingProxyType(
    {Task.PDF_TEXT: INVALID, Task.PNG: UNREADABLE, Task.PAGE: "the page cannot be read"}
)
SENTENCES: Mapping[Refusal, str] = MappingProxyType(
    {
        "base64": "invalid base64 data",
        "invalid": INVALID,
        "locked": "The PDF specified is password protected.",
        "pages": f"A maximum of {MOST_PAGES} PDF pages may be provided.",
        "text": "the PDF has too much text",
        "image": UNREADABLE,
        "pixels": f"an image of over {MOST_PIXELS:,} pixels cannot be converted for this model",
    }
)
"""The API's sentences; clients match them."""


class FileRefusedError(Exception):
    """A file that cannot be read, or not in time. The message is for the caller of the API."""


class ChildEndedError(Exception):
    """The child ended before it replied, or said what no child says."""


class FileChild:
    """A child process. Between its replies it is `sound`: it may read another file."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:  # pragma: no cover - they are pipes
            raise ChildEndedError
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._replied = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def sound(self) -> bool:
        ended = (
            self._process.returncode is not None
            or self._stdin.is_closing()
            or self._stdout.at_eof()
        )
        return self._replied and not ended

    async def ready(self) -> None:
        """Wait until the child has started. Raises `ChildEndedError`."""
        await self._reply()

    async def read(self, task: Task, data: str, timeout_s: float, pixels: int = 0) -> FileReply:
        """Give the child a task with a file in base64. Raises `ChildEndedError`.

        A PNG has at most so many `pixels`; without a number, its sides are bounded instead.
        The time is what the child grants itself; the caller has a limit of its own.
        """
        self._replied = False
        # What is no ASCII becomes a question mark, which is no base64 either.
        content = memoryview(data.encode("ascii", "replace"))
        with suppress(ConnectionError):  # it has ended; the missing reply says so
            self._stdin.write(HEAD.pack(len(content), math.ceil(timeout_s) + GRACE_S, task, pixels))
            for start in range(0, len(content), CHUNK):
                if self._stdin.is_closing():
                    break
                self._stdin.write(content[start : start + CHUNK])
                await self._stdin.drain()
        return await self._reply()

    async def _reply(self) -> FileReply:
        try:
            (size,) = LENGTH.unpack(await self._stdout.readexactly(LENGTH.size))
            if size > LARGEST_REPLY:
                raise ChildEndedError
            encoded = await self._stdout.readexactly(size)
            reply = await offload(size, msgspec.msgpack.decode, encoded, type=FileReply)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError) as error:
            raise ChildEndedError from error
        self._replied = True
        return reply

    async def aclose(self) -> None:
        """Kill the child, and wait for its end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class BorrowedChild:
    """A request's use of a child, for all its files."""

    def __init__(self, child: FileChild, deadline: float) -> None:
        self._child = child
        self._deadline = deadline

    async def text(self, data: str) -> tuple[str | None, ...]:
        """Return the text of each page of a PDF in base64, `None` for a page that is unreadable.

        Raises `FileRefusedError`, also for every file after the deadline or the child's end.
        """
        return (await self._read(Task.PDF_TEXT, data)).pages

    async def png(self, data: str, pixels: int = 0) -> str:
        """Return the first frame of an image as a PNG; both are base64. Raises as `text` does.

        It is scaled down to so many `pixels`, or without a number to `LONGEST_SIDE`.
        """
        return (await self._read(Task.PNG, data, pixels)).png

    async def page(self, data: str) -> tuple[str, str]:
        """Return the title and the text of a page of the web; see `html_text`. Raises as `text`."""
        title, text = (await self._read(Task.PAGE, data)).pages
        return title or "", text or ""

    async def _read(self, task: Task, data: str, pixels: int = 0) -> FileReply:
        left_s = self._deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._deadline):
                reply = await self._child.read(task, data, max(left_s, 0), pixels)
        except TimeoutError as error:
            raise FileRefusedError(LATE[task]) from error
        except ChildEndedError as error:
            raise FileRefusedError(ENDED[task]) from error
        if reply.refusal is not None:
            raise FileRefusedError(SENTENCES[reply.refusal])
        return reply


class FileReader:
    """Reads files in at most `children` processes; `queued` more requests may wait for one.

    A child is started when a request needs one, and ends after `idle_s` without work.
    """

    def __init__(
        self,
        *,
        children: int = CHILDREN,
        queued: int = QUEUED,
        patience_s: float = PATIENCE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._gate = Gate(children, queued)
        self._patience_s = patience_s
        self._idle_s = idle_s
        self._idle: dict[FileChild, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> list[int]:
        """The process ids of children without work."""
        return [child.pid for child in self._idle]

    @asynccontextmanager
    async def borrow(self) -> AsyncGenerator[BorrowedChild]:
        """Wait for a child, and keep it for the block.

        It is killed if the block ends while it reads. Raises `OverloadedError` if too many wait,
        the wait is too long, or the system has no room for a child.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._gate.enter()
        except TimeoutError as error:
            raise OverloadedError from error
        try:
            child = await self._take()
            try:
                yield BorrowedChild(child, loop.time() + self._patience_s)
            finally:
                await self._put_back(child)
        finally:
            self._gate.leave()

    async def aclose(self) -> None:
        """End the idle children. Nothing may be borrowed any more."""
        while self._idle:
            self._retire(next(iter(self._idle)))
        await asyncio.gather(*self._closing)

    async def _take(self) -> FileChild:
        while self._idle:
            child, timer = self._idle.popitem()
            timer.cancel()
            if child.sound:
                return child
            await child.aclose()
        try:
            return await start_child()
        except OSError as error:
            # No memory or no descriptors are left for another process.
            raise OverloadedError from error

    async def _put_back(self, child: FileChild) -> None:
        if not child.sound:
            await child.aclose()
            return
        loop = asyncio.get_running_loop()
        self._idle[child] = loop.call_later(self._idle_s, self._retire, child)

    def _retire(self, child: FileChild) -> None:
        self._idle.pop(child).cancel()
        task = asyncio.create_task(child.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def start_child(*, program: str = CHILD, timeout_s: float = START_S) -> FileChild:
    """Start a child and wait until it is ready. Raises `RuntimeError` if it does not start."""
    # `-P` keeps the working directory off the import path.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", program, str(os.getpid()),
        stdin=PIPE, stdout=PIPE, env=child_environment(),
        start_new_session=True,  # a signal to the server's group is not for its children
    )  # fmt: skip
    child = FileChild(process)
    try:
        async with asyncio.timeout(timeout_s):
            await child.ready()
    except (TimeoutError, ChildEndedError) as error:
        await child.aclose()
        raise RuntimeError(f"`python -m {program}` does not start.") from error
    except BaseException:
        await child.aclose()
        raise
    return child
