"""Calls of tools and their results, as hooks see them and as the model does."""

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from antiphon.sdk.errors import AntiphonError
from antiphon.sdk.json_types import pydantic_types
from antiphon.sdk.json_types.values import InvalidValueError
from antiphon.sdk.tools.definition import Runnable

_BLOCKS = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source"},
    "search_result": {"source", "title", "content"},
    "tool_reference": {"tool_name"},
}
INVALID_JSON = "INVALID_JSON"


class ToolError(AntiphonError):
    """What a tool raises to tell the model of a failure. `content` is a text, or blocks."""

    def __init__(self, content: str | Sequence[Mapping[str, Any]]) -> None:
        super().__init__(content if isinstance(content, str) else "the tool failed")
        self.content = content


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a model asks for. `tool` is `None` if nobody offered one of that name."""

    id: str
    name: str
    input: dict[str, Any]
    tool: Any = None

    @property
    def runnable(self) -> Runnable | None:
        found: Runnable | None = self.tool
        return found


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is told of a call. `content` is a text or blocks; `None` is nothing.

    `error` is what the tool raised, if it did; `seconds` is how long it ran.
    """

    call: ToolCall
    content: Any = None
    is_error: bool = False
    error: BaseException | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the `tool_result` block."""
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self.call.id}
        if self.content is not None:
            block["content"] = _sendable(self.content)
        return {**block, "is_error": True} if self.is_error else block


def _sendable(content: Any) -> Any:
    """Return a content with `\ufffd` for what is no Unicode, as names of files may be."""
    if isinstance(content, str):
        return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(content, Mapping):
        return {name: _sendable(one) for name, one in content.items()}
    if isinstance(content, list | tuple):
        return [_sendable(one) for one in content]
    return content


def content_of(value: Any) -> Any:
    """Return what a tool returned as the content of its result.

    Texts and blocks are sent as they are, and anything else as JSON. Raises `TypeError` for a value
    that has none.
    """
    if value is None or isinstance(value, str):
        return value
    plain = msgspec.to_builtins(value, enc_hook=_plain)
    if _is_block(plain):
        return [plain]
    if isinstance(plain, list) and plain and all(map(_is_block, plain)):
        return plain
    return msgspec.json.encode(plain).decode()


def failed(call: ToolCall, error: Exception, *, tracebacks: bool = False) -> ToolResult:
    """Return the result of a call that raised."""
    if isinstance(error, ToolError):
        content: Any = error.content
    elif isinstance(error, InvalidValueError) and call.input.keys() == {INVALID_JSON}:
        content = "The input is not valid JSON. Call the tool again."
    elif isinstance(error, InvalidValueError):
        content = f"The input does not fit the tool: {error}. Call it again with a right one."
    elif tracebacks:
        content = "".join(traceback.format_exception(error))
    else:
        content = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ToolResult(call=call, content=content, is_error=True, error=error)


def _is_block(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    return isinstance(kind, str) and kind in _BLOCKS and value.keys() >= _BLOCKS[kind]


def _plain(value: Any) -> Any:
    """Return the JSON of something that msgspec does not know."""
    to_dict = getattr(value, "to_dict", None)
    return pydantic_types.as_json(value) if to_dict is None else to_dict()
