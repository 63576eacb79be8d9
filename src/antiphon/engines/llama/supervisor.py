"""Keeps llama.cpp running: restarts it after a crash, and checks its health in between."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind, EngineStartError
from antiphon.engines.states import EngineFailure
from antiphon.logs import EventLog

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STABLE_S: Final = 60.0
CHECK_EVERY_S: Final = 5.0
FAILED_CHECKS: Final = 3
SUSPECT_CHECKS: Final = 2
"""Failed checks, without a pause between them, after which a child that is silent is ended."""


class Child(Protocol):
    """A run of llama.cpp, as its supervisor sees it."""

    address: str

    async def wait(self) -> int: ...
    def kill(self) -> None: ...
    async def aclose(self) -> None: ...


class LlamaServer(Protocol):
    """The llama.cpp that a client talks to: its address, and whether it is ready."""

    @property
    def ready(self) -> bool: ...

    @property
    def supervised(self) -> bool:
        """Whether it is a child, which serves no other client."""
        ...

    @property
    def generation(self) -> int:
        """The number of children before this one: a new child has empty slots."""
        ...

    @property
    def failure(self) -> EngineFailure | None:
        """Why the last child ended or did not start; `None` if none has failed."""
        ...

    async def address(self) -> str: ...

    async def suspect(self, address: str) -> None:
        """Check the health of a server that is silent; end a child that does not answer."""
        ...

    def end(self, address: str, reason: str) -> None:
        """End a child that cannot be trusted any more; `reason` is for the operator."""
        ...

    async def aclose(self) -> None: ...


class Clockwork(msgspec.Struct, frozen=True):
    """The clock of a supervisor, which tests replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def pause_after(crashes: int) -> float:
    """Return the seconds before the next start: twice as many after each crash in a row."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(crashes - 1, 16)))


class RemoteServer:
    """A `llama-server` that the operator runs."""

    supervised = False
    generation = 0
    failure: EngineFailure | None = None

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.ready = True

    async def address(self) -> str:
        return self._url

    async def suspect(self, address: str) -> None:
        """Do nothing: the operator runs it."""

    def end(self, address: str, reason: str) -> None:
        """Do nothing: the operator runs it."""

    async def aclose(self) -> None:
        self.ready = False


class Supervisor:
    """Runs one child after the other, until it is closed.

    `start` starts a child and returns it when it serves; `healthy` checks the health of one. A
    request that comes while no child serves waits for at most `wait_s`.
    """

    supervised = True

    def __init__(
        self,
        start: Callable[[], Awaitable[Child]],
        healthy: Callable[[str], Awaitable[bool]],
        wait_s: float,
        clockwork: Clockwork | None = None,
    ) -> None:
        self._start = start
        self._healthy = healthy
        self._wait_s = wait_s
        self._time = clockwork or Clockwork()
        self._serving = asyncio.Event()
        self._child: Child | None = None
        self._generation = 0
        self._suspecting = False
        self._failure: tuple[float, str] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._log = EventLog(__name__)

    @property
    def ready(self) -> bool:
        return self._serving.is_set()

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def failure(self) -> EngineFailure | None:
        if self._failure is None:
            return None
        at, reason = self._failure
        return EngineFailure(reason, max(0.0, self._time.now() - at))

    @property
    def child(self) -> Child | None:
        return self._child

    async def open(self) -> None:
        """Start the first child, without a second try: a failure now would repeat itself."""
        self._child = await self._start()
        self._serving.set()
        self._keeper = asyncio.create_task(self._keep(self._child))

    async def address(self) -> str:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._serving.wait()
        except TimeoutError as error:
            raise EngineError(
                EngineErrorKind.OVERLOADED, "llama.cpp is restarting and was not back in time"
            ) from error
        return self._child.address if self._child is not None else ""

    async def suspect(self, address: str) -> None:
        """Check the health of a child that is silent; end it if it does not answer either."""
        if self._suspecting or not self._serves(address):
            return
        self._suspecting = True
        try:
            for _ in range(SUSPECT_CHECKS):
                if await self._healthy(address):
                    return
        finally:
            self._suspecting = False
        self.end(address, "llama.cpp is silent, does not answer, and is restarted")

    def _serves(self, address: str) -> bool:
        return self._serving.is_set() and self._child is not None and self._child.address == address

    def end(self, address: str, reason: str) -> None:
        """End the child at an address; nothing is ready until the next one serves."""
        if self._child is not None and self._serves(address):
            self._serving.clear()
            self._note(reason)
            self._log.error(reason)
            self._child.kill()

    async def aclose(self) -> None:
        self._serving.clear()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._child is not None:
            await self._child.aclose()

    def _note(self, reason: str) -> None:
        self._failure = self._time.now(), reason

    async def _keep(self, child: Child) -> None:
        crashes = 0
        while True:
            began, before = self._time.now(), self._failure
            code = await self._watch(child)
            if self._failure is before:
                # Else it was ended, and why is known.
                self._note(f"llama.cpp ended with exit code {code}")
            self._serving.clear()
            crashes = 1 if self._time.now() - began >= STABLE_S else crashes + 1
            self._log.error("llama.cpp ended", exit_code=code, crashes=crashes)
            child, crashes = await self._restart(crashes)
            self._child = child
            self._generation += 1
            self._serving.set()

    async def _watch(self, child: Child) -> int:
        checks = asyncio.create_task(self._check(child))
        try:
            return await child.wait()
        finally:
            checks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await checks

    async def _check(self, child: Child) -> None:
        failed = 0
        while failed < FAILED_CHECKS:
            await self._time.sleep(CHECK_EVERY_S)
            failed = 0 if await self._healthy(child.address) else failed + 1
        self._note("llama.cpp does not answer and is restarted")
        self._log.error("llama.cpp does not answer and is restarted", failed_checks=failed)
        child.kill()

    async def _restart(self, crashes: int) -> tuple[Child, int]:
        while True:
            await self._time.sleep(pause_after(crashes))
            try:
                return await self._start(), crashes
            except (EngineStartError, OSError) as error:
                crashes += 1
                self._note(f"llama.cpp does not start: {error}")
                self._log.error("llama.cpp does not start", reason=str(error), crashes=crashes)
