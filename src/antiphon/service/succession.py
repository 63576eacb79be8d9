"""A model that takes over from another one, which answers until it is fetched and loaded.

    fetching ── its files are here ──► loading ── its engines are open ──► done
        └──────────── an error ───────────┴────────────────► failed: the other one stays

Requests that have begun, or wait at a gate, end on the old model; it is closed when none is left.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from antiphon.engines.base import EngineStartError
from antiphon.logs import EventLog
from antiphon.service.models import Models, ModelSource
from antiphon.weights.progress import Progress
from antiphon.weights.source import PullError
from antiphon.weights.spec import SpecError

T = TypeVar("T")

LOOK_EVERY_S: Final = 0.25
"""How often the old model is asked whether its last request has ended."""

Stage: TypeAlias = Literal["fetching", "loading", "done", "failed"]


class Successor(msgspec.Struct, frozen=True):
    """A model that is to take over from the model of the id `of`, and where its files come from.

    `fetch` blocks, and returns the model with its files; a `source` with files needs none. `tell`
    gets sentences for the operator.
    """

    source: ModelSource
    of: str
    fetch: Callable[[Progress], ModelSource]
    tell: Callable[[str], None]


class FetchState(msgspec.Struct, frozen=True):
    """How far a model is on its way. `reason` says why it has failed, for the operator."""

    stage: Stage
    fetched: int = 0
    total: int | None = None
    reason: str | None = None


class Succession:
    """Has one model take over from another one of `models`, once."""

    def __init__(
        self,
        models: Models,
        successor: Successor,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._models = models
        self._successor = successor
        self._sleep = sleep
        self._served = asyncio.Event()
        self._progress = _FetchProgress()
        self._stage: Stage = "fetching"
        self._reason: str | None = None
        self._log = EventLog(__name__)

    @property
    def model(self) -> str:
        """The id of the model that takes over."""
        return self._successor.source.settings.id

    @property
    def of(self) -> str:
        """The id of the model that answers until then."""
        return self._successor.of

    @property
    def state(self) -> FetchState:
        progress = self._progress
        return FetchState(self._stage, progress.done, progress.total, self._reason)

    async def open_models(self) -> None:
        """Open the models that serve from the start.

        A model whose files are here is loaded before the old one, which is opened only if it fails.
        Raises the `EngineStartError` of another model.
        """
        if self._successor.source.weights:
            await self._load(self._successor.source)
        await self._models.open()
        self._served.set()

    async def run(self) -> None:
        """Fetch and load the model once the others serve, and close the old one."""
        await self._served.wait()
        if self._stage == "fetching" and (source := await self._fetched()) is not None:
            await self._load(source)
        if self._stage == "done":
            await self._close_old()

    async def _fetched(self) -> ModelSource | None:
        self._log.info("a model is fetched, and takes over then", model=self.model, of=self.of)
        fetch, progress = self._successor.fetch, self._progress
        try:
            return await _in_thread(lambda: fetch(progress))
        except (PullError, SpecError, OSError) as error:
            self._fail(str(error))
            return None
        finally:
            progress.stop()

    async def _load(self, source: ModelSource) -> None:
        self._stage = "loading"
        try:
            await self._models.join(source)
        except (EngineStartError, OSError) as error:
            self._fail(str(error))
            return
        self._models.hand_over(self.of, self.model)
        self._stage = "done"
        self._log.info("a model took over", model=self.model, of=self.of)
        context = self._models.find(self.model).listed().max_input_tokens
        tokens = "" if context is None else f", with {context:,} tokens of context"
        self._successor.tell(f"{self.model} answers now{tokens}.")

    async def _close_old(self) -> None:
        while self._models.has_requests(self.of):
            await self._sleep(LOOK_EVERY_S)
        if await self._models.retire(self.of):
            self._log.info("a model was unloaded", model=self.of)

    def _fail(self, reason: str) -> None:
        self._stage, self._reason = "failed", reason
        self._log.error("a model cannot take over", model=self.model, of=self.of, reason=reason)
        self._successor.tell(f"{self.model} cannot take over, so {self.of} goes on: {reason}")


class _StoppedError(OSError):
    """The server stops. What was fetched stays, and the next start goes on with it."""


class _FetchProgress:
    """Counts what is fetched, and ends the fetch when the server stops."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def started(self, total: int | None, done: int) -> None:
        self.total, self.done = total, done

    def advanced(self, count: int) -> None:
        if self._stopped:
            raise _StoppedError("the server stops")
        self.done += count

    def note(self, text: str) -> None:
        EventLog(__name__).info("a model is being fetched", note=text)

    def finished(self) -> None: ...


async def _in_thread(work: Callable[[], T]) -> T:
    """Return the result of blocking work.

    Its thread keeps no process from ending, as those of executors do: a connection that is silent
    would hold up the end of a server for a minute.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def end(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # there is one without an error

    def run() -> None:
        result: T | None = None
        error: BaseException | None = OSError("the fetch has ended with a fault")
        try:
            result, error = work(), None
        except (PullError, SpecError, OSError) as fault:
            error = fault
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, result, error)

    threading.Thread(target=run, name="antiphon-fetch", daemon=True).start()
    return await done
