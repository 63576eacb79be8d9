"""An engine that another process of this server runs: its host has it for all of them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary, finalize

import msgspec

from antiphon import __version__
from antiphon.core.prompt import Capabilities, EngineEvent, Finished, Prompt, PromptSize
from antiphon.engines.base import (
    CallFormat,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    SnapshotReport,
)
from antiphon.engines.shared.frames import (
    Ask,
    Call,
    Event,
    Failed,
    Hello,
    Question,
    Reply,
    Sized,
    Status,
    Watch,
    event_of,
    frame,
    packed_prompt,
    read_reply,
)
from antiphon.engines.states import EngineState
from antiphon.logs import EventLog

RETRY_S: Final = 0.1
WAIT_S: Final = 30.0
"""How long a request waits for a host that is restarting."""
START_S: Final = 60.0
"""How long a process waits for its host at its start; a host that has not loaded refuses."""


class HostEndedError(EngineError):
    """The host has gone before it has said anything to a question, which another may answer."""

    def __init__(self) -> None:
        super().__init__(EngineErrorKind.FAILED, "the engine host has ended")


class Line:
    """The connection for one prompt: questions go out, replies come in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, value: object) -> None:
        self._writer.write(frame(value))
        await self._writer.drain()

    async def reply(self) -> Reply:
        """Return the next reply. Raises `EngineError` for a failure, and for the end."""
        try:
            reply = await read_reply(self._reader)
        except msgspec.DecodeError as error:
            raise EngineError(
                EngineErrorKind.FAILED, "the engine host speaks another release"
            ) from error
        if reply is None:
            raise HostEndedError
        if isinstance(reply, Failed):
            raise reply.error()
        return reply

    def close(self) -> None:
        self._writer.close()


class SharedEngine:
    """An engine of the host at `socket`. It does what the engine of the host does.

    While the host is away it is not ready, and a request waits for it for at most `wait_s`.
    """

    def __init__(
        self,
        socket: Path,
        model: str,
        number: int,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = socket
        self._model = model
        self._number = number
        self._wait_s = wait_s
        self._clock = clock
        self._lines: WeakKeyDictionary[Prompt, Line] = WeakKeyDictionary()
        self._hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._status = Status(ready=False)
        self._fault = ""
        self._watching: asyncio.Task[None] | None = None
        self._log = EventLog(__name__)

    async def open(self, start_s: float = START_S) -> None:
        """Wait until the host has loaded the engine. Raises `EngineStartError`."""
        self._watching = asyncio.create_task(self._watch(), name="antiphon-engine-host")
        try:
            async with asyncio.timeout(start_s):
                await asyncio.shield(self._hello)
        except (TimeoutError, EngineError) as error:
            await self.aclose()
            raise EngineStartError(
                f"Model `{self._model}`: the engine host cannot be used: {self._fault or 'silence'}"
                ". A reload of the server (SIGHUP) replaces it."
            ) from error

    @property
    def capabilities(self) -> Capabilities:
        return self._hello.result().capabilities

    @property
    def ready(self) -> bool:
        return self._status.ready

    def call_format(self) -> CallFormat:
        return self._hello.result().call_format or CallFormat(native=False)

    def state(self) -> EngineState | None:
        return self._status.state

    def snapshot_report(self) -> SnapshotReport | None:
        return self._status.snapshots

    async def count_tokens(self, prompt: Prompt) -> int:
        return (await self._size(prompt, "count")).tokens

    async def measure(self, prompt: Prompt) -> PromptSize:
        return await self._size(prompt, "measure")

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        line, reply = await self._asked(prompt, "generate")
        self._lines.pop(prompt, None)
        try:
            while True:
                if not isinstance(reply, Event):
                    raise _unknown()
                event = event_of(reply)
                yield event
                if isinstance(event, Finished):
                    return
                reply = await line.reply()
        finally:
            line.close()

    async def aclose(self) -> None:
        self._status = Status(ready=False)
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        for line in tuple(self._lines.values()):
            line.close()

    async def _size(self, prompt: Prompt, what: Question) -> PromptSize:
        _, reply = await self._asked(prompt, what)
        if not isinstance(reply, Sized):
            raise _unknown()
        return reply.size

    async def _asked(self, prompt: Prompt, what: Question) -> tuple[Line, Reply]:
        """Ask of a prompt; return its connection, and the first reply.

        A host that ends before it has replied has done nothing that anybody has seen: the next one
        is asked, once.
        """
        try:
            return await self._asked_once(prompt, what)
        except HostEndedError:
            return await self._asked_once(prompt, what)

    async def _asked_once(self, prompt: Prompt, what: Question) -> tuple[Line, Reply]:
        line = await self._line(prompt)
        try:
            await _ask(line, what)
            return line, await line.reply()
        except BaseException:
            # What is still to come would be taken for the reply to the next question.
            self._lines.pop(prompt, None)
            line.close()
            raise

    async def _line(self, prompt: Prompt) -> Line:
        """Return the connection of a prompt, which lives as long as the prompt does."""
        line = self._lines.get(prompt)
        if line is None:
            line = await self._connected()
            call = Call(self._model, self._number, packed_prompt(prompt), __version__)
            try:
                await line.send(call)
            except OSError as error:
                line.close()
                raise HostEndedError from error
            self._lines[prompt] = line
            finalize(prompt, line.close).atexit = False
        return line

    async def _connected(self) -> Line:
        until = self._clock() + self._wait_s
        while True:
            try:
                return Line(*await asyncio.open_unix_connection(self._socket))
            except OSError as error:
                if self._clock() >= until:
                    raise _away() from error
                await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        """Learn how the engine is, from one host after the other."""
        while True:
            try:
                await self._follow()
            except (OSError, EngineError) as error:
                self._fault = str(error)
                if self._status.ready:
                    self._log.warning("the engine host is away", reason=self._fault)
                if not self._hello.done() and _is_final(error):
                    self._hello.set_exception(error)
                    return
            self._status = Status(ready=False, state=self._status.state)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        line = Line(*await asyncio.open_unix_connection(self._socket))
        try:
            await line.send(Watch(self._model, self._number, __version__))
            while True:
                match await line.reply():
                    case Hello() as hello:
                        if not self._hello.done():
                            self._hello.set_result(hello)
                    case Status() as status:
                        self._status = status
                    case _:
                        raise _unknown()
        finally:
            line.close()


async def open_shared(socket: Path, config: EngineConfig) -> SharedEngine:
    """Open an engine that the host at a socket runs. Raises `EngineStartError`."""
    engine = SharedEngine(socket, config.model, config.number)
    await engine.open()
    return engine


async def _ask(line: Line, what: Question) -> None:
    try:
        await line.send(Ask(what))
    except OSError as error:
        raise HostEndedError from error


def _is_final(error: Exception) -> bool:
    """Return whether to ask the host again would change nothing."""
    return isinstance(error, EngineError) and error.kind is EngineErrorKind.UNSUPPORTED


def _away() -> EngineError:
    return EngineError(EngineErrorKind.OVERLOADED, "the engine host is restarting")


def _unknown() -> EngineError:
    return EngineError(EngineErrorKind.FAILED, "the engine host speaks another release")
