"""Rules of blocks that say which tools are on offer: references, additions and removals.

The blocks are read in the order of the conversation, as engines read them, so that a name means
what it means at its place.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.defined_tools import tool_of
from antiphon.core.errors import InvalidRequestError
from antiphon.core.late_tools import (
    DefinedParam,
    OfferedTools,
    at_once,
    definition_in,
    description_of,
    name_in,
    with_deferred,
)
from antiphon.core.prompt import TOOL_SEARCHES, Breakpoint, ServerTool, Tool
from antiphon.core.validation.spots import Spot
from antiphon.core.validation.tools import (
    check_choice,
    check_strict_schemas,
    check_tool,
    declared_tools,
    kind_of,
    strict_schemas,
)
from antiphon.schemas.steps import Steps
from antiphon.wire.content import TOOL_CHANGES, ToolReferenceParam
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, MessageParam
from antiphon.wire.tools import NamedChoice

MOST_TOOLS: Final = 10_000
"""The most deferred tools, and the most tools that messages define, at any place."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""The most bytes of the definitions in messages that count at any place."""


class ToolSettings(msgspec.Struct, frozen=True):
    """What a request says about tools, for a prompt: its `tools`, and those `offered` at the end.

    `strict` are the schemas of strict tools that count. `changed`: `tools` are not those of the
    request. `searchable` are those that a search of this server may find.
    """

    tools: tuple[Tool, ...]
    offered: tuple[Tool, ...] | None
    strict: Sequence[dict[str, Any]]
    changed: bool = False
    searchable: tuple[Tool, ...] = ()


NO_TOOLS: Final = ToolSettings((), None, ())
"""What a request says that names no tool."""


def has_changes(messages: Iterable[MessageParam]) -> bool:
    """Return whether a system message adds or removes a tool."""
    return any(
        message.role == "system"
        and not isinstance(message.content, str)
        and any(isinstance(block, TOOL_CHANGES) for block in message.content)
        for message in messages
    )


def check_changes(
    params: CreateMessageParams | CountTokensParams,
    spots: Iterable[Spot],
    steps: Steps,
    *,
    loads_tools: bool,
) -> ToolSettings:
    """Check all blocks about tools in their order, and the choice among the tools at the end.

    `spots` are those of the messages. An engine with `loads_tools` follows the blocks itself;
    others get the tools that there are in the end, deferred ones included unless this server
    searches them. The time is linear in the request.
    """
    declared = declared_tools(params)
    searched = any(isinstance(tool, ServerTool) and tool.kind in TOOL_SEARCHES for tool in declared)
    tools = with_deferred(declared) if loads_tools or searched else at_once(declared)
    about_tools = [
        one for one in spots if isinstance(one.block, (ToolReferenceParam, *TOOL_CHANGES))
    ]
    if not about_tools and not any(tool.deferred for tool in tools):
        return ToolSettings(tools, None, strict_schemas(params.tools or ()))
    changed = any(isinstance(one.block, TOOL_CHANGES) for one in about_tools)
    reading = _Reading(params, tools, steps)
    try:
        for spot in about_tools:
            reading.read(spot)
    except RecursionError:
        raise InvalidRequestError("An input or a schema is nested too deeply") from None
    named = isinstance(params.tool_choice, NamedChoice)
    forced = getattr(params.tool_choice, "name", None) if named else None
    offered = reading.tools.offered(forced)
    searchable = reading.tools.deferred if searched else ()
    if not loads_tools and (changed or searched):
        tools = at_once(offered if searched else reading.tools.kept)
        offered = tools
    if changed and params.tool_choice is not UNSET:
        check_choice(params.tool_choice, offered, params.tools or ())
    strict = reading.strict() if changed else strict_schemas(params.tools or ())
    if not loads_tools or (not changed and offered == tuple(t for t in tools if not t.deferred)):
        changed = changed or (searched and not loads_tools)
        return ToolSettings(tools, None, strict, changed, searchable)
    return ToolSettings(tools, offered, strict, changed, searchable)


def moved_to(
    breakpoints: Sequence[Breakpoint], declared: Sequence[Tool], tools: Sequence[Tool]
) -> tuple[Breakpoint, ...]:
    """Return breakpoints that stand on tools of a request, moved to those that are left of them.

    A breakpoint goes behind the last tool before it that is left; without one it is dropped.
    """
    left = {tool.name for tool in tools}
    moved: dict[tuple[int | None, tuple[int, ...]], Breakpoint] = {}
    for one in breakpoints:
        place = one
        if one.turn is None:
            before = declared[: one.path[0] + 1]
            place = replace(one, path=(sum(tool.name in left for tool in before) - 1,))
        if place.path[0] >= 0:
            moved.setdefault((place.turn, place.path), place)
    return tuple(moved.values())


class _Counted(msgspec.Struct, frozen=True):
    """How a tool counts for the limits: as a deferred one, and with the bytes of a message."""

    deferred: bool
    size: int | None = None


class _Reading:
    """The blocks about tools of one request, in their order."""

    def __init__(
        self,
        params: CreateMessageParams | CountTokensParams,
        tools: Sequence[Tool],
        steps: Steps,
    ) -> None:
        self.tools = OfferedTools(tools)
        self._steps = steps
        self._kinds = {
            tool.name: kind_of(tool)
            for tool in params.tools or ()
            if isinstance(tool, DefinedParam)
        }
        self._checked: set[bytes] = set()
        self._counted = {tool.name: _Counted(tool.deferred) for tool in tools}
        self._deferred = sum(tool.deferred for tool in tools)
        self._defined = self._bytes = 0

    def read(self, spot: Spot) -> None:
        block = spot.block
        definition = definition_in(block)
        name = name_in(block)
        if name is None:
            # Only Anthropic can offer it; it is refused later, under its own name.
            return
        if definition is not None:
            self._check_definition(definition, spot)
        elif name not in self.tools:
            raise InvalidRequestError(
                f"Tool reference '{shortened(name)}' has no corresponding tool definition",
                error_code="tool_reference_unresolved" if isinstance(block, TOOL_CHANGES) else None,
            )
        was_there = name in self.tools and not self.tools.is_withdrawn(name)
        if was_there:
            self._count(self._counted[name], -1)
        if definition is not None:
            size = len(msgspec.json.encode(description_of(tool_of(definition))))
            self._counted[name] = _Counted(bool(definition.defer_loading), size)
        self.tools.read(block)
        if not self.tools.is_withdrawn(name):
            self._count(self._counted[name], 1)
            self._check_limits()

    def strict(self) -> list[dict[str, Any]]:
        """Return the schemas of the strict tools at the end, within their limits together."""
        strict = [
            tool.input_schema
            for tool in self.tools.kept
            if tool.strict and self._kinds[tool.name] == "custom"
        ]
        check_strict_schemas(strict)
        return strict

    def _check_definition(self, definition: DefinedParam, spot: Spot) -> None:
        where = f"{spot.path}.tool.tool_definition.definition"
        written = msgspec.json.encode(definition)
        if written not in self._checked:
            check_tool(definition, where, self._steps)
            self._checked.add(written)
        if definition.cache_control is not None and getattr(spot.block, "cache_control", None):
            raise InvalidRequestError(
                f"{spot.path}.cache_control: cache_control is allowed on the block or in its "
                "definition, not on both"
            )
        name, kind = definition.name, kind_of(definition)
        known = self._kinds.get(name, kind)
        if known != kind and not self.tools.is_withdrawn(name):
            raise InvalidRequestError(
                f"{where}: '{shortened(name)}' is the name of an available tool of another type",
                error_code="tool_name_conflict",
            )
        self._kinds[name] = kind

    def _count(self, counted: _Counted, times: int) -> None:
        self._deferred += times * counted.deferred
        if counted.size is not None:
            self._defined += times
            self._bytes += times * counted.size

    def _check_limits(self) -> None:
        if self._deferred > MOST_TOOLS:
            sentence = f"More than {MOST_TOOLS:,} deferred tools are available"
        elif self._defined > MOST_TOOLS:
            sentence = f"More than {MOST_TOOLS:,} tools that messages define are available"
        elif self._bytes > MOST_BYTES:
            sentence = f"The tools that messages define have more than {MOST_BYTES:,} bytes"
        else:
            return
        raise InvalidRequestError(
            f"tools: {sentence}.", error_code="available_tools_limit_exceeded"
        )
