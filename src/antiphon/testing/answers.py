"""What a test has the model say: texts, thoughts, calls of tools, refusals."""

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from antiphon.testing.failures import Failure
    from antiphon.testing.requests import RecordedRequest

StopReason: TypeAlias = Literal[
    "end_turn", "max_tokens", "pause_turn", "refusal", "model_context_window_exceeded"
]
When: TypeAlias = "str | re.Pattern[str] | Callable[[RecordedRequest], bool] | None"


class ToolCall(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A call of a tool."""

    name: str
    input: dict[str, Any] = {}


class Thinking(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A thought before the answer. It is sent if the request enables thinking."""

    text: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The model declines: `stop_reason` is `refusal`, after `text`."""

    text: str = ""
    category: str | None = None
    explanation: str | None = None


Block: TypeAlias = "str | ToolCall | Thinking | Refused | Mapping[str, Any]"


class Answer(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One answer of the model. It is said as it is, whatever the request wants.

    `delay` are the seconds before its first token, `tokens_per_second` its speed; 0 is unlimited.
    `pings` more pings are sent before the first content of a stream.
    """

    thinking: str = ""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason = "end_turn"
    category: str | None = None
    explanation: str | None = None
    delay: float = 0.0
    tokens_per_second: float = 0.0
    pings: int = 0


def tool_call(name: str, input: Mapping[str, Any] | None = None, /, **values: Any) -> ToolCall:  # noqa: A002 - the name on the wire
    """Return a call of a tool, with an input as a mapping or as keywords."""
    return ToolCall(name, {**(input or {}), **values})


def thinking(text: str) -> Thinking:
    """Return a thought; it stands before the text of the same answer."""
    return Thinking(text)


def refusal(
    text: str = "", *, category: str | None = None, explanation: str | None = None
) -> Refused:
    """Return a refusal, after the text that was said before it."""
    return Refused(text=text, category=category, explanation=explanation)


def answer(*blocks: Block, **details: Any) -> Answer:
    """Return the answer that these blocks make. `details` are fields of `Answer`: `delay=2`.

    Blocks stand in the order of an answer: thoughts, texts, calls. A mapping is an answer in JSON,
    as structured outputs are. Raises `ValueError` for another order, `TypeError` for what is none.
    """
    thoughts: list[str] = []
    texts: list[str] = []
    calls: list[ToolCall] = []
    for block in blocks:
        match block:
            case Thinking(text=text):
                _check_order(not texts and not calls, "a thought stands before text and calls")
                thoughts.append(text)
            case ToolCall():
                calls.append(block)
            case Refused(text=text, category=category, explanation=explanation):
                _check_order(not calls, "a refusal has no calls of tools before it")
                texts.append(text)
                details |= {
                    "stop_reason": "refusal",
                    "category": category,
                    "explanation": explanation,
                }
            case str() | Mapping():
                _check_order(not calls, "text stands before the calls of tools")
                texts.append(block if isinstance(block, str) else json.dumps(dict(block)))
            case _:
                raise TypeError(
                    f"an answer is made of texts, mappings, thinking(…), tool_call(…) and "
                    f"refusal(…), not of {type(block).__name__}"
                )
    made = Answer(
        thinking="".join(thoughts), text="".join(texts), tool_calls=tuple(calls), **details
    )
    if made.stop_reason == "refusal" and made.tool_calls:
        raise ValueError("a refusal has no calls of tools")
    return made


def _check_order(right: bool, rule: str) -> None:  # noqa: FBT001 - what is checked
    if not right:
        raise ValueError(rule)


Producer: TypeAlias = (
    "Callable[[RecordedRequest], Answer | Failure | Block | tuple[Block, ...] | list[Block]]"
)
"""A function that answers a request, which it gets as it came."""
