"""Tools that come late: no part of the prompt until the caller's own search finds them.

A tool with `defer_loading` is *deferred* until a `tool_reference` in a result names it; then it is
*loaded*, and described where the first reference stands. The front of the prompt stays as it is, so
its KV is reused: a tool that joined the others there would change every token behind them.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from antiphon.core.blocks import rewrite
from antiphon.core.prompt import Prompt, Tool
from antiphon.wire.content import BlockParam, TextParam, ToolReferenceParam

NAMED: Final = "Tool: {name}"
LOADED: Final = """\
You can call this tool now, like the others:
<tools>
{tool}
</tools>"""


def at_once(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return tools of which none is deferred."""
    return tuple(replace(tool, deferred=False) if tool.deferred else tool for tool in tools)


def with_deferred(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return tools as a prompt has them whose engine loads tools late.

    If all are deferred nothing would say how tools are called, so all are offered at once.
    """
    return at_once(tools) if all(tool.deferred for tool in tools) else tuple(tools)


def with_described_tools(prompt: Prompt) -> Prompt:
    """Return a prompt with a text for each reference to a tool, for engines that read text.

    The first reference to a deferred tool becomes its description, a later one its name.
    """
    if prompt.offered is None:
        return prompt
    tools = OfferedTools(prompt.tools)

    def described(block: BlockParam) -> Sequence[BlockParam]:
        text = tools.text(block)
        return (block,) if text is None else (TextParam(text=text),)

    return rewrite(prompt, described)


class OfferedTools:
    """The tools that are offered at one place of a prompt, while its blocks are read in order."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._offered = {tool.name for tool in tools if not tool.deferred}

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that may be called here, in the order of their definitions."""
        return self.with_forced(None)

    def with_forced(self, forced: str | None) -> tuple[Tool, ...]:
        """Return the tools that may be called here, with the one that must be."""
        return tuple(
            tool for name, tool in self._tools.items() if name in self._offered or name == forced
        )

    def read(self, block: BlockParam) -> Tool | None:
        """Read the next block; return the tool that the prompt describes there, if there is one."""
        if isinstance(block, ToolReferenceParam):
            return self._offer(block.tool_name)
        return None

    def text(self, block: BlockParam) -> str | None:
        """Read the next block; return what a model reads of it, `None` if it is about no tool."""
        tool = self.read(block)
        if tool is not None:
            return LOADED.format(tool=json.dumps(description_of(tool), ensure_ascii=False))
        if isinstance(block, ToolReferenceParam):
            return NAMED.format(name=block.tool_name)
        return None

    def _offer(self, name: str) -> Tool | None:
        if name in self._offered or name not in self._tools:
            return None
        self._offered.add(name)
        return self._tools[name]


def description_of(tool: Tool) -> dict[str, Any]:
    """Return the description of a tool in the form of the training data of models."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.input_examples:
        function["examples"] = list(tool.input_examples)
    return function
