"""Checks that a schema is within the subset that the API guarantees.

The API guarantees the schema of `output_config.format` and the inputs of strict tools. Schemas are
read without recursion, since a caller may nest them as deeply as JSON allows.
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
# A finite automaton cannot express lookaround, word boundaries and back references.
BEYOND_AUTOMATA = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9bB]")
DEFINITION = re.compile(r"#(/(?:\$defs|definitions)/[^/]+)")


def check_schema(schema: Schema, where: str, steps: Steps | None = None) -> None:
    """Raise `InvalidSchemaError` for the first keyword that cannot be guaranteed."""
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
        error = next(_errors(node, definitions, steps), None)
        if error is not None:
            raise InvalidSchemaError(f"{where}: {error}")
    if _is_recursive(definitions):
        raise InvalidSchemaError(f"{where}: Recursive schemas are not supported")


def check_complexity(schemas: Iterable[Schema]) -> None:
    """Limit the optional parameters and unions of a request: each may double the grammar."""
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
    """Yield a schema and all its subschemas, in document order."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed([*_subschemas(node)]))


def _subschemas(node: Schema) -> Iterator[Any]:
    for keyword in ("properties", "$defs", "definitions"):
        if isinstance(node.get(keyword), dict):
            yield from node[keyword].values()
    for keyword in ("anyOf", "allOf"):
        if isinstance(node.get(keyword), list):
            yield from node[keyword]
    yield node.get("items")


def _errors(node: Schema, definitions: Schema, steps: Steps) -> Iterator[str]:
    yield from _type_errors(node)
    for keyword in REFUSED:
        if keyword in node:
            yield f"'{keyword}' is not supported"
    yield from _value_errors(node, steps)
    if "$ref" in node and not _is_defined(node["$ref"], definitions):
        yield "'$ref' must name a definition of the same schema"
    if isinstance(node.get("allOf"), list) and any(
        isinstance(one, dict) and "$ref" in one for one in node["allOf"]
    ):
        yield "'$ref' is not supported inside of 'allOf'"


def _type_errors(node: Schema) -> Iterator[str]:
    for kind in _types(node):
        refused = sorted(node.keys() & REFUSED_OF_TYPE.get(kind, frozenset()))
        if len(refused) == 1:
            yield f"For '{kind}' type, property '{refused[0]}' is not supported"
        elif refused:
            yield f"For '{kind}' type, properties {', '.join(refused)} are not supported"
        if kind == "object" and node.get("additionalProperties") is not False:
            yield "For 'object' type, 'additionalProperties' must be explicitly set to false"


def _value_errors(node: Schema, steps: Steps) -> Iterator[str]:
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
        yield from _pattern_errors(pattern, steps)


def _pattern_errors(pattern: str, steps: Steps) -> Iterator[str]:
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


def _is_defined(reference: object, definitions: Schema) -> bool:
    return isinstance(reference, str) and _definition(reference) in definitions


def _definition(reference: str) -> str | None:
    found = DEFINITION.fullmatch(unquote(reference))
    return None if found is None else tokens(found[1])[-1]


def _is_recursive(definitions: Schema) -> bool:
    """Whether a definition refers to itself, also through others.

    Definitions without references are dropped until none is left. All references are valid here.
    """
    targets = {name: _references(one) for name, one in definitions.items()}
    while targets:
        leaves = [name for name, names in targets.items() if not names & targets.keys()]
        if not leaves:
            return True
        for name in leaves:
            del targets[name]
    return False


def _references(schema: Any) -> set[str]:
    found = (_definition(node["$ref"]) for node in _nodes(schema) if "$ref" in node)
    return {name for name in found if name is not None}
