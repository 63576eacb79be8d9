"""Where breakpoints of the prompt cache pay, if nobody says where. Pure.

An entry is written at a breakpoint and found again at one, or up to twenty blocks before it. So of
the four that a request may have, one stands behind the tools, one behind the system prompt, one at
the end, and one where the turn before ended: its entry is found whatever this turn has added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from antiphon.sdk.call import Call
from antiphon.sdk.types.base import Answered

CacheTtl: TypeAlias = Literal["5m", "1h"]

CacheChoice: TypeAlias = Literal["auto", "5m", "1h"]
"""How long entries live that nobody has asked for one by one; "auto" is five minutes."""

PROMPTS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})

UNMARKED = frozenset({"thinking", "redacted_thinking"})
"""Blocks that cannot have a breakpoint."""


def ttl_of(choice: CacheChoice) -> CacheTtl:
    """Return the lifetime that a choice is. Raises `ValueError` for another word."""
    if choice not in {"auto", "5m", "1h"}:
        raise ValueError(f"cache is {choice!r}; it is 'auto', '5m' or '1h'")
    return "1h" if choice == "1h" else "5m"


def with_breakpoints(params: Mapping[str, Any], ttl: CacheTtl = "5m") -> dict[str, Any]:
    """Return the parameters of a message with breakpoints where they pay.

    What the caller has marked stays as it is: then nothing is added. The parameters that are given
    are not changed. `ttl` is how long entries live; for batches an hour is right.
    """
    made = {name: _plain(value) for name, value in params.items()}
    if made.get("cache_control") is not None or any(map(_is_marked, _all_blocks(made))):
        return dict(params)
    mark = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    if tools := made.get("tools"):
        made["tools"] = _marked_tools(list(tools), mark)
    if system := made.get("system"):
        made["system"] = _marked_content(system, mark) or system
    messages = list(made.get("messages") or [])
    users = [at for at, message in enumerate(messages) if message.get("role") == "user"]
    last = len(messages) - 1
    before = [at for at in users if at < last]
    for at in {last, *before[-1:]} if messages else set():
        _mark_message(messages, at, mark)
    if messages:
        made["messages"] = messages
    return made


def marked_body(call: Call[Any], choice: CacheChoice) -> bytes:
    """Return the body of a call; that of a prompt with breakpoints where they pay."""
    if call.method != "POST" or call.path not in PROMPTS:
        return call.body
    try:
        params = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return call.body
    return msgspec.json.encode(with_breakpoints(params, ttl_of(choice)))


def _mark_message(messages: list[Any], at: int, mark: dict[str, str]) -> None:
    """Mark the last block of a message that may be marked, or of one before it."""
    for place in range(at, -1, -1):
        message = messages[place]
        content = message.get("content")
        if any(map(_is_marked, _blocks(content))):
            return
        if (marked := _marked_content(content, mark)) is not None:
            messages[place] = {**message, "content": marked}
            return


def _marked_tools(tools: list[Any], mark: dict[str, str]) -> list[Any]:
    # A tool that is loaded later is no part of the beginning of the prompt.
    for at in range(len(tools) - 1, -1, -1):
        if not tools[at].get("defer_loading"):
            tools[at] = {**tools[at], "cache_control": mark}
            break
    return tools


def _marked_content(content: Any, mark: dict[str, str]) -> list[Any] | None:
    """Return a content with its last block marked; `None` if it has none that may be."""
    blocks = list(_blocks(content))
    for at in range(len(blocks) - 1, -1, -1):
        block = blocks[at]
        is_empty = block.get("type") == "text" and not str(block.get("text", "")).strip()
        if block.get("type") not in UNMARKED and not is_empty:
            blocks[at] = {**block, "cache_control": mark}
            return blocks
    return None


def _all_blocks(params: Mapping[str, Any]) -> Iterator[Any]:
    yield from params.get("tools") or ()
    yield from _blocks(params.get("system"))
    for message in params.get("messages") or ():
        for block in _blocks(message.get("content")):
            yield block
            yield from _blocks(block.get("content"))


def _blocks(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list | tuple):
        yield from (block for block in content if isinstance(block, Mapping))


def _is_marked(block: Mapping[str, Any]) -> bool:
    return block.get("cache_control") is not None


def _plain(value: Any) -> Any:
    """Return what a value is as JSON. Strings, numbers and files are what they are."""
    if isinstance(value, Answered):
        to_param = getattr(value, "to_param", None)
        return value.to_dict() if to_param is None else to_param()
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
