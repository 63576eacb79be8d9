"""Reads the JSON of servers that send another type where the meaning is plain.

A value that cannot be read is `None`, as if it were absent. Each function takes time linear in its
value.
"""

import json
from typing import Any, Final

import msgspec

from antiphon.engines.upstream.http import failed

LARGEST_COUNT: Final = 2**31
_TEXT_KEYS: Final = ("text", "content", "thinking", "reasoning")


def values_of(text: str) -> list[Any]:
    """Decode JSON that may contain halves of UTF-16 pairs; raises `EngineError`.

    It is one value, or one in each line: some servers end their events by half of a blank line.
    """
    try:
        return [_value_of(text)]
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) > 1:
            return [value for line in lines for value in values_of(line)]
        # The reason may quote the text, which may be the answer, and errors go to the log.
        reason = str(error).partition(":")[0]
        raise failed(f"it said what it should not: {reason}") from None
    except RecursionError:
        raise failed("it said what it should not: JSON that is nested too deeply") from None


def _value_of(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # The standard library takes halves of pairs.
        return json.loads(text)


def fields(value: Any) -> dict[str, Any]:
    """Return an object; no fields for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return a list; a value that stands alone is its only item."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def whole(value: Any) -> int | None:
    """Return a count or an index, also one that is written as a float or as a text."""
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return number if 0 <= number <= LARGEST_COUNT else None


def _number(text: str) -> float | None:
    # 32 characters hold every count; `float` of a long text takes long.
    if len(text) > 32:  # noqa: PLR2004
        return None
    try:
        return float(text)
    except ValueError:
        return None


def text_of(value: Any) -> str | None:
    """Return a text, also one in parts or in an object; a number is read as it is written."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_of(part) or "" for part in value)
    if isinstance(value, dict):
        found = (value[key] for key in _TEXT_KEYS if value.get(key) is not None)
        return text_of(next(found, None))
    return json.dumps(value)


def json_text(value: Any) -> str | None:
    """Return the text of a JSON value, which servers send as a text or as the value itself."""
    if value is None or isinstance(value, str):
        return value
    # An empty list is an empty object of a language that has one type for both.
    return json.dumps(value) if value != [] else "{}"
