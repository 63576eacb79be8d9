"""Writes the types of the TypeScript SDK from the description of the API: `make typescript-types`.

A struct of a request becomes an interface whose fields may be absent; one of an answer has all the
fields that this server always sends. Answers are open: their unions have a member for a type that
is not known yet, and their words of a fixed set are any words.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.cli.openapi import describe_api
from support.typescript_names import (
    LEFT_OUT,
    NAMES,
    OPEN_UNIONS,
    SKIPPED_PATHS,
    TOLD_ELSEWHERE,
    UNIONS,
    WHOLE,
    WIDER,
    WORDS,
)

FILE: Final = Path(__file__).parents[2] / "sdk/typescript/src/wire.ts"
_HEAD: Final = """\
// Written by `make typescript-types` from the description of the API. Not to be changed by hand.

import type { Known, Unknown } from "./open.ts";
"""
_REF: Final = "#/components/schemas/"
_WIDTH: Final = 100
_SIMPLE: Final[Mapping[Any, str]] = {
    "string": "string",
    "boolean": "boolean",
    "null": "null",
    "integer": "number",
    "number": "number",
    "object": "Record<string, unknown>",
}


def wire_types() -> str:
    """Return the text of the file."""
    return _Writer(asyncio.run(describe_api())).text()


class _Writer:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self._operations = [
            (path, method, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if not path.startswith(SKIPPED_PATHS)
        ]
        self._unions = {
            frozenset(_members(self._at(*place))): name for name, place in UNIONS.items()
        }
        self._named_words = {tuple(self._at(*place)["enum"]): name for name, place in WORDS.items()}

    def text(self) -> str:
        parts = [_HEAD]
        parts += [self._union(name, self._at(*place)) for name, place in UNIONS.items()]
        parts += [self._words(name, self._at(*place)) for name, place in WORDS.items()]
        parts += [self._interface(name) for name in sorted(self._reached(), key=self._name)]
        parts += [
            query
            for path, method, operation in self._operations
            if method == "get" and (query := self._query(path, operation))
        ]
        return "\n".join(parts)

    def _reached(self) -> set[str]:
        """Return the names of the schemas that the operations lead to."""
        found: set[str] = set()
        ahead = list(_refs([operation for _, _, operation in self._operations]))
        ahead += [one for union in self._unions for one in union]
        while ahead:
            name = ahead.pop()
            if name not in found and name not in TOLD_ELSEWHERE and not _is_refused(name):
                found.add(name)
                ahead += _refs(self._schemas[name])
        return found

    def _at(self, *place: str) -> Any:
        """Return what stands at a place of the description."""
        found: Any = {**self._schemas, WHOLE: self._document}
        for step in place:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found

    def _name(self, schema: str) -> str:
        if schema in NAMES:
            return NAMES[schema]
        return re.sub(r"Info$", "", schema)

    def _union(self, name: str, schema: Any) -> str:
        members = [self._name(one) for one in _members(schema)]
        if name in OPEN_UNIONS:
            members.append("Unknown")
        return f"export type {name} =\n" + "\n".join(f"  | {one}" for one in members) + ";\n"

    def _words(self, name: str, schema: Any) -> str:
        words = "\n".join(f'  | "{one}"' for one in schema["enum"])
        return f"export type {name} = Known<\n{words}\n>;\n"

    def _interface(self, schema: str) -> str:
        told = self._schemas[schema]
        is_param = told.get("additionalProperties") is False
        lines = list(_comment(told.get("description", ""), ""))
        lines.append(f"export interface {self._name(schema)} {{")
        required = set(told.get("required", ()))
        for field, value in told.get("properties", {}).items():
            if (schema, field) in LEFT_OUT:
                continue
            # What has a default is always in an answer, and may be absent in a request.
            there = field in required or (not is_param and "default" in value)
            kind = WIDER.get((schema, field)) or self._kind(
                value, is_open=not is_param and field not in ("type", "role")
            )
            lines.append(self._field(field, kind, there=there))
        return "\n".join([*lines, "}", ""])

    def _field(self, name: str, kind: str, *, there: bool) -> str:
        if not there:
            # Callers may pass on what they do not have: it is left out of the JSON.
            kind = kind if kind == "unknown" else f"{kind} | undefined"
        mark = "" if there else "?"
        line = f"  {name}{mark}: {kind};"
        if len(line) <= _WIDTH or "<" in kind:
            return line
        members = "".join(f"\n    | {one}" for one in kind.split(" | "))
        return f"  {name}{mark}:{members};"

    def _kind(self, schema: Any, *, is_open: bool) -> str:
        match schema:
            case {"$ref": str(ref)}:
                kind = self._name(ref.removeprefix(_REF))
            case {"anyOf": list(branches)}:
                kind = self._any(branches, is_open=is_open)
            case {"enum": list(values)}:
                words = " | ".join(f'"{one}"' for one in values)
                closed = f"Known<{words}>" if is_open else words
                kind = self._named_words.get(tuple(values), closed)
            case {"type": "array", **rest}:
                item = self._kind(rest.get("items", {}), is_open=is_open)
                kind = f"Array<{item}>" if "|" in item else f"{item}[]"
            case {"type": "object", "additionalProperties": dict(values)}:
                kind = f"Record<string, {self._kind(values, is_open=is_open)}>"
            case {"type": "object"} if not is_open:
                # An interface of the caller has no index, which a record asks for.
                kind = "object"
            case _:
                kind = _SIMPLE.get(schema.get("type"), "unknown")
        return kind

    def _any(self, branches: list[Any], *, is_open: bool) -> str:
        if {} in branches:  # the way of a struct that keeps JSON as it came
            branches = [one for one in branches if one]
        if len(branches) == 1:
            return self._kind(branches[0], is_open=is_open)
        if name := self._unions.get(frozenset(_members({"anyOf": branches}))):
            return name
        kinds = [
            self._kind(one, is_open=is_open)
            for one in branches
            if not _is_refused(one.get("$ref", "").removeprefix(_REF))
        ]
        return " | ".join(dict.fromkeys(kinds))

    def _query(self, path: str, operation: Any) -> str:
        """Return the interface of the query of a listing or a report, if it has one."""
        fields = []
        for parameter in operation["parameters"]:
            if parameter.get("in") != "query":
                continue
            field = parameter["name"].removesuffix("[]")
            kind = self._kind(parameter["schema"], is_open=False)
            if field.endswith("_at"):
                kind = "Date | string"
            if field.startswith("include_"):
                kind = "boolean"
            fields.append(self._field(field, kind, there=False))
        if not fields:
            return ""
        words = re.findall(r"\w+", re.sub(r"/v1/(organizations/)?|\{\w+\}", "/", path))
        name = "".join(word.title().replace("_", "") for word in words)
        head = f"/** The query of `GET {path}`. */\nexport interface {name}Query {{"
        return "\n".join([head, *fields, "}", ""])


def _members(schema: Any) -> Iterator[str]:
    """Return the names of the structs of a union, without those that are only refused."""
    for one in schema["anyOf"]:
        if not one:
            continue
        if "anyOf" in one:
            yield from _members(one)
        elif not _is_refused(name := one.get("$ref", str(one)).removeprefix(_REF)):
            yield name


def _is_refused(name: str) -> bool:
    return name.startswith("Refused_")


def _refs(schema: Any) -> Iterator[str]:
    """Return the names of all structs that a schema names itself."""
    match schema:
        case {"$ref": str(ref)} if ref.startswith(_REF):
            yield ref.removeprefix(_REF)
        case dict():
            for value in schema.values():
                yield from _refs(value)
        case list():
            for value in schema:
                yield from _refs(value)


def _comment(description: str, indent: str) -> Iterable[str]:
    """Return the first sentence of a description as a comment."""
    first = " ".join(description.partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?=\s|$)", first)
    return [f"{indent}/** {sentence[0] if sentence else first} */"] if first else []


if __name__ == "__main__":
    FILE.write_text(wire_types(), encoding="utf-8")
