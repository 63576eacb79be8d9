"""What a JSON schema may say where the answer is guaranteed to fit it.

That is the schema of `output_config.format`, and of a strict tool's input. Schemas are read without
recursion: a caller may nest them as deeply as JSON goes.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias
from urllib.parse import unquote

from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.references import tokens
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.well_formed import InvalidSchemaError

Schema: TypeAlias = dict[str, Any]

MOST_OPTIONAL = 24
MOST_UNIONS = 16
NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
REFUSED_OF_TYPE = {
    "object": frozenset({"minProperties", "maxProperties", "patternProperties", "propertyNames"}),
    "array": frozenset({"maxItems", "uniqueItems", "contains", "prefixItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "number": NUMBERS,
    "integer": NUMBERS,
}
REFUSED = ("oneOf", "not", "if", "then", "else", "dependentSchemas", "unevaluatedProperties")
FORMATS = (
    *("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"),
    "uuid",
)
# Lookaround, word boundaries and back references need more than a finite automaton.
BEYOND_AUTOMATA = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9bB]")
DEFINITION = re.compile(r"#(/(?:\$defs|definitions)/[^/]+)")


def check_schema(schema: Schema, where: str, steps: Steps | None = None) -> None:
    """Raise `InvalidSchemaError` for the first thing that cannot be guaranteed."""
    try:
        _check(schema, where, steps or Steps())
    except TooComplexError as error:
        raise InvalidSchemaError(f"{where}: Schema is too complex") from error


def _check(schema: Schema, where: str, steps: Steps) -> None:
    definitions = {
        name: one
        for keyword in ("$defs", "definitions")
        if isinstance(schema.get(keyword), dict)
        for name, one in schema[keyword].items()
    }
    for node in _nodes(schema):
        fault = next(_faults(node, definitions, steps), None)
        if fault is not None:
            raise InvalidSchemaError(f"{where}: {fault}")
    if _recursive(definitions):
        raise InvalidSchemaError(f"{where}: Recursive schemas are not supported")


def check_complexity(schemas: Iterable[Schema]) -> None:
    """Limit what all schemas of a request ask for together: each choice doubles the grammar."""
    optional = unions = 0
    for node in chain.from_iterable(map(_nodes, schemas)):
        if isinstance(node.get("properties"), dict):
            required = node.get("required")
            needed = required if isinstance(required, list) else ()
            optional += sum(name not in needed for name in node["properties"])
        unions += isinstance(node.get("type"), list) or "anyOf" in node
    if optional > MOST_OPTIONAL:
        raise InvalidSchemaError(
            f"Schemas contains too many optional parameters ({optional}), which would make grammar "
            "compilation inefficient. Reduce the number of optional parameters in your tool "
            f"schemas (limit: {MOST_OPTIONAL})."
        )
    if unions > MOST_UNIONS:
        raise InvalidSchemaError(
            f"Schemas contains too many parameters with union types ({unions} parameters with type "
            "arrays or anyOf). This would cause exponential compilation cost. Reduce the number of "
            f"nullable or union-typed parameters (limit: {MOST_UNIONS} parameters with unions)."
        )


def _nodes(schema: Schema) -> Iterator[Schema]:
    """Yield a schema and all schemas inside of it, in their order."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed([*_inside(node)]))


def _inside(node: Schema) -> Iterator[Any]:
    for keyword in ("properties", "$defs", "definitions"):
        if isinstance(node.get(keyword), dict):
            yield from node[keyword].values()
    for keyword in ("anyOf", "allOf"):
        if isinstance(node.get(keyword), list):
            yield from node[keyword]
    yield node.get("items")


def _faults(node: Schema, definitions: Schema, steps: Steps) -> Iterator[str]:
    yield from _faults_of_types(node)
    for keyword in REFUSED:
        if keyword in node:
            yield f"'{keyword}' is not supported"
    yield from _faults_of_values(node, steps)
    if "$ref" in node and not _defined(node["$ref"], definitions):
        yield "'$ref' must name a definition of the same schema"
    if isinstance(node.get("allOf"), list) and any(
        isinstance(one, dict) and "$ref" in one for one in node["allOf"]
    ):
        yield "'$ref' is not supported inside of 'allOf'"


def _faults_of_types(node: Schema) -> Iterator[str]:
    for kind in _types(node):
        refused = sorted(node.keys() & REFUSED_OF_TYPE.get(kind, frozenset()))
        if len(refused) == 1:
            yield f"For '{kind}' type, property '{refused[0]}' is not supported"
        elif refused:
            yield f"For '{kind}' type, properties {', '.join(refused)} are not supported"
        if kind == "object" and node.get("additionalProperties") is not False:
            yield "For 'object' type, 'additionalProperties' must be explicitly set to false"


def _faults_of_values(node: Schema, steps: Steps) -> Iterator[str]:
    enum, least, pattern = node.get("enum"), node.get("minItems", 0), node.get("pattern")
    if isinstance(enum, list) and any(isinstance(value, dict | list) for value in enum):
        yield "'enum' may hold strings, numbers, booleans and null only"
    if least not in (0, 1):
        yield "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if "format" in node and node["format"] not in FORMATS:
        formats = ", ".join(FORMATS)
        yield f"For 'string' type, 'format' values other than {formats} are not supported"
    if isinstance(pattern, str) and BEYOND_AUTOMATA.search(pattern):
        yield "'pattern' may use no lookaround, back references or word boundaries"
    elif isinstance(pattern, str):
        yield from _faults_of_pattern(pattern, steps)


def _faults_of_pattern(pattern: str, steps: Steps) -> Iterator[str]:
    try:
        language(pattern, steps)
    except PatternUnsupportedError as error:
        yield f"'pattern' is not supported: {error}"


def _types(node: Schema) -> list[str]:
    kind = node.get("type")
    if isinstance(kind, list):
        return [one for one in kind if isinstance(one, str)]
    if isinstance(kind, str):
        return [kind]
    return ["object"] if "properties" in node else []


def _defined(reference: object, definitions: Schema) -> bool:
    return isinstance(reference, str) and _definition(reference) in definitions


def _definition(reference: str) -> str | None:
    found = DEFINITION.fullmatch(unquote(reference))
    return None if found is None else tokens(found[1])[-1]


def _recursive(definitions: Schema) -> bool:
    """Whether a definition leads back to itself: drop those that lead nowhere until none is left.

    All references are known to be good by now.
    """
    leads = {name: _references(one) for name, one in definitions.items()}
    while leads:
        dead = [name for name, targets in leads.items() if not targets & leads.keys()]
        if not dead:
            return True
        for name in dead:
            del leads[name]
    return False


def _references(schema: Any) -> set[str]:
    found = (_definition(node["$ref"]) for node in _nodes(schema) if "$ref" in node)
    return {name for name in found if name is not None}
