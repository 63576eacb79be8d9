"""Proves a notation: what it writes is what the template writes, and is read as what was called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from antiphon.core.prompt import Tool
from antiphon.engines.token.notation.calls import NotedCalls
from antiphon.engines.token.notation.notation import Call, Notation

Rendered: TypeAlias = Callable[[Sequence[Sequence[Call]]], str | None]
"""Renders a question, and answers with calls and their results; `None` if the template refuses."""

PROBE: Final = Tool(
    name="probe_it",
    description="Does this.",
    input_schema={
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "One."},
            "number": {"type": "number", "description": "Two."},
            "whole": {"type": "integer", "description": "Three."},
            "flag": {"type": "boolean", "description": "Four."},
            "items": {"type": "array", "items": {}, "description": "Five."},
            "fields": {"type": "object", "description": "Six."},
            "nothing": {"type": "null", "description": "Seven."},
            "maybe": {"type": ["string", "null"], "description": "Eight."},
        },
    },
)

TEXTS: Final = (
    "plain", "", 'it\'s "quoted"', "two\nlines\n", "\n\n", "back\\slash \\n", "a & <b> c",
    "tab\there", '{"json": [1]}', "[1, 2]", "ünï — 漢字 😀", "true", "None", "7", "{{ x }} {% y %}",
)  # fmt: skip
"""Texts that a notation may change or confuse."""

OTHERS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"number": 2.5},
    {"number": -1},
    {"whole": 1234567890123, "flag": True},
    {"flag": False, "nothing": None, "maybe": None},
    {"items": []},
    {"items": [1, "a, b", True, None, [], {"in": ["it", {}]}, 0.5, 'say "so"']},
    {"fields": {}},
    {"fields": {"a": "x: y", "b": {"c": [False, "z"]}, "d": None}, "text": "after"},
    {"text": "first", "whole": 0, "maybe": "second", "items": ["third"]},
)
"""Arguments of every type."""


def flaw(notation: Notation, *ways: Rendered) -> str | None:
    """Return why a notation cannot be used; `None` if it is proven, in all ways of rendering."""
    for calls in _tries(notation):
        written = notation.write(*calls)
        for rendered in ways:
            text = rendered([calls])
            if text is None:
                return "the template refuses a call, or drops or reorders its words"
            if text.count(written) != 1:
                return f"it writes {calls[0].arguments!r} in another way"
        if _read(notation, written) != [_carried(notation, call) for call in calls]:
            return f"{calls[0].arguments!r} cannot be read back"
    return _flaw_of_loop(notation, ways)


def _flaw_of_loop(notation: Notation, ways: Sequence[Rendered]) -> str | None:
    """Return why a notation is not that of a second answer to the same question."""
    texts = [{"text": text} for text in TEXTS[:2]]
    first, second = (_call(given, number) for number, given in enumerate(texts))
    # A template may count the calls of an answer, or those of the conversation.
    counted = {notation.write(replace(second, number=number)) for number in (0, 1)}
    for rendered in ways:
        text = rendered([[first], [second]]) or ""
        if text.count(notation.write(first)) != 1 or sum(map(text.count, counted)) != 1:
            return "it writes calls in another way once the conversation goes on"
    return None


def _tries(notation: Notation) -> Iterator[list[Call]]:
    texts: list[Mapping[str, Any]] = [
        {"text": text} for text in (*TEXTS, *notation.marks) if _is_writable(notation, text)
    ]
    others = [_expressible(notation, given) for given in OTHERS]
    for given in (*texts, *others):
        yield [_call(given, 0)]
    if notation.parallel:
        yield [_call(given, number) for number, given in enumerate(others[-3:])]
        yield [_call(given, number) for number, given in enumerate(texts[:4])]


def _call(given: Mapping[str, Any], number: int) -> Call:
    return Call(PROBE.name, given, f"toolu0{number:03}", number)


def _is_writable(notation: Notation, text: str) -> bool:
    elements = notation.elements
    return elements is None or elements.is_writable(text, "text")


def _expressible(notation: Notation, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments without what nested elements do not tell apart where a schema says nothing.

    A property of the arguments that is `null` stays: it has to be left out.
    """
    if notation.elements is None or notation.elements.item is None:
        return given
    return {name: _told(value) for name, value in given.items()}


def _told(value: Any) -> Any:
    """Return a value without `null` and without what is empty in it."""
    if isinstance(value, dict):
        told = {name: _told(one) for name, one in value.items()}
        return {name: one for name, one in told.items() if one not in (None, [], {})}
    if isinstance(value, list):
        return [one for one in map(_told, value) if one not in (None, [], {})]
    return value


def _carried(notation: Notation, call: Call) -> tuple[str, dict[str, Any]]:
    """Return what is read of a call: nested elements leave `null` out."""
    leaves_out = notation.elements is not None and notation.elements.item is not None
    given = call.arguments.items()
    return call.name, {key: one for key, one in given if one is not None or not leaves_out}


def _read(notation: Notation, text: str) -> list[tuple[str, dict[str, Any]] | None] | None:
    """Read calls as an answer that comes in pieces of one character, and then is over."""
    calls, read = NotedCalls(notation, {PROBE.name: PROBE}), list[Any]()
    within = False
    while text:
        if not within:
            text = text.removeprefix(notation.gap if read else "")
            if not text.startswith(notation.opening):
                return None
            text = text[len(notation.opening) :]
        scan = calls.scan(within=within)
        growing = (scan.find(text[:end], ended=False) for end in range(len(text) + 1))
        found = next(filter(None, growing), None) or scan.find(text, ended=True)
        if found is None:
            return None
        read.append(found.call)
        text, within = text[found.length :], found.within
    return read
