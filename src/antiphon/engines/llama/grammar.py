"""JSON schemas to grammars: whatever can be sampled is JSON, and fits.

What a grammar cannot say (a pattern, the bounds of a number) allows more than the schema does,
never less than something and never what is not JSON. Spaces are fixed and numbers have so many
digits at most: a model must not be able to go on with either for ever. Properties come in the
order of the schema, required ones first.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from antiphon.engines.llama.gbnf import Rules, either, literal
from antiphon.engines.schema import Schema, fits, merged, resolve, together, types_of, without

DEPTH: Final = 32
"""How deep schemas are followed that are different at every step."""

RULES: Final = 5000
"""Rules after which a schema is no longer followed."""

MOST: Final = 128
"""Repetitions that a grammar counts; each costs llama.cpp a rule."""

SILENT: Final = ("description", "title", "default", "examples", "$defs", "definitions")
"""Words of a schema that ask for nothing."""

COMMA: Final = '", "'
NEXT: Final = f" {COMMA} "
COLON: Final = '": "'
HEX: Final = "[0-9a-fA-F]"
# No surrogates: one alone is a text that cannot be sent.
CHAR: Final = (
    r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" '
    r"([0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))"
)
INTEGER: Final = '"-"? ("0" | [1-9] [0-9]{0,14})'
NUMBER: Final = INTEGER + ' ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?'

_DATE: Final = (
    '("19" | "20") [0-9]{2} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" '
    '("0" [1-9] | [12] [0-9] | "30" | "31") | ("04" | "06" | "09" | "11") "-" '
    '("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))'
)
_CLOCK: Final = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9]'
_TIME: Final = f'{_CLOCK} ("." [0-9]{{1,6}})? ("Z" | [-+] ("0" [0-9] | "1" [0-2]) ":" [0-5] [0-9])'
_OCTET: Final = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9] [0-9] | [0-9])'
_LABEL: Final = "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,20} [a-zA-Z0-9])?"
FORMATS: Final[Mapping[str, str]] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "duration": '"P" ([0-9]{1,4} [YMWD] | "T" [0-9]{1,4} [HMS] | '
    '[0-9]{1,4} "D" "T" [0-9]{1,4} [HMS])',
    "email": f'[a-zA-Z0-9._+-]{{1,40}} "@" {_LABEL} ("." {_LABEL}){{1,3}}',
    "hostname": f'{_LABEL} ("." {_LABEL}){{0,4}}',
    "uri": '[a-z] [a-z0-9+.-]{0,9} ":" [a-zA-Z0-9/?#@!$&()*+,;=%:._~-]{1,200}',
    "ipv4": f'{_OCTET} ("." {_OCTET}){{3}}',
    "ipv6": f'{HEX}{{1,4}} (":" {HEX}{{1,4}}){{7}}',
    "uuid": f'{HEX}{{8}} ("-" {HEX}{{4}}){{3}} "-" {HEX}{{12}}',
}


class JsonGrammar:
    """The rules of the values that one schema allows, added to those of a grammar."""

    def __init__(self, rules: Rules, schema: Any) -> None:
        self._rules = rules
        self._root = schema
        self._refs: dict[str, str] = {}
        # References being followed with nothing written since: one again would never write.
        self._bare: set[str] = set()
        self._depth = 0

    def rule(self) -> str:
        """Name the rule of the whole schema."""
        return self._of(self._root)

    def anything(self) -> str:
        """Name the rule of any JSON value."""
        name = self._refs.get("")
        if name is None:
            name = self._refs[""] = self._rules.reserve()
            scalars = [self._string({}), self._rules.add(NUMBER), '"true" | "false" | "null"']
            composed = [
                f'"{{" {self._members([], [], self._other([], name))} "}}"',
                self._list([], name, 0, None),
            ]
            self._rules.define(name, " | ".join([*scalars, *composed]))
        return name

    def _of(self, schema: Any) -> str:
        crowded = self._depth > DEPTH or len(self._rules) > RULES
        if not isinstance(schema, Mapping) or not schema or crowded:
            return self.anything()
        self._depth += 1
        try:
            return self._composed(schema)
        finally:
            self._depth -= 1

    def _inside(self, schema: Any) -> str:
        """Name the rule of a part, before which something has been written."""
        before, self._bare = self._bare, set()
        try:
            return self._of(schema)
        finally:
            self._bare = before

    def _composed(self, schema: Schema) -> str:
        if "$ref" in schema:
            return self._referred(schema)
        if schema.get("allOf"):
            return self._of(together(schema))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                base = without(schema, key, *SILENT)
                return self._rules.add(either(self._of(merged(base, p)) for p in schema[key]))
        return self._simple(schema)

    def _referred(self, schema: Schema) -> str:
        ref = str(schema["$ref"])
        beside = without(schema, "$ref", *SILENT)
        if ref in self._bare:
            return self.anything()
        known = json.dumps([ref, beside], sort_keys=True)
        if known not in self._refs:
            self._refs[known] = self._rules.reserve()
            target = resolve(self._root, ref)
            rule = self._following(ref, merged(target, beside) if beside else target)
            self._rules.define(self._refs[known], rule)
        return self._refs[known]

    def _following(self, ref: str, target: Any) -> str:
        self._bare.add(ref)
        try:
            return self._of(target)
        finally:
            self._bare.discard(ref)

    def _simple(self, schema: Schema) -> str:
        if "const" in schema:
            return self._rules.add(literal(json.dumps(schema["const"], ensure_ascii=False)))
        if schema.get("enum"):
            members = [m for m in schema["enum"] if fits(m, schema)] or schema["enum"]
            ways = [literal(json.dumps(member, ensure_ascii=False)) for member in members]
            return self._rules.add(either(ways))
        types = types_of(schema) or _implied(schema)
        if not types:
            return self.anything()
        return self._rules.add(either(self._of_type(name, schema) for name in types))

    def _of_type(self, name: str, schema: Schema) -> str:
        if name == "object":
            return self._object(schema)
        if name == "array":
            return self._array(schema)
        if name == "string":
            return self._string(schema)
        if name == "integer":
            return self._integer(schema)
        if name == "number":
            return self._rules.add(NUMBER)
        return self._rules.add('"true" | "false"' if name == "boolean" else '"null"')

    def _string(self, schema: Schema) -> str:
        form = FORMATS.get(str(schema.get("format")))
        if form is not None:
            return self._rules.add(rf'"\"" {form} "\""')
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        char = self._rules.add(CHAR)
        return self._rules.add(rf'"\"" {char}{_times(least, most)} "\""')

    def _integer(self, schema: Schema) -> str:
        least, most = schema.get("minimum"), schema.get("maximum")
        if isinstance(least, int) and isinstance(most, int) and 0 <= most - least < MOST:
            return self._rules.add(either(literal(str(n)) for n in range(least, most + 1)))
        return self._rules.add(INTEGER)

    def _array(self, schema: Schema) -> str:
        first = [self._inside(part) for part in schema.get("prefixItems", ())]
        items = schema.get("items", True)
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if items is False or (most is not None and most <= len(first)):
            return self._rules.add(f'"[" {NEXT.join(first[:most])} "]"')
        return self._list(first, self._inside(items), least, most)

    def _list(self, first: list[str], item: str, least: int, most: int | None) -> str:
        if first:
            least = max(0, least - len(first))
            more = f"({COMMA} {item}){_times(least, None if most is None else most - len(first))}"
            return self._rules.add(f'"[" {NEXT.join(first)} {more} "]"')
        more = f"({COMMA} {item}){_times(max(0, least - 1), None if most is None else most - 1)}"
        some = f"{item} {more}"
        return self._rules.add(f'"[" {some} "]"' if least else f'"[" ({some})? "]"')

    def _object(self, schema: Schema) -> str:
        known: Mapping[str, Any] = schema.get("properties") or {}
        others = schema.get("additionalProperties", True)
        required = list(dict.fromkeys(schema.get("required", ())))
        ordered = [name for name in known if name in required]
        ordered += [name for name in required if name not in known]
        pairs = [self._pair(name, known.get(name, others)) for name in ordered]
        optional = [self._pair(name, part) for name, part in known.items() if name not in required]
        if known and others is True and "additionalProperties" not in schema:
            others = False  # it would take any, but nobody waits for them
        names = [*known, *ordered]
        other = "" if others is False else self._other(names, self._inside(others))
        return self._rules.add(f'"{{" {self._members(pairs, optional, other)} "}}"')

    def _other(self, names: list[str], value: str) -> str:
        return f"{self._rules.add(_other_keys(self._rules, names))} {COLON} {value}"

    def _pair(self, name: str, schema: Any) -> str:
        key = literal(json.dumps(name, ensure_ascii=False) + ": ")
        return f"{key} {self._inside(schema)}"

    def _members(self, required: Sequence[str], optional: Sequence[str], other: str) -> str:
        """Write all required ones, then any of the optional ones in order, then any others."""
        following = self._rules.add(f"({COMMA} {other})*") if other else '""'
        alone = [f"{other} {following}"] if other else []
        for pair in reversed(optional):
            alone.append(f"{pair} {following}")
            following = self._rules.add(f"({COMMA} {pair})? {following}")
        if required:
            return f"{NEXT.join(required)} {following}"
        return f"({either(alone)})?" if alone else ""


def _implied(schema: Schema) -> tuple[str, ...]:
    """Guess the type of a schema that names none from what it speaks of."""
    if {"properties", "required", "additionalProperties"} & set(schema):
        return ("object",)
    if {"items", "prefixItems", "minItems", "maxItems"} & set(schema):
        return ("array",)
    if {"format", "pattern", "minLength", "maxLength"} & set(schema):
        return ("string",)
    return ()


def _times(least: int, most: int | None) -> str:
    least = min(least, MOST)
    if most is None or most > MOST:
        return f"{{{least},}}" if least else "*"
    return f"{{{least},{max(least, most)}}}"


def _other_keys(rules: Rules, names: Sequence[str]) -> str:
    """Write a key that is none of `names`, whose values another schema has.

    What begins as a known name does must be a different one; escapes, which could spell a known
    name in another way, are left out where there is one to be spelled.
    """
    if not names:
        return rf'"\"" {rules.add(CHAR)}* "\""'
    plain = r'"\\\x00-\x1F\x7F'
    return rf'"\"" {_differs(rules, frozenset(names), plain)} "\""'


def _differs(rules: Rules, names: frozenset[str], plain: str) -> str:
    """Write the rest of a key that is not the rest of one of `names`."""
    heads = sorted({name[0] for name in names if name})
    tail = rules.add(f"[^{plain}]*")
    others = "".join(f"\\U{ord(head):08X}" for head in heads)
    ways = [f"[^{plain}{others}] {tail}"]
    for head in heads:
        if head in '"\\' or head < " " or head == "\x7f":
            continue  # is escaped in JSON, and escapes are left out
        rests = frozenset(name[1:] for name in names if name.startswith(head))
        ways.append(f"{literal(head)} {rules.add(_differs(rules, rests, plain))}")
    if "" not in names:
        ways.append('""')
    return either(ways)
