"""Work of several calls, written once for both clients. No input or output.

A flow is a generator. It yields steps: a call to make, a pause, lines to read, work on a file, a
result for whoever iterates. A driver does each step and sends its outcome back, or throws the error
in. So loops that poll, retry and collect stand here once, and not in two clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

import msgspec

from antiphon.sdk.call import Call
from antiphon.sdk.exchange import Pause
from antiphon.sdk.lines import AsyncLines, Lines

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client

T = TypeVar("T")
END = object()
"""What a flow gets for `NextRow` behind the last one."""


class Ask(msgspec.Struct, frozen=True):
    """Make a call; its result comes back."""

    call: Call[Any]


class ReadLines(msgspec.Struct, frozen=True):
    """Make a call whose answer is lines, and hand each one to `take` as it comes."""

    call: Call[Any]
    take: Callable[[bytes], object]


class Work(msgspec.Struct, frozen=True):
    """Do something that may block, as writing a file; its result comes back."""

    do: Callable[[], Any]


class NextRow(msgspec.Struct, frozen=True):
    """Take the next row of the iterable that the flow works on; `END` behind the last."""


class Emit(msgspec.Struct, frozen=True):
    """Hand a result to whoever iterates."""

    value: Any


FlowStep: TypeAlias = Ask | ReadLines | Work | NextRow | Emit | Pause
Flow: TypeAlias = Generator[FlowStep, Any, T]


class Left(BaseException):
    """Thrown into a flow when its results are not wanted any more."""


class _Followed(Generic[T]):
    """A flow, and what it has returned."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._ended = False
        self.returned: Any = None
        """What the flow returned, once it has ended."""

    def _step(self, answer: Any, error: BaseException | None) -> FlowStep | None:
        """Tell the flow how its last step went; return the next one, or `None` at its end."""
        try:
            return self._flow.send(answer) if error is None else self._flow.throw(error)
        except StopIteration as ended:
            self._ended, self.returned = True, ended.value
            return None
        except BaseException:
            self._ended = True
            raise


class Results(_Followed[T]):
    """The results of a flow, as they come. Close it, or use it in a `with`, to end it early."""

    def __init__(self, client: Client, flow: Flow[Any], rows: Iterable[Any] = ()) -> None:
        super().__init__(flow)
        self._client = client
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        emitted = None if self._ended else self._advance(None)
        if emitted is None:
            raise StopIteration
        value: T = emitted.value
        return value

    def run(self) -> Any:
        """Do all steps of a flow, for what it returns."""
        for _ in self:
            pass
        return self.returned

    def close(self) -> None:
        """End the flow. What it emits now is dropped."""
        error: BaseException | None = Left()
        try:
            while not self._ended:
                self._advance(error)
                error = None
        except Left:
            pass

    def _advance(self, error: BaseException | None) -> Emit | None:
        answer: Any = None
        while (step := self._step(answer, error)) is not None:
            answer = error = None
            if isinstance(step, Emit):
                return step
            try:
                answer = self._do(step)
            except BaseException as caught:  # noqa: BLE001 - the flow decides about it
                error = caught
        return None

    def _do(self, step: FlowStep) -> Any:
        match step:
            case Ask(call):
                return self._client.run(call)
            case ReadLines(call, take):
                with Lines(self._client, call) as lines:
                    for line in lines:
                        take(line)
            case Work(do):
                return do()
            case NextRow():
                return next(self._rows, END)
            case Pause(seconds):
                self._client._sleep(seconds)  # noqa: SLF001 - how this client waits
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncResults(_Followed[T]):
    """As `Results`, for asyncio."""

    def __init__(
        self, client: AsyncClient, flow: Flow[Any], rows: Iterable[Any] | AsyncIterable[Any] = ()
    ) -> None:
        super().__init__(flow)
        self._client = client
        self._rows: Iterator[Any] | AsyncIterator[Any] = (
            aiter(rows) if isinstance(rows, AsyncIterable) else iter(rows)
        )

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        emitted = None if self._ended else await self._advance(None)
        if emitted is None:
            raise StopAsyncIteration
        value: T = emitted.value
        return value

    async def run(self) -> Any:
        """Do all steps of a flow, for what it returns."""
        async for _ in self:
            pass
        return self.returned

    async def aclose(self) -> None:
        """End the flow. What it emits now is dropped."""
        error: BaseException | None = Left()
        try:
            while not self._ended:
                await self._advance(error)
                error = None
        except Left:
            pass

    async def _advance(self, error: BaseException | None) -> Emit | None:
        answer: Any = None
        while (step := self._step(answer, error)) is not None:
            answer = error = None
            if isinstance(step, Emit):
                return step
            try:
                answer = await self._do(step)
            except BaseException as caught:  # noqa: BLE001 - the flow decides about it
                error = caught
        return None

    async def _do(self, step: FlowStep) -> Any:
        match step:
            case Ask(call):
                return await self._client.run(call)
            case ReadLines(call, take):
                async with AsyncLines(self._client, call) as lines:
                    async for line in lines:
                        take(line)
            case Work(do):
                return await _in_thread(do)
            case NextRow():
                if isinstance(self._rows, AsyncIterator):
                    return await anext(self._rows, END)
                return next(self._rows, END)
            case Pause(seconds):
                await self._client._sleep(seconds)  # noqa: SLF001 - how this client waits
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _in_thread(do: Callable[[], Any]) -> Any:
    """Do something in a thread. A cancelled task goes on when it is done: its file is its own."""
    done = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done})
        raise
