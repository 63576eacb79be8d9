"""The runner of a client that blocks: a conversation in which the model calls tools.

    for message in client.messages.run_tools(model=…, max_tokens=…, messages=[…], tools=[…]):
        …

A runner iterates over the answers; between two of them it runs what the model calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

from antiphon.sdk.tools.calls import run_calls
from antiphon.sdk.tools.loop import Parameters, ToolLoop
from antiphon.sdk.tools.options import RunOptions
from antiphon.sdk.types.message import Message, Usage

Item = TypeVar("Item")
M = TypeVar("M", bound=Message)


class AnyRunner(Generic[M]):
    """What both runners have in common: the conversation, without input or output."""

    def __init__(
        self, parameters: Mapping[str, Any], options: RunOptions, *, takes_async: bool
    ) -> None:
        self._options = options
        self._loop = ToolLoop(parameters, options.get("max_iterations"), takes_async=takes_async)

    @property
    def messages(self) -> list[Any]:
        """The conversation, to go on with. It ends with the last answer when the runner is done."""
        return self._loop.conversation()

    @property
    def usage(self) -> Usage:
        """The tokens of all requests together."""
        from antiphon.sdk.types.decoding import convert_struct  # noqa: PLC0415

        return convert_struct(Usage, self._loop.usage)

    @property
    def iterations(self) -> int:
        """How many requests were sent."""
        return self._loop.iterations

    def append_messages(self, *messages: Any) -> None:
        """Say more: messages behind the answer that is looked at and the results of its calls.

        Whoever appends the answer itself, as with changed results behind it, has answered its
        calls: then the runner adds neither. A conversation that was over goes on.
        """
        self._loop.append(messages)

    def set_messages_params(
        self, params: Mapping[str, Any] | Callable[[Parameters], Mapping[str, Any]]
    ) -> None:
        """Replace the parameters of the next request; a function is given those that there are."""
        self._loop.set_parameters(params)


class ToolRunner(AnyRunner[M], Generic[Item, M]):
    """Iterates over the answers of a model, or the streams of them, and runs what it calls.

    Raises `APIError` when a request fails; the conversation up to there stays in `messages`.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        options: RunOptions,
        *,
        ask: Callable[[Parameters], Item],
    ) -> None:
        super().__init__(parameters, options, takes_async=False)
        self._ask = ask
        self._item: Any = None

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        self._end_turn()
        request = self._loop.request()
        if request is None:
            raise StopIteration
        self._item = item = self._ask(request)
        if isinstance(item, Message):
            self._take()
        return item

    def _take(self) -> None:
        """Hand the answer over, of a stream when it has come to its end."""
        item, self._item = self._item, None
        if isinstance(item, Message):
            self._loop.take(item)
        elif item is not None:
            try:
                self._loop.take(item.get_final_message())
            finally:
                item.close()

    def _end_turn(self) -> None:
        self._take()
        if calls := self._loop.calls():
            self._loop.take_results(run_calls(self._loop, calls, self._options))

    def generate_tool_call_response(self) -> dict[str, Any] | None:
        """Run the calls of the answer that is looked at, and return the message of their results.

        `None` if it calls nothing. The runner does not run them again.
        """
        self._end_turn()
        return self._loop.results_message()

    def until_done(self) -> M:
        """Run to the end and return the last answer."""
        for _ in self:
            pass
        final: M = self._loop.final()
        return final

    def close(self) -> None:
        """Close the stream that is open, if one is."""
        item, self._item = self._item, None
        if item is not None:
            item.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
