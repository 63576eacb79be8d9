"""Hints: what a client says about a request in headers, beside the request itself.

Claude Code sends them to gateways (since 2.1.273, with `CLAUDE_CODE_GATEWAY_HINT_HEADERS=1`). They
may steer what an engine keeps, drops and runs first. They never change an answer or a bill, and a
value that is not understood counts as absent: a hint is no reason to refuse a request.

Ids are the client's word, and other clients may say the same: whoever keeps something by an id
combines it with the salt of the workspace.
"""

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import msgspec

RequestClass: TypeAlias = Literal["main", "subagent", "workflow", "compaction", "auxiliary"]

_CLASSES: Final = frozenset(get_args(RequestClass))
_REQUEST_CLASS: Final = b"x-claude-code-request-class"
_SESSION_ID: Final = b"x-claude-code-session-id"
_NAME: Final = re.compile(r"[ -~]{1,64}")
_ID: Final = re.compile(r"[!-~]{1,128}")
_DURATION: Final = re.compile(r"([!-:<>-~]{1,128})=([0-9]{1,9})")
# A turn has a few calls. What is longer is ignored as a whole, so that reading it costs nothing.
_MOST_CALLS: Final = 64
_LONGEST_DURATIONS: Final = 4096
_OFF: Final = frozenset({"", "0", "false"})


class ToolDuration(msgspec.Struct, frozen=True):
    """How long one call of a tool took in the last turn, in milliseconds."""

    tool: str
    ms: int


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """The hints of one request; without any, those of every other client.

    `agent_type` is a name, or `fork` for an agent that begins with the prompt of its parent.
    `is_compaction`: the request summarizes its conversation, and its prompt is read once.
    `was_compacted`: since the last request of the session its earlier prompt was replaced by a
    summary. `tool_durations` are those of the calls whose results the request brings, in order.
    `in_batch` is said by no header: the request is of a Message Batch, and others go before it.
    """

    request_class: RequestClass | None = None
    agent_type: str | None = None
    is_compaction: bool = False
    was_compacted: bool = False
    session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None
    tool_durations: tuple[ToolDuration, ...] = ()
    in_batch: bool = False


NO_HINTS: Final = Hints()
OF_BATCH: Final = Hints(in_batch=True)


def hints_of(header: Callable[[bytes], str | None]) -> Hints:
    """Return the hints in the headers of a request; `header` finds one by its lower-case name.

    A request that names neither its class nor its session has none: nothing could follow them, and
    most requests come from other clients. Takes time linear in 4,096 characters at most.
    """
    if header(_REQUEST_CLASS) is None and header(_SESSION_ID) is None:
        return NO_HINTS

    def sent(name: bytes) -> str | None:
        return header(b"x-claude-code-" + name)

    hints = Hints(
        request_class=_class(header(_REQUEST_CLASS)),
        agent_type=_matching(_NAME, sent(b"agent-type")),
        is_compaction=_is_on(sent(b"compaction")),
        was_compacted=_is_on(sent(b"context-compacted")),
        session_id=_matching(_ID, header(_SESSION_ID)),
        agent_id=_matching(_ID, sent(b"agent-id")),
        parent_agent_id=_matching(_ID, sent(b"parent-agent-id")),
        tool_durations=_durations(sent(b"prev-tool-durations")),
    )
    return NO_HINTS if hints == NO_HINTS else hints


def _class(value: str | None) -> RequestClass | None:
    # The check of the set is what a type checker cannot follow.
    return value if value in _CLASSES else None  # type: ignore[return-value]


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None


def _is_on(value: str | None) -> bool:
    """Return whether a flag is set; by which value is not documented."""
    return value is not None and value.lower() not in _OFF


def _durations(value: str | None) -> tuple[ToolDuration, ...]:
    """Read `Bash=742;Read=9`; a part of another form is left out."""
    if value is None or len(value) > _LONGEST_DURATIONS:
        return ()
    parts = value.split(";", _MOST_CALLS)[:_MOST_CALLS]
    found = (_DURATION.fullmatch(part.strip()) for part in parts)
    return tuple(ToolDuration(one[1], int(one[2])) for one in found if one)
