"""One schema with all that is inside of it: where references lead, and the views of its parts.

Each view is made once, whatever leads to it, so that a schema which comes back to itself comes back
to the same view. Work is counted: following and joining takes a step for each word.
"""

from collections.abc import Hashable, Iterable
from typing import Any, Final

from antiphon.schemas.automata import Automaton
from antiphon.schemas.joining import joined, properties_of
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.references import References
from antiphon.schemas.regular import Language
from antiphon.schemas.steps import Steps
from antiphon.schemas.view import (
    SILENT,
    SPEAKING,
    UNENFORCED,
    Asked,
    Group,
    Items,
    Mark,
    Properties,
    Schema,
    View,
)

FEW: Final = 8
"""How many schemas of one group are looked through for a property, without an index of them."""

_ENTER: Final = 0
_READ: Final = 1
_LEAVE: Final = 2
_LEAVES: Final = frozenset({"type", "format", "pattern", "minLength", "maxLength", "minimum"})
_CHOICES: Final = frozenset({"anyOf", "oneOf", "if"})
_OF_CHOICES: Final = _CHOICES | {"then", "else"}
_JOINING: Final = frozenset({"$ref", "allOf"})
_PASSING: Final = SILENT | _JOINING
"""Words that say nothing of a value themselves."""


class _Index:
    """Which of many schemas name a property, and which speak of those that they do not name."""

    def __init__(self, group: tuple[Properties, ...]) -> None:
        self.named: dict[str, list[Properties]] = {}
        self.of_any = [part for part in group if part.patterns or part.others is not True]
        for part in group:
            for name in part.named:
                self.named.setdefault(name, []).append(part)


class Document:
    """A schema and its parts. Parts are known by which object they are: none may change."""

    def __init__(self, root: Any, steps: Steps | None = None) -> None:
        self.root = root
        self.steps = steps or Steps()
        self._references = References(root, self.steps)
        self._groups: dict[tuple[int, ...], Group] = {}
        self._views: dict[Hashable, View] = {}
        self._single: dict[int, View] = {}
        self._leaves: dict[tuple[tuple[str, Any], ...], View] = {}
        self._marks: dict[int, frozenset[Mark]] = {}
        self._made: dict[Hashable, Any] = {}
        self._languages: dict[str, Language | None] = {}
        self._automata: dict[str, Automaton] = {}
        self._indices: dict[int, _Index] = {}
        self._recursive: dict[int, bool] = {}

    def of(self, schema: Any) -> View:
        """Return the view of one schema."""
        known = self._single.get(id(schema))
        if known is None:
            known = self._single[id(schema)] = self._leaf(schema) or self._first_view(schema)
        return known

    def _leaf(self, schema: Any) -> View | None:
        """Return the view of a schema that says little; others that say the same share it."""
        if not isinstance(schema, dict):
            return None
        asked = [(word, value) for word, value in schema.items() if word not in SILENT]
        if not all(word in _LEAVES and isinstance(value, str | int) for word, value in asked):
            return None
        key = tuple(asked)
        known = self._leaves.get(key)
        if known is None:
            known = self._leaves[key] = self._first_view(schema)
        return known

    def _first_view(self, schema: Any) -> View:
        return self._view([self._followed((schema,))], frozenset())

    def view(self, asked: Asked) -> View:
        """Return the view of all that is asked."""
        if len(asked) == 1 and len(asked[0]) == 1:
            return self.of(asked[0][0])
        return self._view([self._followed(group) for group in asked], frozenset())

    def joined(self, view: View, *schemas: Any, settled: Iterable[Mark] = ()) -> View:
        """Return a view with more schemas, each for itself, and with some choices made."""
        groups = [*view.groups]
        known = {id(node) for group in groups for node in group}
        for schema in schemas:
            group = () if schema is True else self._followed((schema,))
            if not known.issuperset(map(id, group)):
                groups.append(group)
        return self._view(groups, view.settled.union(settled))

    def made(self, key: Hashable, schema: Any) -> Any:
        """Keep a schema that was made on the way; the same `key` gives the same object."""
        return self._made.setdefault(key, schema)

    def part_of(self, view: View, name: str) -> Asked:
        """Return what is asked of an object's property `name`."""
        known = view.known.get(("part", name))
        if known is None:
            groups = [self._asked_of(group, name) for group in view.parts]
            known = view.known[("part", name)] = tuple(filter(None, groups))
        return known

    def part(self, view: View, name: str) -> View:
        """Return the view of an object's property `name`."""
        key = ("view", name)
        known = view.known.get(key)
        if known is None:
            known = view.known[key] = self.view(self.part_of(view, name))
        return known

    def item_at(self, view: View, place: int) -> Asked:
        """Return what is asked of an array's item at `place`."""
        return tuple(filter(None, [_item_of(group, place) for group in view.items]))

    def item(self, view: View, place: int) -> View:
        """Return the view of an array's item at `place`."""
        # Behind those that are named, all are alike.
        key = ("item", min(place, named_items(view)))
        known = view.known.get(key)
        if known is None:
            known = view.known[key] = self.view(self.item_at(view, place))
        return known

    def language(self, pattern: str) -> Language | None:
        """Return the texts in which a pattern is found; nothing if it is not understood."""
        if pattern not in self._languages:
            try:
                self._languages[pattern] = language(pattern, self.steps)
            except PatternUnsupportedError:
                self._languages[pattern] = None
        return self._languages[pattern]

    def finds(self, pattern: str, text: str) -> bool | None:
        """Whether `pattern` is found in `text`; nothing if it is not understood."""
        automaton = self._automata.get(pattern)
        if automaton is None:
            of = self.language(pattern)
            if of is None:
                return None
            automaton = self._automata[pattern] = Automaton(of, self.steps)
        return automaton.matches(text)

    def is_shut(self, part: Properties, name: str) -> bool:
        """Whether a schema is closed to a property that it does not speak of."""
        return (
            part.others is False
            and name not in part.named
            and not any(self.finds(pattern, name) for pattern in part.patterns)
        )

    def has_reference(self, asked: Asked) -> bool:
        """Whether there is a `$ref` in what is asked, however deep: it may have no end."""
        return any(self._refers(one) for group in asked for one in group)

    def _refers(self, schema: Any) -> bool:
        known = self._recursive.get(id(schema))
        if known is None:
            known = self._recursive[id(schema)] = self._has_reference(schema)
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

    def _view(self, groups: Iterable[Group], settled: frozenset[Mark]) -> View:
        by_parts: dict[frozenset[int], Group] = {}
        for group in groups:
            self.steps.take(1 + len(group))
            left = self._unsettled(group, settled) if settled else group
            if left:
                by_parts[frozenset(map(id, left))] = left
        if settled:
            lasting = frozenset[int]().union(*by_parts)
            settled = frozenset(mark for mark in settled if mark[1] in lasting)
        key = (frozenset(by_parts), settled)
        known = self._views.get(key)
        if known is None:
            known = self._views[key] = joined(tuple(by_parts.values()), settled, self.steps)
        return known

    def _unsettled(self, group: Group, settled: frozenset[Mark]) -> Group:
        """Leave out the schemas that were nothing but choices which have been made.

        So a way is the same view wherever it is chosen, if nothing else is asked beside it.
        """
        return tuple(
            node for node in group if not (marks := self._marks_of(node)) or not marks <= settled
        )

    def _marks_of(self, node: Any) -> frozenset[Mark]:
        """Return the choices of a schema that is nothing but choices."""
        known = self._marks.get(id(node))
        if known is None:
            words = frozenset() if isinstance(node, bool) else node.keys() - _PASSING
            marks = frozenset((word, id(node)) for word in words & _CHOICES)
            known = self._marks[id(node)] = marks if words <= _OF_CHOICES else frozenset()
        return known

    def _asked_of(self, group: tuple[Properties, ...], name: str) -> Group:
        found: dict[int, Any] = {}
        for part in self._speaking_of(group, name) if len(group) > FEW else group:
            self.steps.take(1 + len(part.patterns))
            asked = [part.named[name]] if name in part.named else []
            if part.patterns:
                asked += [one for key, one in part.patterns.items() if self.finds(key, name)]
            for one in asked or (part.others,):
                if one is not True:
                    found[id(one)] = one
        return tuple(found.values())

    def _speaking_of(self, group: tuple[Properties, ...], name: str) -> list[Properties]:
        """Return those of many schemas that say anything of a property."""
        index = self._indices.get(id(group))
        if index is None:
            index = self._indices[id(group)] = _Index(group)
            self.steps.take(sum(1 + len(part.named) for part in group))
        return [*index.named.get(name, ()), *(one for one in index.of_any if name not in one.named)]

    def _followed(self, group: Group) -> Group:
        """Follow the references and the `allOf` of schemas; what comes back to itself is false."""
        if len(group) == 1 and isinstance(group[0], dict) and _JOINING.isdisjoint(group[0]):
            return group
        key = tuple(map(id, group))
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = self._opened(self._flattened(group))
        return known

    def _flattened(self, group: Group) -> Group:
        found: dict[int, Any] = {}
        above: set[int] = set()
        passed: set[int] = set()
        waiting = [(one, _ENTER) for one in reversed(group)]
        while waiting:
            node, then = waiting.pop()
            self.steps.take()
            if node is False or (then == _ENTER and id(node) in above):
                return (False,)
            if then == _LEAVE:
                above.discard(id(node))
            elif then == _READ:
                if not node.keys() <= _PASSING:
                    found[id(node)] = node
                passed.add(id(node))
            elif isinstance(node, dict) and id(node) not in passed:
                above.add(id(node))
                # Its own words come before those of its parts, and behind those of its reference.
                parts = ((part, _ENTER) for part in reversed(node.get("allOf", ())))
                waiting += [(node, _LEAVE), *parts, (node, _READ)]
                if "$ref" in node:
                    target = self._references.target(node["$ref"])
                    if target is None:
                        lost = UNENFORCED["$ref"]
                        found[id(lost)] = lost
                    waiting.append((target, _ENTER))
        return tuple(found.values())

    def _opened(self, nodes: Group) -> Group:
        """Open the schemas that are closed to what another one knows and any of them requires."""
        said = {
            id(node): properties_of(node)
            for node in nodes
            if isinstance(node, dict) and not SPEAKING.isdisjoint(node)
        }
        closed = [place for place, one in said.items() if one.others is False]
        if not closed or len(said) == 1:
            return nodes
        opened: dict[int, list[str]] = {place: [] for place in closed}
        required = dict.fromkeys(name for node in nodes for name in node.get("required", ()))
        for name in required:
            self.steps.take(len(closed))
            shut = [place for place in closed if self.is_shut(said[place], name)]
            if len(shut) < len(said):
                for place in shut:
                    opened[place].append(name)
        return tuple(
            self._open(node, opened[id(node)]) if opened.get(id(node)) else node for node in nodes
        )

    def _open(self, node: Schema, names: list[str]) -> Schema:
        named = {**node.get("properties", {}), **dict.fromkeys(names, True)}
        made: Schema = self.made(("opened", id(node), *names), {**node, "properties": named})
        return made


def named_items(view: View) -> int:
    """Count the items of an array that have a schema of their own."""
    return max((len(one.first) for group in view.items for one in group), default=0)


def _item_of(group: tuple[Items, ...], place: int) -> Group:
    found = (one.first[place] if place < len(one.first) else one.others for one in group)
    return tuple({id(one): one for one in found if one is not True}.values())
