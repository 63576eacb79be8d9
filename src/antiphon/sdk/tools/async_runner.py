"""The runner of an async client, by the rules of `runner`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar

from antiphon.sdk.tools.async_calls import run_calls_async
from antiphon.sdk.tools.loop import Parameters
from antiphon.sdk.tools.options import RunOptions
from antiphon.sdk.tools.runner import AnyRunner
from antiphon.sdk.types.message import Message

Item = TypeVar("Item")
M = TypeVar("M", bound=Message)


class AsyncToolRunner(AnyRunner[M], Generic[Item, M]):
    """As `ToolRunner`, for asyncio. Async tools run on the loop, others in threads."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        options: RunOptions,
        *,
        ask: Callable[[Parameters], Awaitable[Item]],
    ) -> None:
        super().__init__(parameters, options, takes_async=True)
        self._ask = ask
        self._item: Any = None

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        await self._end_turn()
        request = self._loop.request()
        if request is None:
            raise StopAsyncIteration
        self._item = item = await self._ask(request)
        if isinstance(item, Message):
            await self._take()
        return item

    async def _take(self) -> None:
        """Hand the answer over, of a stream when it has come to its end."""
        item, self._item = self._item, None
        if isinstance(item, Message):
            self._loop.take(item)
        elif item is not None:
            try:
                self._loop.take(await item.get_final_message())
            finally:
                await item.close()

    async def _end_turn(self) -> None:
        await self._take()
        if calls := self._loop.calls():
            self._loop.take_results(await run_calls_async(self._loop, calls, self._options))

    async def generate_tool_call_response(self) -> dict[str, Any] | None:
        """Run the calls of the answer that is looked at, and return the message of their results.

        `None` if it calls nothing. The runner does not run them again.
        """
        await self._end_turn()
        return self._loop.results_message()

    async def until_done(self) -> M:
        """Run to the end and return the last answer."""
        async for _ in self:
            pass
        final: M = self._loop.final()
        return final

    async def close(self) -> None:
        """Close the stream that is open, if one is."""
        item, self._item = self._item, None
        if item is not None:
            await item.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
