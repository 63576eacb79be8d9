"""Reads docstrings: what the thing does, and what each parameter means.

Three styles are known, and may be mixed: sections with a colon (Google's), underlined sections
(NumPy's), and fields (Sphinx's).
"""

import inspect
import re
from collections.abc import Iterator, Mapping

import msgspec

_PARAMETERS = frozenset(
    {
        "args",
        "arguments",
        "parameters",
        "params",
        "keyword args",
        "keyword arguments",
        "other parameters",
        "attributes",
    }
)
# What a caller gets back is no part of what a thing is for.
_DROPPED = frozenset({"returns", "return", "yields", "yield", "raises"})
_PARAMETER_FIELDS = frozenset(
    {"param", "parameter", "arg", "argument", "key", "keyword", "var", "ivar", "cvar"}
)
_UNDERLINE = re.compile(r"^-{3,}\s*$")
_FIELD = re.compile(r"^:(\w+)(?:\s+([^:\n]*?))?:(?:\s+(.*))?$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?:\s+(.*)|)$")
_NUMPY_ENTRY = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_ITEM = re.compile(r"^(?:[-*+]|\d+[.)])\s")


class Docstring(msgspec.Struct, frozen=True):
    """What a docstring says. `description` has all of its text but parameters and results."""

    description: str
    parameters: Mapping[str, str]


class _Section(msgspec.Struct):
    """A part of a docstring; `title` is empty for plain text. `style` says how it is written."""

    title: str
    lines: list[str]
    style: str = ""


def read_docstring(text: str | None) -> Docstring:
    """Return what a docstring says; of an absent one, nothing."""
    kept: list[str] = []
    parameters: dict[str, str] = {}
    for section in _sections(inspect.cleandoc(text or "").splitlines()):
        if section.style == "field":
            name = section.title
            if name:
                parameters.setdefault(name, _flow(section.lines))
        elif section.title in _PARAMETERS:
            for name, said in _entries(section):
                parameters.setdefault(name, said)
        elif section.title not in _DROPPED:
            kept.extend(section.lines)
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return Docstring(description, {name: said for name, said in parameters.items() if said})


def _sections(lines: list[str]) -> Iterator[_Section]:
    at = 0
    while at < len(lines):
        section, at = _section(lines, at)
        yield section


def _section(lines: list[str], at: int) -> tuple[_Section, int]:
    """Return the section that begins at a line, and where the next one begins."""
    line = lines[at]
    title = line.rstrip().removesuffix(":").lower()
    if _is_underlined(lines, at):
        end = at + 2
        while end < len(lines) and not _is_underlined(lines, end):
            end += 1
        known = title in _PARAMETERS or title in _DROPPED
        # The heading of any other section is a part of the text.
        return _Section(title, lines[at + 2 if known else at : end], "numpy"), end
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "\t"))):
        end += 1
    body = lines[at + 1 : end]
    if field := _FIELD.match(line):
        kind, name, said = field[1], (field[2] or "").split(), field[3] or ""
        known = kind in _PARAMETER_FIELDS and bool(name)
        return _Section(name[-1].lstrip("*") if known else "", [said, *body], "field"), end
    if line.rstrip().endswith(":") and title in _PARAMETERS | _DROPPED and any(body):
        return _Section(title, body, "google"), end
    return _Section("", [line]), at + 1


def _is_underlined(lines: list[str], at: int) -> bool:
    return (
        at + 1 < len(lines)
        and bool(lines[at].strip())
        and not lines[at].startswith(" ")
        and _UNDERLINE.match(lines[at + 1]) is not None
    )


def _entries(section: _Section) -> Iterator[tuple[str, str]]:
    """Yield the names of a section with what is said of each."""
    lines = inspect.cleandoc("\n" + "\n".join(section.lines)).splitlines()
    pattern = _NUMPY_ENTRY if section.style == "numpy" else _ENTRY
    names: list[str] = []
    said: list[str] = []
    for line in lines:
        entry = None if line.startswith((" ", "\t")) else pattern.match(line)
        if entry is None:
            said.append(line)
            continue
        yield from ((name, _flow(said)) for name in names)
        names = [name.strip().lstrip("*") for name in entry[1].split(",")]
        said = [] if section.style == "numpy" else [entry[2] or ""]
    yield from ((name, _flow(said)) for name in names)


def _flow(lines: list[str]) -> str:
    """Join the lines of a paragraph, but not paragraphs, nor the items of a list."""
    text = ""
    for line in (line.strip() for line in lines):
        if not line:
            text = text.rstrip() + "\n"
        elif _ITEM.match(line):
            text = f"{text.rstrip()}\n{line}"
        else:
            text += line if text.endswith("\n") else f" {line}"
    return text.strip()
