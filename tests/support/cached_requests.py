"""Requests whose parts have a known number of the scripted engine's tokens."""

from typing import Any

from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.engines.scripted_prompt import TURN_TOKENS, count_prompt
from antiphon.schemas.steps import Work
from antiphon.wire.content import TextParam

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FIVE_MINUTES = {"type": "ephemeral", "ttl": "5m"}
ONE_HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(tokens: int, word: str = "a", mark: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a block that adds so many tokens to a turn."""
    block = {"type": "text", "text": f" {word}" * tokens}
    return block if mark is None else {**block, "cache_control": mark}


def turn(tokens: int, role: str = "user", **block: Any) -> dict[str, Any]:
    """Return a message that costs so many tokens, those of its turn included."""
    return {"role": role, "content": [text(tokens - TURN_TOKENS, **block)]}


def system(tokens: int, **block: Any) -> list[dict[str, Any]]:
    """Return a system prompt that costs so many tokens."""
    return [text(tokens - TURN_TOKENS, **block)]


def tools(tokens: int, name: str = "look", mark: dict[str, str] | None = None) -> list[Any]:
    """Return one tool that costs so many tokens."""
    bare = Tool(name=name, input_schema=SCHEMA, description="")
    turns = (Turn("user", (TextParam(text="a"),)),)
    whole = count_prompt(Prompt(turns, 1, tools=(bare,)), Work()).size.tokens
    words = " a" * (tokens - whole + TURN_TOKENS + 1)
    tool = {"name": name, "input_schema": SCHEMA, "description": words}
    return [tool if mark is None else {**tool, "cache_control": mark}]


def usage_of(message: Any) -> tuple[int, int, int, int]:
    """Return a usage: input, read, written for five minutes, written for an hour."""
    usage = message["usage"]
    written = usage["cache_creation"]
    minutes, hour = written["ephemeral_5m_input_tokens"], written["ephemeral_1h_input_tokens"]
    assert usage["cache_creation_input_tokens"] == minutes + hour
    return usage["input_tokens"], usage["cache_read_input_tokens"], minutes, hour
