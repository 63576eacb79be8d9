"""The engine host: computes for the processes that are connected to its socket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from antiphon import __version__
from antiphon.core.errors import OverloadedError
from antiphon.core.prompt import Prompt, PromptSize
from antiphon.engines.base import (
    CallingEngine,
    Engine,
    EngineError,
    EngineErrorKind,
    ReportingEngine,
    keeps_prefixes,
)
from antiphon.engines.shared.frames import (
    Ask,
    Call,
    Failed,
    Hello,
    Sized,
    Status,
    Watch,
    event_frame,
    frame,
    read_question,
    unpacked_prompt,
)
from antiphon.engines.states import TellingEngine
from antiphon.logs import EventLog

TELL_EVERY_S: Final = 0.5

Find: TypeAlias = Callable[[str, int], Engine | None]
"""Finds an open engine by the id of its model and its place in it."""
Enter: TypeAlias = Callable[[str], AbstractAsyncContextManager[None]]
"""Holds a place for an answer of a model. Raises `OverloadedError`."""


class CallReader(asyncio.StreamReader):
    """What a caller sends; `gone` is set when it has gone, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class EngineHost:
    """Answers the calls of other processes, one connection after the other, all at once."""

    def __init__(self, find: Find, enter: Enter, tell_every_s: float = TELL_EVERY_S) -> None:
        self._find = find
        self._enter = enter
        self._tell_every_s = tell_every_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._works = 0
        self._when_idle: Callable[[], None] | None = None
        self._log = EventLog(__name__)

    @asynccontextmanager
    async def listening(self, socket: Path) -> AsyncGenerator[None]:
        """Listen on a socket, in a folder that nobody else can enter, to the end of the block."""
        loop = asyncio.get_running_loop()
        self._server = server = await loop.create_unix_server(self._new_call, str(socket))
        try:
            yield
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def drain(self, when_idle: Callable[[], None]) -> None:
        """Take no new call, and call `when_idle` once no work runs.

        Who is connected and has asked nothing asks the next host, which has not begun yet.
        """
        if self._server is not None:
            self._server.close()
        self._when_idle = when_idle
        if not self._works:
            when_idle()

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        self._works += 1
        try:
            yield
        finally:
            self._works -= 1
            if not self._works and self._when_idle is not None:
                self._when_idle()

    def _new_call(self) -> asyncio.StreamReaderProtocol:
        reader = CallReader()

        def begun(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accept(reader, writer)

        return asyncio.StreamReaderProtocol(reader, begun)

    def _accept(self, reader: CallReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._attend(reader, writer), name="antiphon-engine-call")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, reader: CallReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, msgspec.DecodeError) as error:
            self._log.warning("a call for an engine was broken off", reason=type(error).__name__)
        finally:
            writer.close()

    async def _serve(self, reader: CallReader, writer: asyncio.StreamWriter) -> None:
        call = await read_question(reader)
        if not isinstance(call, Call | Watch):
            return
        engine = self._find(call.model, call.number)
        if engine is None:
            reason = f"{call.model} is not loaded"
            writer.write(frame(Failed(EngineErrorKind.OVERLOADED, reason)))
            await writer.drain()
        elif isinstance(call, Watch) and call.release != __version__:
            reason = f"it is of release {__version__}, and this process of {call.release}"
            writer.write(frame(Failed(EngineErrorKind.UNSUPPORTED, reason)))
            await writer.drain()
        elif isinstance(call, Call) and call.release != __version__:
            # It is replaced as well, and may have other prompts and events.
            reason = "the engine host is of another release"
            writer.write(frame(Failed(EngineErrorKind.OVERLOADED, reason)))
            await writer.drain()
        elif isinstance(call, Watch):
            await _until_gone(reader, self._tell(engine, writer))
        else:
            await self._answer(call.model, engine, unpacked_prompt(call.prompt), reader, writer)

    async def _tell(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        calls = engine.call_format() if isinstance(engine, CallingEngine) else None
        writer.write(frame(Hello(engine.capabilities, calls)))
        told = b""
        while True:
            now = frame(_status(engine))
            if now != told:
                told = now
                writer.write(now)
                await writer.drain()
            await asyncio.sleep(self._tell_every_s)

    async def _answer(
        self,
        model: str,
        engine: Engine,
        prompt: Prompt,
        reader: CallReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer what is asked of a prompt until its connection ends."""
        while isinstance(ask := await read_question(reader), Ask) and self._when_idle is None:
            if ask.what == "generate":
                work = self._generate(model, engine, prompt, writer)
            else:
                work = _measured(ask.what, engine, prompt, writer)
            with self._working():
                if not await _until_gone(reader, work):
                    return

    async def _generate(
        self, model: str, engine: Engine, prompt: Prompt, writer: asyncio.StreamWriter
    ) -> None:
        with _told(writer):
            async with self._enter(model), aclosing(engine.generate(prompt)) as events:
                async for event in events:
                    writer.write(event_frame(event))
                    await writer.drain()
        await writer.drain()


async def _measured(
    what: str, engine: Engine, prompt: Prompt, writer: asyncio.StreamWriter
) -> None:
    with _told(writer):
        if what == "measure" and keeps_prefixes(engine):
            size = await engine.measure(prompt)
        else:
            size = PromptSize(await engine.count_tokens(prompt))
        writer.write(frame(Sized(size)))
    await writer.drain()


@contextlib.contextmanager
def _told(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Tell the caller of an error of the block."""
    try:
        yield
    except EngineError as error:
        writer.write(frame(Failed(error.kind, str(error), error.retry_after_s)))
    except OverloadedError as error:
        writer.write(frame(Failed(EngineErrorKind.OVERLOADED, str(error))))


async def _until_gone(reader: CallReader, work: Coroutine[Any, Any, None]) -> bool:
    """Do some work; end it when the caller has gone. Returns whether it was done.

    Nothing is read meanwhile: it may be the next question.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(reader.gone.wait())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.done() and working.exception() is None
    finally:
        done = working.done()
        for task in (working, gone):
            task.cancel()
        await asyncio.wait({working, gone})
        if done and not working.cancelled():
            working.result()


def _status(engine: Engine) -> Status:
    return Status(
        engine.ready,
        engine.state() if isinstance(engine, TellingEngine) else None,
        engine.snapshot_report() if isinstance(engine, ReportingEngine) else None,
    )
