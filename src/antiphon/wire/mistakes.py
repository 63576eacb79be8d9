"""Errors of settings and options, with the name or the value that was probably meant."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

import msgspec
from msgspec import inspect

MOST_NAMES: Final = 12
"""The maximum number of names that an error lists."""

_PATH = re.compile(r"(?P<fault>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value '?(.*?)'?", re.DOTALL)


def explained(error: msgspec.ValidationError, kind: type) -> tuple[str, str]:
    """Return the path and the fault of a value that is no `kind`.

    An unknown name comes with the nearest one or with all, an unknown value with all that are
    allowed. The path is empty at the top.
    """
    found = _PATH.fullmatch(str(error))
    fault, path = (found["fault"], found["path"] or "") if found else (str(error), "")
    where = [*_at(inspect.type_info(kind), path)]
    if unknown := _UNKNOWN.fullmatch(fault):
        names = [field.encode_name for one in where for field in getattr(one, "fields", ())]
        fault = f"unknown name {unknown[1][:80]!r}{did_you_mean(unknown[1], names)}"
    elif wrong := _ENUM.fullmatch(fault):
        values = [value for one in where for value in _values(one)]
        fault = f"unknown value {wrong[1][:80]!r}{did_you_mean(wrong[1], values)}"
    return path.removeprefix("."), fault


def did_you_mean(word: str, names: list[str]) -> str:
    """Return the end of an error about an unknown word: the nearest name, or all of a few."""
    near = get_close_matches(word, names, n=1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
    return f" (there are: {listed})" if names else ""


def _at(kind: inspect.Type, path: str) -> Iterator[inspect.Type]:
    """Yield the types at a path such as `.models[0].llama` or `.replies[...].error`."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _at(one, path)
    elif not path:
        yield kind
    elif path.startswith("["):
        rest = path[path.index("]") + 1 :]
        inner = getattr(kind, "item_type", getattr(kind, "value_type", None))
        yield from () if inner is None else _at(inner, rest)
    else:
        name, rest = re.fullmatch(r"\.([^.\[]*)(.*)", path, re.DOTALL).groups()  # type: ignore[union-attr]
        for field in getattr(kind, "fields", ()):
            if field.encode_name == name:
                yield from _at(field.type, rest)


def _values(kind: inspect.Type) -> Iterator[str]:
    if isinstance(kind, inspect.EnumType):
        yield from (str(member.value) for member in kind.cls)
    elif isinstance(kind, inspect.LiteralType):
        yield from map(str, kind.values)
