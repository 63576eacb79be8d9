"""Tools that are loaded late: no part of the prompt until the caller's own search finds them.

A tool with `defer_loading` is *deferred* until a `tool_reference` in a result names it; then it is
*loaded*, and described where the first reference stands. The front of the prompt stays as it is, so
its KV is reused: a tool that joined the others there would change every token behind them.
"""

import json
from collections.abc import Collection, Sequence
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


def with_loading(
    tools: Sequence[Tool], deferred: Collection[str], referenced: Collection[str]
) -> tuple[Tool, ...]:
    """Return tools, each with its `loading`; the arguments are names.

    If all are deferred nothing would say how tools are called, so all are offered at once.
    """
    if not deferred or all(tool.name in deferred for tool in tools):
        return tuple(tools)
    return tuple(
        replace(tool, loading="loaded" if tool.name in referenced else "deferred")
        if tool.name in deferred
        else tool
        for tool in tools
    )


def with_described_tools(prompt: Prompt) -> Prompt:
    """Return a prompt with a text for each reference to a loaded tool, for engines that read text.

    The first reference to a tool becomes its description, a later one its name.
    """
    if all(tool.loading != "loaded" for tool in prompt.tools):
        return prompt
    references = ToolReferences(prompt.tools)

    def described(block: BlockParam) -> tuple[BlockParam]:
        if isinstance(block, ToolReferenceParam):
            return (TextParam(text=references.text(block.tool_name)),)
        return (block,)

    return rewrite(prompt, described)


class ToolReferences:
    """The references of one prompt, read in its order."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._new = {tool.name: tool for tool in tools if tool.loading == "loaded"}

    def loaded(self, name: str) -> Tool | None:
        """Return the tool that this reference loads; `None` if the prompt already has it."""
        return self._new.pop(name, None)

    def text(self, name: str) -> str:
        """Return what a model reads of a reference: its tool, or the name if it knows the tool."""
        tool = self.loaded(name)
        if tool is None:
            return NAMED.format(name=name)
        return LOADED.format(tool=json.dumps(description_of(tool), ensure_ascii=False))


def description_of(tool: Tool) -> dict[str, Any]:
    """Return the description of a tool in the form of the training data of models."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.input_examples:
        function["examples"] = list(tool.input_examples)
    return function
