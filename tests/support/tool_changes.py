"""Blocks of system messages that change which tools are on offer, as JSON and decoded."""

from typing import Any

import msgspec

from antiphon.wire.content import ContentParam
from antiphon.wire.decoding import decode_member

OBJECT = {"type": "object"}


def addition(name: str, **fields: Any) -> dict[str, Any]:
    tool = {"type": "tool_reference", "name": name}
    return {"type": "tool_addition", "tool": tool, **fields}


def removal(name: str, **fields: Any) -> dict[str, Any]:
    tool = {"type": "tool_reference", "name": name}
    return {"type": "tool_removal", "tool": tool, **fields}


def defining(definition: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tool = {"type": "tool_definition", "definition": definition}
    return {"type": "tool_addition", "tool": tool, **fields}


def definition(name: str, description: str = "d", **fields: Any) -> dict[str, Any]:
    """Return an addition that defines a tool; `fields` are those of the tool."""
    return defining({"name": name, "description": description, "input_schema": OBJECT, **fields})


def decoded(block: dict[str, Any]) -> Any:
    return msgspec.convert(block, ContentParam, dec_hook=decode_member)


def add(name: str) -> Any:
    return decoded(addition(name))


def remove(name: str) -> Any:
    return decoded(removal(name))


def define(name: str, description: str = "d", **fields: Any) -> Any:
    return decoded(definition(name, description, **fields))
