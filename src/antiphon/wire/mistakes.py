"""Errors of settings and options in plain words, with the name or value that was probably meant."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec
from msgspec import inspect

MOST_NAMES: Final = 12
"""The maximum number of names that an error lists."""

_PATH = re.compile(r"(?P<fault>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value '?(.*?)'?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_GOT = re.compile(r"got `(\w+)`")
_KINDS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.BoolType: "true or false",
    inspect.DecimalType: "a number",
    inspect.DictType: "a table",
    inspect.ListType: "a list",
    inspect.StrType: "text",
    inspect.StructType: "a table",
    inspect.VarTupleType: "a list",
}
# The types of the decoder, as people call what stands in a file of settings.
_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "date": "a day",
    "datetime": "a time",
    "float": "a number with decimals",
    "int": "a whole number",
    "null": "nothing",
    "object": "a table",
    "str": "text",
    "time": "a time",
}


def explained(error: msgspec.ValidationError, kind: type) -> tuple[str, str]:
    """Return the path and the fault of a value that is no `kind`.

    An unknown name comes with the nearest one or with all, an unknown value with all that are
    allowed. A value of another type comes with what should stand there. The path is empty at the
    top.
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
    elif missing := _MISSING.fullmatch(fault):
        fault = f"`{missing[1]}` is missing"
    elif fault.startswith(("Expected", "Invalid", "Number")):
        fault = _should_be(where, fault)
    return path.removeprefix("."), fault


def _should_be(where: Sequence[inspect.Type], fault: str) -> str:
    """Return what should stand at a place, and what stands there; else the fault as it is."""
    wanted = " or ".join(dict.fromkeys(text for kind in where if (text := _described(kind))))
    if not wanted:
        return fault
    got = _GOT.search(fault)
    return f"should be {wanted}" + (f", not {_WORDS.get(got[1], got[1])}" if got else "")


def _described(kind: inspect.Type) -> str:
    """Return what people call the values of a type; empty for `None` and for unknown types."""
    match kind:
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType(min_length=least, max_length=most) if least and most:
            return f"text of {least} to {most:,} characters"
        case inspect.StrType(min_length=1):
            return "text that is not empty"
        case inspect.LiteralType() | inspect.EnumType():
            return f"one of {', '.join(_values(kind))}"
        case _:
            return _KINDS.get(type(kind), "")


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    bounds = ((" above", kind.gt), (" of at least", kind.ge), (" of at most", kind.le))
    return " and".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


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
