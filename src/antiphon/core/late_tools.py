"""Tools that come late, change or go: the tools on offer at each place of a prompt.

A tool with `defer_loading` is *deferred*: it is not on offer until a `tool_reference` in a result
or a `tool_addition` in a system message names it. A `tool_addition` may also define a tool, or
define one anew. A tool is described where the block stands that loads it; the front of the prompt
stays as it is, so its KV is reused: a tool that joined the others there would change every token
behind them. A `tool_removal` withdraws a tool. Its description stays where it is, and a text says
that it may not be called any more; only an addition offers it again.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.blocks import rewrite, walk, without_empty_turns
from antiphon.core.defined_tools import tool_of
from antiphon.core.prompt import Prompt, Tool
from antiphon.wire.content import (
    TOOL_CHANGES,
    BlockParam,
    TextParam,
    ToolAdditionParam,
    ToolChangeParam,
    ToolDefinitionParam,
    ToolNameParam,
    ToolReferenceParam,
    ToolRemovalParam,
)
from antiphon.wire.tools import CustomToolParam, NamedToolParam

NAMED: Final = "Tool: {name}"
OFFERED: Final = "You can call this tool: {name}"
WITHDRAWN: Final = "You can no longer call this tool: {name}"
LOADED: Final = """\
You can call this tool now, like the others:
<tools>
{tool}
</tools>"""
CHANGED: Final = """\
This tool has changed. Call it only in this way from now on:
<tools>
{tool}
</tools>"""

DefinedParam: TypeAlias = CustomToolParam | NamedToolParam


def at_once(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return tools of which none is deferred."""
    return tuple(replace(tool, deferred=False) if tool.deferred else tool for tool in tools)


def with_deferred(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return tools as a prompt has them whose engine loads tools late.

    If all are deferred nothing would say how tools are called, so all are offered at once.
    """
    return at_once(tools) if all(tool.deferred for tool in tools) else tuple(tools)


def offered_at_end(prompt: Prompt) -> tuple[Tool, ...]:
    """Return the tools that may be called behind all blocks of a prompt."""
    tools = OfferedTools(prompt.tools)
    for turn in prompt.turns:
        for _, block in walk(turn.content):
            if isinstance(block, (ToolReferenceParam, *TOOL_CHANGES)):
                tools.read(block)
    return tools.offered()


def with_described_tools(prompt: Prompt, calls: str = "") -> Prompt:
    """Return a prompt with a text for each block about a tool, for engines that read text.

    The block that loads a tool becomes its description, others say its name. `calls` says how tools
    are called: it stands before the first description if the prompt has no tools in front.
    """
    if prompt.offered is None:
        return prompt
    tools = OfferedTools(prompt.tools)
    before = "" if prompt.tools else calls

    def described(block: BlockParam) -> Sequence[BlockParam]:
        nonlocal before
        if not isinstance(block, ToolReferenceParam | ToolAdditionParam | ToolRemovalParam):
            return (block,)
        text = tools.text(block)
        if text is None:
            return ()
        if before and tools.describes:
            text, before = f"{before}\n{text}", ""
        return (TextParam(text=text),)

    rewritten = rewrite(prompt, described)
    return (
        rewritten
        if all(turn.content for turn in rewritten.turns)
        else without_empty_turns(rewritten)
    )


def named_text(block: ToolChangeParam) -> str:
    """Return what a model reads of a change if its engine gets all tools in front."""
    form = OFFERED if isinstance(block, ToolAdditionParam) else WITHDRAWN
    return form.format(name=name_in(block))


def definition_in(block: BlockParam) -> DefinedParam | None:
    """Return the definition of a tool that a block has, if it has one that can be offered."""
    if not isinstance(block, ToolAdditionParam) or not isinstance(block.tool, ToolDefinitionParam):
        return None
    definition = block.tool.definition
    return definition if isinstance(definition, DefinedParam) else None


def name_in(block: BlockParam) -> str | None:
    """Return the name of the tool that a block is about, `None` without one."""
    if isinstance(block, ToolReferenceParam):
        return block.tool_name
    if not isinstance(block, TOOL_CHANGES):
        return None
    if isinstance(block.tool, ToolNameParam):
        return block.tool.name
    definition = definition_in(block)
    return None if definition is None else definition.name


class _Known(msgspec.Struct):
    """A tool at one place: whether it may be called, was withdrawn, and stands in the prompt.

    `described`: the prompt has this definition. `shown`: it has this one, or an earlier one.
    """

    tool: Tool
    offered: bool
    described: bool
    shown: bool
    withdrawn: bool = False
    written: tuple[bytes, bytes] | None = None

    def is_now(self, tool: Tool) -> bool:
        """Make `tool` the definition; return whether it already was."""
        new = _written(tool)
        old = self.written or _written(self.tool)
        self.tool, self.written = tool, new
        # The flags of a tool are no part of its description.
        self.described = self.described and old[1] == new[1]
        return old == new


def _known(tool: Tool, *, there: bool) -> _Known:
    return _Known(tool, offered=there, described=there, shown=there)


class OfferedTools:
    """The tools on offer at one place of a prompt, while its blocks are read in their order.

    Each block takes time in proportion to its own size. Raises `RecursionError` for a definition
    that is nested too deeply to be written.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._known = {tool.name: _known(tool, there=not tool.deferred) for tool in tools}
        self.describes = False
        """Whether the prompt describes a tool at the block that was read last."""

    def __contains__(self, name: str) -> bool:
        """Whether a tool of this name has been defined so far."""
        return name in self._known

    def is_withdrawn(self, name: str) -> bool:
        """Whether a removal withdraws the tool of this name here."""
        return name in self._known and self._known[name].withdrawn

    def offered(self, forced: str | None = None) -> tuple[Tool, ...]:
        """Return the tools that may be called here, in the order of their first definitions.

        The `forced` one, which the model must call, is among them unless it is withdrawn.
        """
        return tuple(
            one.tool
            for name, one in self._known.items()
            if one.offered or (name == forced and not one.withdrawn)
        )

    @property
    def kept(self) -> tuple[Tool, ...]:
        """The tools that are not withdrawn here: those on offer, and the deferred ones."""
        return tuple(one.tool for one in self._known.values() if not one.withdrawn)

    @property
    def deferred(self) -> tuple[Tool, ...]:
        """The deferred tools that are not withdrawn here, loaded or not."""
        return tuple(tool for tool in self.kept if tool.deferred)

    def read(self, block: BlockParam) -> Tool | None:
        """Read the next block; return the tool that the prompt describes there, if there is one."""
        tool = self._read(block)
        self.describes = tool is not None
        return tool

    def text(self, block: ToolReferenceParam | ToolAdditionParam | ToolRemovalParam) -> str | None:
        """Read the next block; return what a model reads of it, `None` for nothing.

        That is a definition that is deferred: nothing shows that it is there.
        """
        name = name_in(block) or ""
        before = self._known.get(name)
        shown, was_offered = (before.shown, before.offered) if before else (False, False)
        tool = self.read(block)
        if tool is not None:
            form = CHANGED if shown else LOADED
            return form.format(tool=json.dumps(description_of(tool), ensure_ascii=False))
        if isinstance(block, ToolReferenceParam):
            return NAMED.format(name=name)
        if (now := self._known.get(name)) and now.offered:
            return OFFERED.format(name=name)
        if was_offered or isinstance(block, ToolRemovalParam):
            return WITHDRAWN.format(name=name)
        return None

    def _read(self, block: BlockParam) -> Tool | None:
        if (definition := definition_in(block)) is not None:
            return self._define(tool_of(definition))
        known = self._known.get(name_in(block) or "")
        if known is None:
            return None
        match block:
            case ToolRemovalParam():
                known.offered, known.withdrawn = False, True
                return None
            case ToolReferenceParam() if known.withdrawn:
                # The caller's system message counts more than what a search has found.
                return None
        return self._offer(known)

    def _define(self, tool: Tool) -> Tool | None:
        known = self._known.get(tool.name)
        if known is None:
            known = self._known[tool.name] = _known(tool, there=False)
        elif known.is_now(tool) and not known.withdrawn:
            return None
        known.withdrawn = False
        if tool.deferred:
            known.offered = False
            return None
        return self._offer(known)

    def _offer(self, known: _Known) -> Tool | None:
        known.offered, known.withdrawn = True, False
        if known.described:
            return None
        known.described = known.shown = True
        return known.tool


def _written(tool: Tool) -> tuple[bytes, bytes]:
    """Return a tool, and its description, as texts that are the same for the same ones."""
    # In Python `1 == True`.
    return msgspec.json.encode(tool), msgspec.json.encode(description_of(tool))


def description_of(tool: Tool) -> dict[str, Any]:
    """Return the description of a tool in the form of the training data of models."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.input_examples:
        function["examples"] = list(tool.input_examples)
    return function
