"""Reads the JSON of servers that send another type where the meaning is plain.

A value that cannot be read is `None`, as if it were absent. Each function takes time linear in its
value.
"""

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from antiphon.engines.upstream.http import failed

T = TypeVar("T")

LARGEST_COUNT: Final = 2**31
Count: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
_TOO_DEEP: Final = "it said what it should not: JSON that is nested too deeply"
_TEXT_KEYS: Final = ("text", "content", "thinking", "reasoning")


def read_each(text: str, read: Callable[[dict[str, Any]], Iterable[T]]) -> list[T]:
    """Return what `read` makes of each object in a text of JSON, which may contain null.

    Raises `EngineError` for a text that is no JSON, for a value that is no object, and for one that
    is nested too deeply.
    """
    try:
        found = [_object(value) for value in values_of(text) if value is not None]
        return [one for value in found for one in read(value)]
    except RecursionError:
        raise failed(_TOO_DEEP) from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise failed("it said what it should not: an event that is no JSON object")
    return value


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
        raise failed(_TOO_DEEP) from None


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
