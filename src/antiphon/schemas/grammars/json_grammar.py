"""JSON schemas to grammars: whatever can be sampled is JSON, and fits.

A grammar may allow less than its schema, never what does not fit, unless it says so: `unkept` has
the words of the schema that it does not keep, and who reads the answer has to check it. Spaces are
fixed and numbers have so many digits at most: a model must not be able to go on with either for
ever. Properties come in the order of the schema, required ones first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.check import first_error
from antiphon.schemas.grammars.arrays import Arrays
from antiphon.schemas.grammars.disjointness import are_apart
from antiphon.schemas.grammars.finiteness import ending
from antiphon.schemas.grammars.gbnf import Rules, either, literal
from antiphon.schemas.grammars.negation import permitted
from antiphon.schemas.grammars.numbers import BOUNDS, NUMBER, integers, numbers
from antiphon.schemas.grammars.objects import Objects
from antiphon.schemas.grammars.strings import sized, string
from antiphon.schemas.merging import (
    NEVER,
    SILENT,
    TYPES,
    Schema,
    merged,
    resolve,
    together,
    types_of,
    without,
)

DEPTH: Final = 72
"""How deep schemas are followed that are different at every step."""


class JsonGrammar:
    """The rules of the values that one schema allows, added to those of a grammar.

    A `tight` one leaves out what could not be kept, as far as that is known.
    """

    def __init__(self, rules: Rules, schema: Any, *, tight: bool = False) -> None:
        self.unkept: set[str] = set()
        self._rules = rules
        self._root = schema
        self._tight = tight
        self._refs: dict[str, str | None] = {}
        # References being followed with nothing written since: one again would never write.
        self._bare: set[str] = set()
        self._open: set[str] = set()
        self._named: set[str] = set()
        self._mistaken: set[str] = set()
        self._depth = 0
        self._ending: set[str] | None = None
        self._objects = Objects(rules, self._inside, self.unkept, tight=tight)
        self._lists = Arrays(rules, self._inside, self.unkept, tight=tight)

    def rule(self) -> str | None:
        """Name the rule of the whole schema; nothing if no value fits."""
        rule = self._of(self._root)
        while self._mistaken:
            # Some rule says the name of one that has turned out to be of nothing.
            self._refs = dict.fromkeys(self._mistaken)
            found, self._mistaken = self._mistaken, set()
            rule = self._of(self._root)
            self._mistaken = found | self._mistaken if self._mistaken else set()
        return rule

    def anything(self) -> str:
        """Name the rule of any JSON value."""
        name = self._refs.get("")
        if name is None:
            name = self._refs[""] = self._rules.reserve()
            scalars = [
                sized(self._rules, 0, None)[0],
                self._rules.add(NUMBER),
                '"true" | "false" | "null"',
            ]
            composed = [self._objects.any_of(name), self._lists.any_of(name)]
            self._rules.define(name, " | ".join([*filter(None, scalars), *composed]))
        return name

    def _of(self, schema: Any) -> str | None:
        if schema is False:
            return None
        if not isinstance(schema, Mapping) or not without(schema, *SILENT):
            return self.anything()
        if self._depth > DEPTH:
            self.unkept.add("$ref")
            return self.anything()
        self._depth += 1
        try:
            return self._composed(together(schema, self._root))
        finally:
            self._depth -= 1

    def _inside(self, schema: Any) -> str | None:
        """Name the rule of a part, before which something has been written."""
        before, self._bare = self._bare, set()
        try:
            return self._of(schema)
        finally:
            self._bare = before

    def _composed(self, schema: Schema) -> str | None:
        if "$ref" in schema:
            return self._referred(schema)
        if schema.get("anyOf"):
            base = without(schema, "anyOf", *SILENT)
            return self._either(merged(base, part) for part in schema["anyOf"])
        if schema.get("oneOf"):
            base = without(schema, "oneOf", *SILENT)
            return self._either(merged(base, part) for part in self._exclusive(schema["oneOf"]))
        if "if" in schema:
            return self._branches(schema)
        if schema.get("allOf"):
            if any(part in (False, NEVER) for part in schema["allOf"]):
                return None
            self.unkept.update(word for part in schema["allOf"] for word in part)
        return self._simple(schema)

    def _exclusive(self, parts: Sequence[Any]) -> Iterator[Schema]:
        """Yield each part without what fits another one, too."""
        seen = [together(self._seen(part), self._root) for part in parts]
        for place, part in enumerate(parts):
            rivals = [
                {"not": other}
                for at, other in enumerate(parts)
                if at != place and not are_apart((seen[place], seen[at]))
            ]
            yield merged(part, {"allOf": rivals} if rivals else True)

    def _either(self, parts: Iterable[Schema]) -> str | None:
        ways = [way for way in map(self._of, parts) if way is not None]
        return self._rules.add(either(ways)) if ways else None

    def _branches(self, schema: Schema) -> str | None:
        """Write what fits `if` and `then`, or else what fits `else`.

        In the second way `if` may happen to fit, too; a tight grammar has it only for want of
        the first.
        """
        base = without(schema, "if", "then", "else", *SILENT)
        first = self._of(merged(merged(base, schema["if"]), schema.get("then", True)))
        if first is not None and self._tight:
            return first
        opposite = _opposite(schema["if"])
        second = self._of(merged(merged(base, opposite), schema.get("else", True)))
        if second is not None and not opposite:
            self.unkept.add("if")
        ways = [way for way in (first, second) if way is not None]
        return self._rules.add(either(ways)) if ways else None

    def _referred(self, schema: Schema) -> str | None:
        ref = str(schema["$ref"])
        beside = without(schema, "$ref", *SILENT)
        if not self._ends(ref):
            return None
        if ref in self._bare:
            self.unkept.add("$ref")
            return self.anything()
        known = json.dumps([ref, beside], sort_keys=True)
        if known in self._open:
            self._named.add(known)
        if known not in self._refs:
            self._refs[known] = self._rules.reserve()
            self._open.add(known)
            target = resolve(self._root, ref)
            rule = self._following(ref, merged(target, beside) if beside else target)
            self._open.discard(known)
            self._close(known, rule)
        return self._refs[known]

    def _close(self, known: str, rule: str | None) -> None:
        name = self._refs[known]
        if rule is not None and name is not None:
            self._rules.define(name, rule)
            return
        self._refs[known] = None
        if known in self._named:
            self._mistaken.add(known)

    def _following(self, ref: str, target: Any) -> str | None:
        self._bare.add(ref)
        try:
            return self._of(target)
        finally:
            self._bare.discard(ref)

    def _seen(self, schema: Any) -> Any:
        """Follow a reference, to look at what is there."""
        for _ in range(DEPTH):
            if not isinstance(schema, Mapping) or "$ref" not in schema:
                break
            schema = merged(resolve(self._root, schema["$ref"]), without(schema, "$ref"))
        return schema if isinstance(schema, Mapping) else {} if schema else NEVER

    def _ends(self, ref: str) -> bool:
        """Whether some value of a reference has an end; in a loop of required parts none has."""
        if self._ending is None:
            self._ending = ending(self._root)
        return ref in self._ending

    def _simple(self, schema: Schema) -> str | None:
        if "const" in schema or "enum" in schema:
            return self._listed(schema)
        schema, forbidden = permitted(schema, self.unkept)
        types = types_of(schema) or _implied(schema)
        if not types and not forbidden:
            return None if schema == NEVER else self.anything()
        types = types or tuple(name for name in TYPES if name != "integer")
        ways = [self._of_type(name, schema, forbidden) for name in types]
        said = [way for way in ways if way is not None]
        return self._rules.add(either(said)) if said else None

    def _of_type(self, name: str, schema: Schema, forbidden: Sequence[str]) -> str | None:
        match name:
            case "object":
                return self._objects.rule(schema)
            case "array":
                return self._lists.rule(schema)
            case "string":
                return self._noted(string(self._rules, schema, forbidden))
            case "integer":
                return self._noted(integers(self._rules, schema))
            case "number":
                return self._noted(numbers(self._rules, schema))
        return self._rules.add('"true" | "false"' if name == "boolean" else '"null"')

    def _noted(self, said: tuple[str | None, tuple[str, ...]]) -> str | None:
        rule, left = said
        self.unkept.update(left)
        return rule

    def _listed(self, schema: Schema) -> str | None:
        word = "const" if "const" in schema else "enum"
        members = [schema["const"]] if word == "const" else schema["enum"]
        others = without(schema, word)
        kept = [one for one in members if first_error(one, others, self._root) is None]
        ways = [literal(json.dumps(one, ensure_ascii=False)) for one in kept]
        return self._rules.add(either(ways)) if ways else None


def _opposite(condition: Any) -> Schema:
    """Say what does not fit a condition on one property; nothing if that is not plain."""
    if not isinstance(condition, Mapping) or condition.keys() - {*SILENT, *_CONDITION}:
        return {}
    known = condition.get("properties") or {}
    if len(known) != 1 or set(condition.get("required", known)) != set(known):
        return {}
    ((name, part),) = known.items()
    if not isinstance(part, Mapping) or part.keys() - {*SILENT, "const", "enum"}:
        return {}
    return {"properties": {name: {"not": part}}, "required": [name]}


def _implied(schema: Schema) -> tuple[str, ...]:
    """Guess the type of a schema that names none from what it speaks of."""
    return next((types for types, words in _SPOKEN.items() if words & schema.keys()), ())


_CONDITION: Final = frozenset({"type", "properties", "required"})
_SPOKEN: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    ("object",): frozenset(
        {
            *("properties", "required", "additionalProperties", "patternProperties"),
            *("propertyNames", "minProperties", "maxProperties", "dependentRequired"),
        }
    ),
    ("array",): frozenset(
        {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}
    ),
    ("string",): frozenset({"format", "pattern", "minLength", "maxLength"}),
    ("number",): frozenset({*BOUNDS, "multipleOf"}),
}
