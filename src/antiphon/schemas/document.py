"""One schema document: resolves its references, and derives the views of it and its subschemas.

Each view is made once, whatever leads to it, so a schema that refers to itself leads back to the
same view. Work is counted: following and merging takes a step for each keyword.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final

from antiphon.schemas.automata import Automaton
from antiphon.schemas.merging import merged, properties_of
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.references import References
from antiphon.schemas.regular import Language
from antiphon.schemas.steps import Steps
from antiphon.schemas.view import (
    INERT,
    PROPERTY_KEYWORDS,
    UNENFORCED,
    Group,
    Items,
    Mark,
    Properties,
    Schema,
    Subschemas,
    View,
)

FEW: Final = 8
"""Up to this many schemas of a group are searched for a property without an index."""

_ENTER: Final = 0
_READ: Final = 1
_LEAVE: Final = 2
_SIMPLE: Final = frozenset({"type", "format", "pattern", "minLength", "maxLength", "minimum"})
_CHOICES: Final = frozenset({"anyOf", "oneOf", "if"})
_CHOICE_KEYWORDS: Final = _CHOICES | {"then", "else"}
_FOLLOWED: Final = frozenset({"$ref", "allOf"})
_TRANSPARENT: Final = INERT | _FOLLOWED
"""Keywords that constrain no value by themselves."""


class _Index:
    """Maps property names to the schemas of a group that name them.

    `others` are the schemas that also constrain properties that they do not name.
    """

    def __init__(self, group: tuple[Properties, ...]) -> None:
        self.named: dict[str, list[Properties]] = {}
        self.others = [part for part in group if part.patterns or part.additional is not True]
        for part in group:
            for name in part.named:
                self.named.setdefault(name, []).append(part)


class Document:
    """A schema and its subschemas, identified by `id()`: no schema object may change."""

    def __init__(self, root: Any, steps: Steps | None = None) -> None:
        self.root = root
        self.steps = steps or Steps()
        self._references = References(root, self.steps)
        self._groups: dict[tuple[int, ...], Group] = {}
        self._views: dict[Hashable, View] = {}
        self._schema_views: dict[int, View] = {}
        self._simple_views: dict[tuple[tuple[str, Any], ...], View] = {}
        self._only_choices: dict[int, frozenset[Mark]] = {}
        self._interned: dict[Hashable, Any] = {}
        self._languages: dict[str, Language | None] = {}
        self._automata: dict[str, Automaton] = {}
        self._indices: dict[int, _Index] = {}
        self._refers_anywhere: dict[int, bool] = {}

    def of(self, schema: Any) -> View:
        """Return the view of one schema."""
        known = self._schema_views.get(id(schema))
        if known is None:
            known = self._schema_views[id(schema)] = self._simple_view(schema) or self._first_view(
                schema
            )
        return known

    def _simple_view(self, schema: Any) -> View | None:
        """Return the view of a schema with simple keywords only; equal schemas share one view."""
        if not isinstance(schema, dict):
            return None
        constraints = [
            (keyword, value) for keyword, value in schema.items() if keyword not in INERT
        ]
        if not all(
            keyword in _SIMPLE and isinstance(value, str | int) for keyword, value in constraints
        ):
            return None
        key = tuple(constraints)
        known = self._simple_views.get(key)
        if known is None:
            known = self._simple_views[key] = self._first_view(schema)
        return known

    def _first_view(self, schema: Any) -> View:
        return self._view([self._followed((schema,))], frozenset())

    def view(self, subschemas: Subschemas) -> View:
        """Return the view of schemas that all apply."""
        if len(subschemas) == 1 and len(subschemas[0]) == 1:
            return self.of(subschemas[0][0])
        return self._view([self._followed(group) for group in subschemas], frozenset())

    def merged(self, view: View, *schemas: Any, resolved: Iterable[Mark] = ()) -> View:
        """Return `view` with more schemas, each a group of its own, and some choices resolved."""
        groups = [*view.groups]
        known = {id(node) for group in groups for node in group}
        for schema in schemas:
            group = () if schema is True else self._followed((schema,))
            if not known.issuperset(map(id, group)):
                groups.append(group)
        return self._view(groups, view.resolved.union(resolved))

    def intern(self, key: Hashable, schema: Any) -> Any:
        """Keep a generated schema; the same `key` always returns the same object."""
        return self._interned.setdefault(key, schema)

    def property_subschemas(self, view: View, name: str) -> Subschemas:
        """Return the subschemas that apply to the property `name`."""
        known = view.cache.get(("subschemas", name))
        if known is None:
            groups = [self._subschemas_of(group, name) for group in view.properties]
            known = view.cache[("subschemas", name)] = tuple(filter(None, groups))
        return known

    def property_view(self, view: View, name: str) -> View:
        """Return the view of the property `name`."""
        key = ("view", name)
        known = view.cache.get(key)
        if known is None:
            known = view.cache[key] = self.view(self.property_subschemas(view, name))
        return known

    def item_subschemas(self, view: View, index: int) -> Subschemas:
        """Return the subschemas that apply to the item at `index`."""
        return tuple(filter(None, [_item_of(group, index) for group in view.items]))

    def item_view(self, view: View, index: int) -> View:
        """Return the view of the item at `index`."""
        # All items behind the last position with a schema of its own share a view.
        key = ("item", min(index, named_items(view)))
        known = view.cache.get(key)
        if known is None:
            known = view.cache[key] = self.view(self.item_subschemas(view, index))
        return known

    def language(self, pattern: str) -> Language | None:
        """Return the language of a pattern; None if it is unsupported."""
        if pattern not in self._languages:
            try:
                self._languages[pattern] = language(pattern, self.steps)
            except PatternUnsupportedError:
                self._languages[pattern] = None
        return self._languages[pattern]

    def finds(self, pattern: str, text: str) -> bool | None:
        """Whether `pattern` matches in `text`; None if it is unsupported."""
        automaton = self._automata.get(pattern)
        if automaton is None:
            of = self.language(pattern)
            if of is None:
                return None
            automaton = self._automata[pattern] = Automaton(of, self.steps)
        return automaton.matches(text)

    def is_closed_to(self, part: Properties, name: str) -> bool:
        """Whether `additionalProperties: false` of a schema rejects the property `name`."""
        return (
            part.additional is False
            and name not in part.named
            and all(self.finds(pattern, name) is False for pattern in part.patterns)
        )

    def has_reference(self, subschemas: Subschemas) -> bool:
        """Whether the subschemas contain a `$ref` at any depth: their values may not end."""
        return any(self._refers(one) for group in subschemas for one in group)

    def _refers(self, schema: Any) -> bool:
        known = self._refers_anywhere.get(id(schema))
        if known is None:
            known = self._refers_anywhere[id(schema)] = self._has_reference(schema)
        return known

    def _has_reference(self, schema: Any) -> bool:
        waiting = [schema]
        while waiting:
            node = waiting.pop()
            self.steps.take()
            if isinstance(node, dict):
                if "$ref" in node:
                    return True
                waiting.extend(node.values())
            elif isinstance(node, list):
                waiting.extend(node)
        return False

    def _view(self, groups: Iterable[Group], resolved: frozenset[Mark]) -> View:
        by_schemas: dict[frozenset[int], Group] = {}
        for group in groups:
            self.steps.take(1 + len(group))
            left = self._unresolved(group, resolved) if resolved else group
            if left:
                by_schemas[frozenset(map(id, left))] = left
        if resolved:
            remaining = frozenset[int]().union(*by_schemas)
            resolved = frozenset(mark for mark in resolved if mark[1] in remaining)
        key = (frozenset(by_schemas), resolved)
        known = self._views.get(key)
        if known is None:
            known = self._views[key] = merged(tuple(by_schemas.values()), resolved, self.steps)
        return known

    def _unresolved(self, group: Group, resolved: frozenset[Mark]) -> Group:
        """Drop the schemas that consist of resolved choices only.

        So a branch leads to the same view wherever it is chosen, if no other schema applies.
        """
        return tuple(
            node
            for node in group
            if not (marks := self._choices_only(node)) or not marks <= resolved
        )

    def _choices_only(self, node: Any) -> frozenset[Mark]:
        """Return the choices of a schema that consists of choices only; else none."""
        known = self._only_choices.get(id(node))
        if known is None:
            keywords = frozenset() if isinstance(node, bool) else node.keys() - _TRANSPARENT
            marks = frozenset((keyword, id(node)) for keyword in keywords & _CHOICES)
            known = self._only_choices[id(node)] = (
                marks if keywords <= _CHOICE_KEYWORDS else frozenset()
            )
        return known

    def _subschemas_of(self, group: tuple[Properties, ...], name: str) -> Group:
        found: dict[int, Any] = {}
        for part in self._schemas_naming(group, name) if len(group) > FEW else group:
            self.steps.take(1 + len(part.patterns))
            own = [part.named[name]] if name in part.named else []
            if part.patterns:
                own += self._in_patterns(part, name)
            for one in own or (part.additional,):
                if one is not True:
                    found[id(one)] = one
        return tuple(found.values())

    def _in_patterns(self, part: Properties, name: str) -> Iterator[Any]:
        """Yield the schemas of the patterns that match a name.

        A pattern that is unsupported may match: then the name is not an additional one, and
        nothing more is known of its value.
        """
        for pattern, one in part.patterns.items():
            is_found = self.finds(pattern, name)
            if is_found is not False:
                yield one if is_found else True

    def _schemas_naming(self, group: tuple[Properties, ...], name: str) -> list[Properties]:
        """Look up the schemas of a large group that constrain a property."""
        index = self._indices.get(id(group))
        if index is None:
            index = self._indices[id(group)] = _Index(group)
            self.steps.take(sum(1 + len(part.named) for part in group))
        return [*index.named.get(name, ()), *(one for one in index.others if name not in one.named)]

    def _followed(self, group: Group) -> Group:
        """Resolve `$ref` and `allOf`; a schema that leads back to itself becomes false."""
        if len(group) == 1 and isinstance(group[0], dict) and _FOLLOWED.isdisjoint(group[0]):
            return group
        key = tuple(map(id, group))
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = self._reconciled(self._flattened(group))
        return known

    def _flattened(self, group: Group) -> Group:
        found: dict[int, Any] = {}
        above: set[int] = set()
        passed: set[int] = set()
        waiting = [(one, _ENTER) for one in reversed(group)]
        while waiting:
            node, phase = waiting.pop()
            self.steps.take()
            if node is False or (phase == _ENTER and id(node) in above):
                return (False,)
            if phase == _LEAVE:
                above.discard(id(node))
            elif phase == _READ:
                if not node.keys() <= _TRANSPARENT:
                    found[id(node)] = node
                passed.add(id(node))
            elif isinstance(node, dict) and id(node) not in passed:
                above.add(id(node))
                # The order of keywords: first of the reference, then its own, then of `allOf`.
                parts = ((part, _ENTER) for part in reversed(node.get("allOf", ())))
                waiting += [(node, _LEAVE), *parts, (node, _READ)]
                if "$ref" in node:
                    target = self._references.target(node["$ref"])
                    if target is None:
                        missing = UNENFORCED["$ref"]
                        found[id(missing)] = missing
                    waiting.append((target, _ENTER))
        return tuple(found.values())

    def _reconciled(self, nodes: Group) -> Group:
        """Let closed schemas accept the properties that another schema names and any requires."""
        by_id = {
            id(node): properties_of(node)
            for node in nodes
            if isinstance(node, dict) and not PROPERTY_KEYWORDS.isdisjoint(node)
        }
        closed = [key for key, one in by_id.items() if one.additional is False]
        if not closed or len(by_id) == 1:
            return nodes
        accepted: dict[int, list[str]] = {key: [] for key in closed}
        required = dict.fromkeys(name for node in nodes for name in node.get("required", ()))
        for name in required:
            self.steps.take(len(closed))
            rejecting = [key for key in closed if self.is_closed_to(by_id[key], name)]
            if len(rejecting) < len(by_id):
                for key in rejecting:
                    accepted[key].append(name)
        return tuple(
            self._accepting(node, accepted[id(node)]) if accepted.get(id(node)) else node
            for node in nodes
        )

    def _accepting(self, node: Schema, names: list[str]) -> Schema:
        named = {**node.get("properties", {}), **dict.fromkeys(names, True)}
        widened: Schema = self.intern(
            ("accepting", id(node), *names), {**node, "properties": named}
        )
        return widened


def named_items(view: View) -> int:
    """Return the number of positions that have a schema of their own."""
    return max((len(one.prefix) for group in view.items for one in group), default=0)


def _item_of(group: tuple[Items, ...], index: int) -> Group:
    found = (one.prefix[index] if index < len(one.prefix) else one.rest for one in group)
    return tuple({id(one): one for one in found if one is not True}.values())
