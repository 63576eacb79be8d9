"""An event loop in which time is simulated: nothing waits, and one seed decides every delay.

The loop owns the clock. When no callback is ready, the time jumps to the next timer; each round
of callbacks costs some drawn microseconds, so that timers also fire between two of them, as they
do on a processor. Work for a thread is done inline, after a drawn delay.

Everything that runs in the loop belongs to an `Owner` or to the outside. An owner that is dead
takes no step any more: that is how a process is killed at any `await`, without a `finally`.
"""

import asyncio
import selectors
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import partial
from random import Random
from typing import Any, Protocol

import anyio
from anyio import to_thread

# What a round of callbacks costs at most, in seconds.
ROUND_S = 100e-6
# How long a thread takes to begin, and its result to arrive: at least and at most.
THREAD_S = (50e-6, 4e-3)


class Owner(Protocol):
    """A simulated process: whatever runs in a context that names it is a step of it."""

    def may_step(self) -> bool:
        """Tell whether the process lives; called once for each of its steps."""
        ...

    def park(self, step: Callable[[], object]) -> None:
        """Keep a step that a dead process would have made, for the end of the run."""
        ...

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        ...


OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)


class DeadlockError(Exception):
    """Nothing is ready and nothing is scheduled: what is waited for can never come."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one run. `chance` draws every delay; nothing else decides an order."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.chance = chance
        self._selector = _Clock(self)
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def passes(self, seconds: float) -> None:
        self._now += seconds

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        step = _Step(callback, args)
        step.handle = super().call_soon(step, context=context)
        return step.handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        step = _Step(callback, args)
        step.handle = handle = super().call_at(when, step, context=context)
        return handle

    # There is one thread.
    call_soon_threadsafe = call_soon

    def run_in_executor(  # type: ignore[override] - the base class is not typed as a coroutine
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do the work of a thread inline, unless it is cancelled before it begins."""
        del executor
        done = self.create_future()

        def work() -> None:
            if not done.cancelled():
                result, error = attempt(func, *args)
                self.call_later(self.delay(), deliver, done, result, error)

        self.call_later(self.delay(), work)
        return done

    def delay(self) -> float:
        """Draw how long the way to a thread or back takes."""
        return self.chance.uniform(*THREAD_S)

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


class _Clock(selectors.BaseSelector):
    """Where a loop would wait for sockets, the time passes."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise DeadlockError
        self._loop.passes(timeout + self._loop.chance.random() * ROUND_S)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("the simulation has no sockets")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("the simulation has no sockets")

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return {}


def attempt(func: Callable[..., Any], *args: Any) -> tuple[Any, BaseException | None]:
    """Return what a call returns, or what it raises."""
    try:
        return func(*args), None
    except Exception as error:  # noqa: BLE001 - it belongs to who waits for the result
        return None, error


def deliver(done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Hand over what `attempt` returned, unless nobody waits for it any more."""
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


@contextmanager
def inline_threads() -> Generator[None]:
    """Let `anyio.to_thread` ask the loop for a thread, as `asyncio.to_thread` does by itself."""
    original = to_thread.run_sync

    async def run_sync(
        func: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        del limiter
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope(shield=not abandon_on_cancel):
            return await asyncio.get_running_loop().run_in_executor(None, func, *args)

    to_thread.run_sync = run_sync  # type: ignore[assignment] - the library has no other seam
    try:
        yield
    finally:
        to_thread.run_sync = original


class _Step:
    """A callback and its handle: one that was parked can still be cancelled, as in a real loop."""

    __slots__ = ("_args", "_callback", "handle")
    handle: asyncio.Handle

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._callback = callback
        self._args = args

    def __call__(self) -> None:
        owner = OWNER.get()
        if owner is None or owner.may_step():
            self._callback(*self._args)
        else:
            owner.park(partial(copy_context().run, self._late))

    def _late(self) -> None:
        if not self.handle.cancelled():
            self._callback(*self._args)
