"""Who reads files: how many children, for how long, and what ends them."""

import asyncio
import os
import resource
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from antiphon.core.errors import OverloadedError
from antiphon.service.content.file_child import MEMORY, NICENESS
from antiphon.service.content.file_protocol import HEAD, Task
from antiphon.service.content.file_reader import (
    CHILD,
    INVALID,
    LATE,
    FileReader,
    FileRefusedError,
    start_child,
)
from antiphon.settings import CHILD_VARIABLES, child_environment
from support.pdf import bomb, endless, pages_pdf, pdf, shown, slow, stream

pytestmark = pytest.mark.anyio

PLAIN = pdf(["Hello"])
TEXT = ("Hello",)
SLOW = slow()
PARENT = """
import asyncio
from antiphon.service.content.file_reader import FileReader, start_child
from antiphon.service.content.file_protocol import Task

async def main():
    child = await start_child()
    print(child.pid, flush=True)
    await child.read(Task.PDF_TEXT, input(), 600)

asyncio.run(main())
"""


@asynccontextmanager
async def reading(**options: Any) -> AsyncGenerator[FileReader]:
    before = living()
    reader = FileReader(**options)
    yield reader
    await reader.aclose()
    assert living() == before


async def read(reader: FileReader, *pdfs: str) -> list[tuple[str | None, ...]]:
    async with reader.borrow() as child:
        return [await child.text(data) for data in pdfs]


def living() -> set[int]:
    """The children of this process that read PDFs."""
    found = set()
    for process in psutil.Process().children():
        try:
            if CHILD in process.cmdline():
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - a process gives no event
            await asyncio.sleep(0.01)


def seconds_of_work(pid: int) -> float:
    return psutil.Process(pid).cpu_times().user


async def until_busy(reader: FileReader, work: Awaitable[object]) -> tuple[asyncio.Task, int]:
    """Start to read, and wait until a child has worked on it for a while."""
    before = living() - set(reader.idle)
    task = asyncio.ensure_future(work)
    await eventually(lambda: len(living() - before) == 1)
    (pid,) = living() - before
    await eventually(lambda: task.done() or seconds_of_work(pid) > 0.3)
    assert not task.done()
    return task, pid


async def test_reader_starts_nothing_before_the_first_pdf() -> None:
    before = living()
    async with reading():
        assert living() == before


async def test_child_reads_one_pdf_after_the_other() -> None:
    async with reading() as reader:
        assert await read(reader, PLAIN, PLAIN) == [TEXT, TEXT]
        (pid,) = reader.idle
        assert await read(reader, PLAIN) == [TEXT]
        assert reader.idle == [pid]


async def test_child_reads_a_page_of_the_web_and_then_a_pdf() -> None:
    html = b"https://example.com\n\n<title>A</title><p>Hello"
    async with reading() as reader:
        async with reader.borrow() as child:
            assert await child.page(b64encode(html).decode()) == ("A", "Hello")
            with pytest.raises(FileRefusedError):
                await child.page(b64encode(b"https://example.com\n\n" + b"a" * 9_000_000).decode())
        assert await read(reader, PLAIN) == [TEXT]


async def test_refused_pdf_does_not_cost_the_child() -> None:
    async with reading() as reader:
        await read(reader, PLAIN)
        (pid,) = reader.idle
        with pytest.raises(FileRefusedError, match="invalid base64 data"):
            await read(reader, "%%%")
        assert await read(reader, PLAIN) == [TEXT]
        assert reader.idle == [pid]


async def test_caller_that_leaves_ends_the_child_at_once() -> None:
    async with reading() as reader:
        task, pid = await until_busy(reader, read(reader, SLOW))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.pid_exists(pid)
        assert await read(reader, PLAIN) == [TEXT]


@pytest.mark.parametrize("pauses", range(0, 200, 25))
async def test_caller_that_leaves_at_any_moment_leaves_no_child_behind(pauses) -> None:
    async with reading() as reader:
        task = asyncio.ensure_future(read(reader, SLOW))
        for _ in range(pauses):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reader.idle == []
        assert await read(reader, PLAIN) == [TEXT]


async def test_late_child_is_killed_and_replaced() -> None:
    async with reading(patience_s=1) as reader:
        with pytest.raises(FileRefusedError, match=f"^{LATE[Task.PDF_TEXT]}$"):
            await read(reader, SLOW)
        assert reader.idle == []
        assert await read(reader, PLAIN) == [TEXT]


async def test_pdfs_of_a_request_share_its_time() -> None:
    async with reading(patience_s=1) as reader, reader.borrow() as child:
        assert await child.text(PLAIN) == TEXT
        await asyncio.sleep(1.1)
        with pytest.raises(FileRefusedError, match=f"^{LATE[Task.PDF_TEXT]}$"):
            await child.text(PLAIN)


@pytest.mark.parametrize("make", [endless, partial(bomb, 60)], ids=["objects", "text"])
async def test_child_without_memory_ends_and_is_replaced(make: Callable[[], str]) -> None:
    async with reading() as reader:
        with pytest.raises(FileRefusedError, match=f"^{INVALID}$"):
            await read(reader, make())
        assert reader.idle == []
        assert await read(reader, PLAIN) == [TEXT]


async def test_child_that_is_killed_from_outside_is_replaced() -> None:
    async with reading() as reader:
        await read(reader, PLAIN)
        (child,) = reader._idle
        psutil.Process(child.pid).kill()
        # A process may be gone before the loop has heard of it.
        await eventually(lambda: not child.sound)
        assert await read(reader, PLAIN) == [TEXT]
        task, pid = await until_busy(reader, read(reader, SLOW))
        psutil.Process(pid).kill()
        with pytest.raises(FileRefusedError, match=f"^{INVALID}$"):
            await task


async def test_twenty_requests_at_once_share_two_children() -> None:
    async with reading() as reader:
        most: set[int] = set()

        async def one() -> list[tuple[str | None, ...]]:
            async with reader.borrow() as child:
                most.update(living())
                assert len(living()) <= 2
                return [await child.text(PLAIN)]

        assert await asyncio.gather(*(one() for _ in range(20))) == [[TEXT]] * 20
        assert len(most) == len(reader.idle) == 2


async def test_request_beyond_the_queue_is_refused_at_once() -> None:
    async with reading(children=1, queued=1) as reader:
        async with reader.borrow():
            waiting = asyncio.ensure_future(read(reader, PLAIN))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError):
                await read(reader, PLAIN)
        assert await waiting == [TEXT]


async def test_request_that_waits_too_long_is_refused() -> None:
    async with reading(children=1, patience_s=1) as reader:
        async with reader.borrow():
            with pytest.raises(OverloadedError):
                await read(reader, PLAIN)
        assert await read(reader, PLAIN) == [TEXT]


async def test_system_without_room_for_a_child_is_overloaded() -> None:
    async with reading() as reader:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OverloadedError):
                await read(reader, PLAIN)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await read(reader, PLAIN) == [TEXT]


async def test_idle_child_ends() -> None:
    async with reading(idle_s=0.05) as reader:
        await read(reader, PLAIN)
        await eventually(lambda: not living())
        assert reader.idle == []
        assert await read(reader, PLAIN) == [TEXT]


async def test_child_has_no_keys_little_memory_and_the_last_place() -> None:
    async with reading() as reader:
        await read(reader, PLAIN)
        process = psutil.Process(reader.idle[0])
        assert set(process.environ()) <= {*CHILD_VARIABLES, "LC_CTYPE"}
        assert process.nice() == min(psutil.Process().nice() + NICENESS, 19)
        if sys.platform == "linux":
            assert process.rlimit(psutil.RLIMIT_AS) == (MEMORY, MEMORY)
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
            assert group_of(process).endswith(f" nice {NICENESS}\n")


def group_of(process: psutil.Process) -> str:
    """Return how Linux ranks the session of a process, or the same if it does not rank sessions."""
    group = Path("/proc", str(process.pid), "autogroup")
    return group.read_text() if group.exists() else f" nice {NICENESS}\n"


def test_environment_of_a_child_is_an_allow_list() -> None:
    given = {"PATH": "/bin", "ANTIPHON_API_KEY": "secret", "HF_TOKEN": "secret", "HOME": "/root"}
    assert child_environment(given) == {"PATH": "/bin"}


async def test_child_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - it only prints a line
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.stdin.write(SLOW.encode() + b"\n")
        parent.stdin.flush()
        await eventually(lambda: process.cpu_times().user > 0.3)
        parent.kill()
    await eventually(lambda: not process.is_running())


async def test_child_ends_itself_when_nobody_kills_it() -> None:
    before = living()
    child = await start_child()
    process = psutil.Process(child.pid)
    with subprocess.Popen(  # noqa: ASYNC220 - it is killed by its own clock
        [sys.executable, "-P", "-m", CHILD, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=child_environment(),
    ) as alone:
        assert alone.stdin is not None
        data = SLOW.encode()
        alone.stdin.write(HEAD.pack(len(data), 1, Task.PDF_TEXT, 0) + data)
        alone.stdin.flush()
        await eventually(lambda: alone.poll() is not None)
    assert process.is_running()
    await child.aclose()
    assert living() == before


async def test_interrupt_of_the_terminal_is_left_to_the_parent() -> None:
    async with reading() as reader:
        await read(reader, PLAIN)
        psutil.Process(reader.idle[0]).send_signal(2)
        await asyncio.sleep(0.1)
        assert len(reader.idle) == 1
        assert await read(reader, PLAIN) == [TEXT]


async def test_child_that_does_not_start_is_a_fault_of_the_server() -> None:
    with pytest.raises(RuntimeError, match="does not start"):
        await start_child(program="antiphon.no_such_program")


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(60)",
        "print('x' * 8)",
        r"import sys; sys.stdout.buffer.write(b'\xff' * 8)",
        r"import sys; sys.stdout.buffer.write(b'\0' * 7 + b'\1{')",
        r"import sys; sys.stdout.buffer.write(b'\0' * 7 + b'\3abc')",
        r"import sys; sys.stdout.buffer.write(b'\0' * 3)",
    ],
    ids=["nothing", "text", "a length of 2**64", "a cut reply", "no reply", "a cut length"],
)
async def test_child_that_says_nonsense_is_given_up(program, monkeypatch, tmp_path) -> None:
    (tmp_path / "nonsense.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    before = psutil.Process().children()
    with pytest.raises(RuntimeError, match="does not start"):
        await start_child(program="nonsense", timeout_s=2)
    assert psutil.Process().children() == before


async def test_large_pdf_is_sent_whole() -> None:
    async with reading() as reader:
        large = pages_pdf([stream(b"%" + b"x" * 5_000_000 + b"\n" + shown("Hello"))])
        assert await read(reader, large, PLAIN) == [TEXT, TEXT]
