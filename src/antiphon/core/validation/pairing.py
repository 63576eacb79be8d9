"""Rules of calls and results: each result answers a call, and each call is answered at once.

Neighbouring messages of one role count as one turn, as everywhere; a path names the message as the
caller sent it.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeAlias

from antiphon.core.defined_tools import RUN_HERE
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Role, Turn
from antiphon.wire.content import (
    SERVER_RESULTS,
    TOOL_CHANGES,
    BlockParam,
    RedactedThinkingParam,
    ServerToolUseParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)
from antiphon.wire.errors import shortened

# The index of a message in the request, and the message.
IndexedMessage: TypeAlias = tuple[int, Turn]
# The index of a message, the index of a block in it, and the block.
IndexedBlock: TypeAlias = tuple[int, int, BlockParam]

ONLY_ASSISTANT = (
    ToolUseParam,
    ServerToolUseParam,
    *SERVER_RESULTS,
    ThinkingParam,
    RedactedThinkingParam,
)
FORBIDDEN: dict[Role, tuple[type[BlockParam], ...]] = {
    "user": (*ONLY_ASSISTANT, *TOOL_CHANGES),
    "assistant": (ToolResultParam, *TOOL_CHANGES),
}


def check_pairing(messages: Sequence[IndexedMessage]) -> None:
    """Check the tool blocks of a conversation; a conversation without any costs next to nothing."""
    calls: dict[str, int] = {}
    seen: set[str] = set()
    for role, run in groupby(messages, key=lambda indexed: indexed[1].role):
        blocks = _indexed_blocks(run)
        _check_roles(role, blocks)
        if role == "assistant":
            _check_server_calls(blocks, seen)
            calls = _calls(blocks, seen)
        elif role == "user":
            _check_results(blocks, calls)
            calls = {}
    _check_answered(calls, ())


def _indexed_blocks(run: Iterable[IndexedMessage]) -> list[IndexedBlock]:
    return [
        (index, position, block)
        for index, turn in run
        for position, block in enumerate(turn.content)
    ]


def _check_roles(role: Role, blocks: Iterable[IndexedBlock]) -> None:
    for index, position, block in blocks:
        if isinstance(block, FORBIDDEN.get(role, ())):
            kind = block.__struct_config__.tag
            other = "assistant" if role == "user" else "user"
            if isinstance(block, TOOL_CHANGES):
                other = "system"
            raise InvalidRequestError(
                f"messages.{index}.content.{position}: `{kind}` blocks can only be in `{other}` "
                "messages"
            )


def _calls(blocks: Iterable[IndexedBlock], seen: set[str]) -> dict[str, int]:
    """Return the ids of a turn's calls and their messages; no id may come twice."""
    calls = {}
    for index, position, block in blocks:
        if isinstance(block, ToolUseParam):
            if block.id in seen:
                raise InvalidRequestError(
                    f"messages.{index}.content.{position}: `tool_use` ids must be unique"
                )
            seen.add(block.id)
            calls[block.id] = index
    return calls


def _check_server_calls(blocks: Iterable[IndexedBlock], seen: set[str]) -> None:
    """Check that calls of tools of the server have their results behind them, in the same turn."""
    open_calls: dict[str, tuple[int, str]] = {}
    for index, position, block in blocks:
        where = f"messages.{index}.content.{position}"
        if isinstance(block, ServerToolUseParam):
            if block.id in seen:
                raise InvalidRequestError(f"{where}: `server_tool_use` ids must be unique")
            seen.add(block.id)
            if block.name in RUN_HERE:
                # Others are refused later, under their own name.
                open_calls[block.id] = (index, block.name)
        elif isinstance(block, SERVER_RESULTS):
            _, name = open_calls.pop(block.tool_use_id, (0, ""))
            kind = block.__struct_config__.tag
            if kind != _result_of(name):
                raise InvalidRequestError(
                    f"{where}: unexpected `tool_use_id` found in `{kind}` blocks: "
                    f"{shortened(block.tool_use_id)}. Each `{kind}` block must have a "
                    "corresponding `server_tool_use` block before it."
                )
    for call, (index, name) in open_calls.items():
        raise InvalidRequestError(
            f"messages.{index}: `{name}` tool use with id `{shortened(call)}` was found without a "
            f"corresponding `{_result_of(name)}` block"
        )


def _result_of(name: str) -> str:
    """Return the type of the results of a tool of the server."""
    return f"{'tool_search' if name.startswith('tool_search') else name}_tool_result"


def _check_results(blocks: Sequence[IndexedBlock], calls: dict[str, int]) -> None:
    """Check that results come first in their turn: behind other blocks they answer no call."""
    leading = 0
    while leading < len(blocks) and isinstance(blocks[leading][2], ToolResultParam):
        leading += 1
    answered: set[str] = set()
    for number, (index, position, block) in enumerate(blocks):
        if not isinstance(block, ToolResultParam):
            continue
        where = f"messages.{index}.content.{position}"
        if block.tool_use_id not in calls:
            raise InvalidRequestError(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{shortened(block.tool_use_id)}. Each `tool_result` block must have a "
                "corresponding `tool_use` block in the previous message."
            )
        if number < leading:
            if block.tool_use_id in answered:
                raise InvalidRequestError(
                    f"{where}: each tool_use must have a single result. Found multiple "
                    f"`tool_result` blocks with id: {shortened(block.tool_use_id)}"
                )
            answered.add(block.tool_use_id)
    _check_answered(calls, answered)


def _check_answered(calls: dict[str, int], answered: Iterable[str]) -> None:
    done = set(answered)
    open_calls = [call for call in calls if call not in done]
    if open_calls:
        raise InvalidRequestError(
            f"messages.{calls[open_calls[0]]}: `tool_use` ids were found without `tool_result` "
            f"blocks immediately after: {', '.join(map(shortened, open_calls))}. Each `tool_use` "
            "block must have a corresponding `tool_result` block in the next message."
        )
