"""The tools of a request as a template takes them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Tool
from antiphon.engines.token.prompt.placeholders import Placeholders


def described(tools: Sequence[Tool]) -> Iterator[Sequence[Tool]]:
    """Yield tools as they are, and then with the keywords that some templates cannot do without.

    The same tools are described alike in every conversation, because no other part of it matters.
    """
    yield tools
    if tools:
        plain = {"type": "object", "properties": {}, "required": []}
        named = [
            replace(
                tool,
                description=tool.description or "",
                input_schema={**plain, **tool.input_schema},
            )
            for tool in tools
        ]
        yield named
        typed = [replace(tool, input_schema=_with_types(tool.input_schema)) for tool in named]
        yield typed
        yield [replace(tool, input_schema=_explicit(tool.input_schema)) for tool in typed]


def _with_types(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema whose properties all have a type and a description."""
    named = schema["properties"].items() if isinstance(schema["properties"], Mapping) else ()
    properties = {
        name: {"type": "string", "description": "", **own} if isinstance(own, Mapping) else own
        for name, own in named
    }
    return {**schema, "properties": properties}


def _explicit(schema: Any) -> Any:
    """Return a schema that says the same without the type of `null`, and what objects may have."""
    if not isinstance(schema, Mapping):
        return schema
    said = dict(schema)
    kind = said.get("type")
    if kind == "null":
        said["enum"] = [None]
        del said["type"]
    elif isinstance(kind, list) and "null" in kind and "anyOf" not in said:
        said["anyOf"] = [{"enum": [None]} if one == "null" else {"type": one} for one in kind]
        del said["type"]
    elif kind == "object":
        said.setdefault("additionalProperties", True)
    if isinstance(said.get("properties"), Mapping):
        said["properties"] = {name: _explicit(one) for name, one in said["properties"].items()}
    if "items" in said:
        said["items"] = _explicit(said["items"])
    return said


def function_of(description: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a function as that of a tool."""
    return {"type": "function", "function": description}


def tool_message(tool: Tool, index: int, hidden: Placeholders) -> dict[str, Any]:
    """Return a tool as templates take it, with its texts hidden."""
    described = function_of(hidden.tool(description_of(tool)))
    hidden.complete((None, (index,)))
    return described
