"""The Claude API on your own machines: its server, and a client of it and of the hosted API.

    import antiphon

    client = antiphon.Client()
    message = client.messages.create(model="…", max_tokens=1024, messages=[…])

Names are imported when they are used, so this import is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon import tools, types
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.async_client import AsyncClient as AsyncAnthropic
    from antiphon.sdk.batches.map_lines import MapFileError, MapFileInUseError, RowChangedError
    from antiphon.sdk.batches.rows import RowCanceledError, RowError, RowExpiredError
    from antiphon.sdk.batches.waiting import WaitTimeoutError
    from antiphon.sdk.breakpoints import with_breakpoints
    from antiphon.sdk.call import Timeout
    from antiphon.sdk.client import Client
    from antiphon.sdk.client import Client as Anthropic
    from antiphon.sdk.cost import Cost, UnknownPriceError, cost_of, price
    from antiphon.sdk.errors import (
        AnthropicError,
        AntiphonError,
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientClosedRequestError,
        ConflictError,
        ContentTooLargeError,
        CredentialsError,
        DeadlineExceededError,
        GatewayTimeoutError,
        HTTPNotImplementedError,
        IncompleteStreamError,
        InternalServerError,
        NotFoundError,
        OverloadedError,
        PaymentRequiredError,
        PermissionDeniedError,
        PreconditionFailedError,
        RateLimitError,
        RequestHeaderFieldsTooLargeError,
        RequestTimeoutError,
        RequestTooLargeError,
        ServiceUnavailableError,
        UnprocessableEntityError,
    )
    from antiphon.sdk.json_types.guaranteed import transform_schema
    from antiphon.sdk.limiter import Limiter, LimiterTimeoutError
    from antiphon.sdk.message_parameters import Omit, omit
    from antiphon.sdk.message_parameters import Omit as NotGiven
    from antiphon.sdk.message_parameters import omit as NOT_GIVEN  # noqa: N812
    from antiphon.sdk.message_parameters import omit as not_given
    from antiphon.sdk.output.parsed import OutputError, ParsedMessage
    from antiphon.sdk.output.streams import AsyncParsedMessageStream, ParsedMessageStream
    from antiphon.sdk.streams import AsyncMessageStream, AsyncStream, MessageStream, Stream
    from antiphon.sdk.tools.async_runner import AsyncToolRunner
    from antiphon.sdk.tools.definition import Tool, beta_async_tool, beta_tool, tool
    from antiphon.sdk.tools.memory import MemoryTool
    from antiphon.sdk.tools.results import ToolCall, ToolError, ToolResult
    from antiphon.sdk.tools.runner import ToolRunner
    from antiphon.sdk.tracing import CallSpans

__version__ = "0.1.0"

_ERRORS = "antiphon.sdk.errors"
# Names of the official SDK that are other ones here.
_OTHER_NAMES = {
    "Anthropic": "Client",
    "AsyncAnthropic": "AsyncClient",
    "NOT_GIVEN": "omit",
    "NotGiven": "Omit",
    "not_given": "omit",
}
_MODULES = frozenset({"testing", "tools", "types"})
_OUTPUT = "antiphon.sdk.output"
_PARAMETERS = "antiphon.sdk.message_parameters"
_STREAMS = "antiphon.sdk.streams"
_TOOLS = "antiphon.sdk.tools"
_PLACES = {
    "Client": "antiphon.sdk.client",
    "AsyncClient": "antiphon.sdk.async_client",
    "Anthropic": "antiphon.sdk.client",
    "AsyncAnthropic": "antiphon.sdk.async_client",
    "NOT_GIVEN": _PARAMETERS,
    "NotGiven": _PARAMETERS,
    "Omit": _PARAMETERS,
    "not_given": _PARAMETERS,
    "omit": _PARAMETERS,
    "CallSpans": "antiphon.sdk.tracing",
    "Timeout": "antiphon.sdk.call",
    "APIConnectionError": _ERRORS,
    "APIError": _ERRORS,
    "APIResponseValidationError": _ERRORS,
    "APIStatusError": _ERRORS,
    "APITimeoutError": _ERRORS,
    "AnthropicError": _ERRORS,
    "AntiphonError": _ERRORS,
    "AuthenticationError": _ERRORS,
    "BadRequestError": _ERRORS,
    "ClientClosedRequestError": _ERRORS,
    "ConflictError": _ERRORS,
    "ContentTooLargeError": _ERRORS,
    "CredentialsError": _ERRORS,
    "DeadlineExceededError": _ERRORS,
    "GatewayTimeoutError": _ERRORS,
    "HTTPNotImplementedError": _ERRORS,
    "IncompleteStreamError": _ERRORS,
    "InternalServerError": _ERRORS,
    "NotFoundError": _ERRORS,
    "OverloadedError": _ERRORS,
    "PaymentRequiredError": _ERRORS,
    "PermissionDeniedError": _ERRORS,
    "PreconditionFailedError": _ERRORS,
    "RateLimitError": _ERRORS,
    "RequestHeaderFieldsTooLargeError": _ERRORS,
    "RequestTimeoutError": _ERRORS,
    "RequestTooLargeError": _ERRORS,
    "ServiceUnavailableError": _ERRORS,
    "UnprocessableEntityError": _ERRORS,
    "MapFileError": "antiphon.sdk.batches.map_lines",
    "MapFileInUseError": "antiphon.sdk.batches.map_lines",
    "RowChangedError": "antiphon.sdk.batches.map_lines",
    "RowCanceledError": "antiphon.sdk.batches.rows",
    "RowError": "antiphon.sdk.batches.rows",
    "RowExpiredError": "antiphon.sdk.batches.rows",
    "WaitTimeoutError": "antiphon.sdk.batches.waiting",
    "with_breakpoints": "antiphon.sdk.breakpoints",
    "Cost": "antiphon.sdk.cost",
    "UnknownPriceError": "antiphon.sdk.cost",
    "cost_of": "antiphon.sdk.cost",
    "price": "antiphon.sdk.cost",
    "Limiter": "antiphon.sdk.limiter",
    "LimiterTimeoutError": "antiphon.sdk.limiter",
    "AsyncMessageStream": _STREAMS,
    "AsyncStream": _STREAMS,
    "MessageStream": _STREAMS,
    "Stream": _STREAMS,
    "OutputError": f"{_OUTPUT}.parsed",
    "ParsedMessage": f"{_OUTPUT}.parsed",
    "AsyncParsedMessageStream": f"{_OUTPUT}.streams",
    "ParsedMessageStream": f"{_OUTPUT}.streams",
    "transform_schema": "antiphon.sdk.json_types.guaranteed",
    "AsyncToolRunner": f"{_TOOLS}.async_runner",
    "Tool": f"{_TOOLS}.definition",
    "beta_async_tool": f"{_TOOLS}.definition",
    "beta_tool": f"{_TOOLS}.definition",
    "tool": f"{_TOOLS}.definition",
    "MemoryTool": f"{_TOOLS}.memory",
    "ToolCall": f"{_TOOLS}.results",
    "ToolError": f"{_TOOLS}.results",
    "ToolResult": f"{_TOOLS}.results",
    "ToolRunner": f"{_TOOLS}.runner",
}

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "Anthropic",
    "AnthropicError",
    "AntiphonError",
    "AsyncAnthropic",
    "AsyncClient",
    "AsyncMessageStream",
    "AsyncParsedMessageStream",
    "AsyncStream",
    "AsyncToolRunner",
    "AuthenticationError",
    "BadRequestError",
    "CallSpans",
    "Client",
    "ClientClosedRequestError",
    "ConflictError",
    "ContentTooLargeError",
    "Cost",
    "CredentialsError",
    "DeadlineExceededError",
    "GatewayTimeoutError",
    "HTTPNotImplementedError",
    "IncompleteStreamError",
    "InternalServerError",
    "Limiter",
    "LimiterTimeoutError",
    "MapFileError",
    "MapFileInUseError",
    "MemoryTool",
    "MessageStream",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "OutputError",
    "OverloadedError",
    "ParsedMessage",
    "ParsedMessageStream",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RequestHeaderFieldsTooLargeError",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "RowCanceledError",
    "RowChangedError",
    "RowError",
    "RowExpiredError",
    "ServiceUnavailableError",
    "Stream",
    "Timeout",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolResult",
    "ToolRunner",
    "UnknownPriceError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "__version__",
    "beta_async_tool",
    "beta_tool",
    "cost_of",
    "not_given",
    "omit",
    "price",
    "tool",
    "tools",
    "transform_schema",
    "types",
    "with_breakpoints",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"antiphon.{name}")
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
    return getattr(import_module(place), _OTHER_NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
