"""The parameters of messages, once for both clients, and the calls that they make. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, Protocol, Required, TypeAlias, TypeVar, Unpack

import msgspec

from antiphon.sdk.breakpoints import CacheChoice, ttl_of, with_breakpoints
from antiphon.sdk.call import Call, CallOptions, json_body, path_of
from antiphon.sdk.options import ClientOptions
from antiphon.sdk.sent import BlockInput, MessageInput, sent_content, sent_messages
from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.decoding import answered
from antiphon.sdk.types.message import Message, MessageTokensCount

LONGEST_UNSTREAMED = 21_333
"""The most tokens that an answer without a stream may have: 10 minutes of the fastest model."""

A = TypeVar("A", bound=Answered)
P = TypeVar("P", bound=Mapping[str, Any])
JsonParam: TypeAlias = Mapping[str, Any] | msgspec.Struct


class HasDefinition(Protocol):
    """What says itself what a request tells of it, as a function that `@tool` made one."""

    def to_dict(self) -> dict[str, Any]: ...


ToolInput: TypeAlias = JsonParam | HasDefinition | Callable[..., Any]
"""A tool: its definition, or a function."""


class PromptParameters(CallOptions, total=False):
    """What makes a prompt. `None` leaves a parameter out.

    `tools`, `tool_choice` and the like are dicts as the API documents them, or structs of
    `antiphon.wire`; a tool may be a function as well. `betas` become the header `anthropic-beta`.
    `cache` sets breakpoints of the prompt cache where they pay, for five minutes ("auto") or an
    hour, unless there are any.
    """

    model: Required[str]
    messages: Required[Iterable[MessageInput]]
    system: str | Iterable[BlockInput] | None
    tools: Iterable[ToolInput] | None
    tool_choice: JsonParam | None
    thinking: JsonParam | None
    output_config: JsonParam | None
    cache_control: JsonParam | None
    context_management: JsonParam | None
    speed: Literal["standard", "fast"] | None
    betas: Sequence[str] | None
    cache: CacheChoice | None


class MessageParameters(PromptParameters, total=False):
    """A prompt, and how it is answered."""

    max_tokens: Required[int]
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop_sequences: Sequence[str] | None
    metadata: JsonParam | None
    service_tier: Literal["auto", "standard_only"] | None
    container: str | JsonParam | None
    inference_geo: str | None
    diagnostics: JsonParam | None


class Omit:
    """The type of `omit`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "omit"


omit: Any = Omit()
"""In place of a parameter: as if it were not given. `NOT_GIVEN` is another name of it."""


def without_omitted(parameters: P) -> P:
    """Return parameters without those that are `omit`."""
    if Omit not in map(type, parameters.values()):
        return parameters
    given: Any = {name: value for name, value in parameters.items() if type(value) is not Omit}
    left: P = given
    return left


MESSAGES = path_of("messages")
COUNT_TOKENS = path_of("messages", "count_tokens")

_OF_CALLS = CallOptions.__optional_keys__
_OPTIONS = _OF_CALLS | {"betas", "cache"}
_NEEDED_OF_PROMPT = PromptParameters.__required_keys__
_NEEDED_OF_MESSAGE = MessageParameters.__required_keys__
_OF_PROMPT = _NEEDED_OF_PROMPT | PromptParameters.__optional_keys__
_OF_MESSAGE = _NEEDED_OF_MESSAGE | MessageParameters.__optional_keys__


def create_call(parameters: MessageParameters, *, stream: bool) -> Call[Message]:
    """Return the call of a message. Raises `TypeError` for parameters that there are not."""
    parameters = without_omitted(parameters)
    body = _body("create", parameters, known=_OF_MESSAGE, required=_NEEDED_OF_MESSAGE)
    if stream:
        body["stream"] = True
    return _call(MESSAGES, Message, parameters, body)


def count_tokens_call(**parameters: Unpack[PromptParameters]) -> Call[MessageTokensCount]:
    """Count the tokens of a prompt; nothing is generated or billed."""
    given: Any = without_omitted(parameters)
    body = _body("count_tokens", given, known=_OF_PROMPT, required=_NEEDED_OF_PROMPT)
    return _call(COUNT_TOKENS, MessageTokensCount, given, body)


def _body(
    operation: str,
    parameters: Mapping[str, Any],
    *,
    known: frozenset[str],
    required: frozenset[str],
) -> dict[str, Any]:
    """Return what is sent of the parameters, without options. Raises `TypeError`."""
    names = parameters.keys()
    if not names <= known:
        raise TypeError(_unknown_text(operation, sorted(names - known), known))
    if not names >= required:
        raise TypeError(f"{operation}() needs {', '.join(sorted(required - names))}")
    body = dict(parameters)
    if NoneType in map(type, body.values()) or not _OPTIONS.isdisjoint(body):
        body = {
            name: value
            for name, value in parameters.items()
            if value is not None and name not in _OPTIONS
        }
    body["messages"] = sent_messages(body["messages"])
    if "system" in body:
        body["system"] = sent_content(body["system"])
    if "tools" in body:
        body["tools"] = [_sent_tool(one) for one in body["tools"]]
    cache = parameters.get("cache")
    return body if cache is None else with_breakpoints(body, ttl_of(cache))


def _sent_tool(one: Any) -> Any:
    """Return the definition of a tool."""
    if isinstance(one, Mapping | msgspec.Struct):
        return one
    if not hasattr(one, "to_dict"):
        from antiphon.sdk.tools.definition import Tool  # noqa: PLC0415 - to read a function

        one = Tool(one)
    return one.to_dict()


def _unknown_text(operation: str, unknown: Sequence[str], known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - 5 ms, and only for a mistake

    if unknown[0] == "output_format":
        return f"{operation}() has no output_format; `messages.parse` and `messages.stream` take it"
    close = get_close_matches(unknown[0], known, n=1)
    meant = f"did you mean {close[0]}?" if close else "`extra_body` sends what is not known here"
    return f"{operation}() has no parameter {', '.join(unknown)}; {meant}"


def _call(
    path: str, kind: type[A], parameters: Mapping[str, Any], body: Mapping[str, Any]
) -> Call[A]:
    options: Any = {}
    if not _OF_CALLS.isdisjoint(parameters):
        options = {name: parameters[name] for name in _OF_CALLS if name in parameters}
    betas = parameters.get("betas")
    return Call(
        method="POST",
        path=path,
        decode=answered(kind),
        body=json_body(body, options),
        headers=(("anthropic-beta", ",".join(betas)),) if betas else (),
        options=options,
    )


def is_long(parameters: MessageParameters, options: ClientOptions) -> bool:
    """Whether an answer may take longer than a connection without a sign of life should be silent.

    Such a call is streamed underneath, unless the program says itself how long it may take.
    """
    most: Any = parameters.get("max_tokens")
    if not isinstance(most, int) or most <= LONGEST_UNSTREAMED:
        return False
    return "timeout" not in without_omitted(parameters) and not options.own_timeout
