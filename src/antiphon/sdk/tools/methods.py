"""`messages.run_tools`: conversations in which the model calls tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from antiphon.sdk.endpoint import AsyncResource, Resource
from antiphon.sdk.message_parameters import MessageParameters
from antiphon.sdk.tools.options import RunOptions

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.output.parsed import ParsedMessage
    from antiphon.sdk.output.streams import AsyncParsedMessageStream, ParsedMessageStream
    from antiphon.sdk.streams import AsyncMessageStream, MessageStream
    from antiphon.sdk.tools.async_runner import AsyncToolRunner
    from antiphon.sdk.tools.runner import ToolRunner
    from antiphon.sdk.types.message import Message

T = TypeVar("T")


class ToolRunParameters(MessageParameters, RunOptions, total=False):
    """The parameters of each message, and how calls are run."""


class ToolRuns(Resource):
    """The part of `client.messages` that runs tools."""

    @overload
    def run_tools(
        self,
        *,
        output_format: None = None,
        stream: Literal[False] = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> ToolRunner[Message, Message]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: None = None,
        stream: Literal[True],
        **parameters: Unpack[ToolRunParameters],
    ) -> ToolRunner[MessageStream, Message]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: type[T],
        stream: Literal[False] = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> ToolRunner[ParsedMessage[T], ParsedMessage[T]]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: type[T],
        stream: Literal[True],
        **parameters: Unpack[ToolRunParameters],
    ) -> ToolRunner[ParsedMessageStream[T], ParsedMessage[T]]: ...
    @overload
    def run_tools(
        self, *, output_format: Any, stream: bool = False, **parameters: Unpack[ToolRunParameters]
    ) -> ToolRunner[Any, Any]: ...
    def run_tools(
        self,
        *,
        output_format: Any = None,
        stream: bool = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> ToolRunner[Any, Any]:
        """Ask, run the tools that the model calls, and ask again, until it answers.

        Iterate over the answers (with `stream`, over their streams), or take the last one by
        `until_done`. `tools` are functions, made by `@tool` or plain, or definitions of tools that
        the server runs. The other parameters are those of `create` and of `RunOptions`.
        """
        from antiphon.sdk.tools.runner import ToolRunner  # noqa: PLC0415

        client, (asked, options) = self._client, _split(parameters)

        def ask(request: dict[str, Any]) -> Any:
            return _ask(client, request, output_format, stream=stream)

        return ToolRunner(asked, options, ask=ask)

    tool_runner = run_tools


class AsyncToolRuns(AsyncResource):
    """The part of `client.messages` of an async client that runs tools."""

    @overload
    def run_tools(
        self,
        *,
        output_format: None = None,
        stream: Literal[False] = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> AsyncToolRunner[Message, Message]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: None = None,
        stream: Literal[True],
        **parameters: Unpack[ToolRunParameters],
    ) -> AsyncToolRunner[AsyncMessageStream, Message]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: type[T],
        stream: Literal[False] = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> AsyncToolRunner[ParsedMessage[T], ParsedMessage[T]]: ...
    @overload
    def run_tools(
        self,
        *,
        output_format: type[T],
        stream: Literal[True],
        **parameters: Unpack[ToolRunParameters],
    ) -> AsyncToolRunner[AsyncParsedMessageStream[T], ParsedMessage[T]]: ...
    @overload
    def run_tools(
        self, *, output_format: Any, stream: bool = False, **parameters: Unpack[ToolRunParameters]
    ) -> AsyncToolRunner[Any, Any]: ...
    def run_tools(
        self,
        *,
        output_format: Any = None,
        stream: bool = False,
        **parameters: Unpack[ToolRunParameters],
    ) -> AsyncToolRunner[Any, Any]:
        """As of `Client`; tools and hooks may be async."""
        from antiphon.sdk.tools.async_runner import AsyncToolRunner  # noqa: PLC0415

        client, (asked, options) = self._client, _split(parameters)

        async def ask(request: dict[str, Any]) -> Any:
            return await _ask_async(client, request, output_format, stream=stream)

        return AsyncToolRunner(asked, options, ask=ask)

    tool_runner = run_tools


def _split(parameters: ToolRunParameters) -> tuple[dict[str, Any], RunOptions]:
    """Return what is asked, and how calls are run."""
    own = RunOptions.__optional_keys__
    options: Any = {name: value for name, value in parameters.items() if name in own}
    return {name: value for name, value in parameters.items() if name not in own}, options


def _ask(client: Client, request: dict[str, Any], kind: Any, *, stream: bool) -> Any:
    messages: Any = client.messages
    if kind is not None:
        request = {**request, "output_format": kind}
    if stream:
        return messages.stream(**request).__enter__()
    return messages.create(**request) if kind is None else messages.parse(**request)


async def _ask_async(
    client: AsyncClient, request: dict[str, Any], kind: Any, *, stream: bool
) -> Any:
    messages: Any = client.messages
    if kind is not None:
        request = {**request, "output_format": kind}
    if stream:
        return await messages.stream(**request).__aenter__()
    return await (messages.create(**request) if kind is None else messages.parse(**request))
