"""Arrays as grammars: the items by position, then any number of others, or distinct items."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.document import named_items
from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.forms import ListForm, list_form_of
from antiphon.schemas.grammars.gbnf import Rules, either, literal, times
from antiphon.schemas.view import Contains, Subschemas, View

MOST: Final = 1000
"""The maximum number of items that a grammar counts; each costs llama.cpp a rule."""

SHUFFLED: Final = 6
"""Up to this many distinct values are allowed in any order, with one rule for each set."""

ORDERED: Final = 64
"""Up to this many distinct values are allowed in the order of the schema."""


def any_array(rules: Rules, item: str) -> str:
    """Return the rule for any array of `item`s."""
    return _list(rules, list_form_of(rules), ([], item), 0, None)


class Arrays:
    """Writes the rules for the arrays of one view, in the form of the spelling or another one."""

    def __init__(self, context: Context, view: View, form: ListForm | None = None) -> None:
        self._context = context
        self._rules = context.rules
        self._form = form or list_form_of(context.rules)
        self._is_spelled = form is None
        self._document = context.document
        self._view = view
        self._least = int(view.keywords.get("minItems", 0))
        most = view.keywords.get("maxItems")
        self._most = None if most is None else int(most)
        self._positions = named_items(view)

    def rule(self) -> str | None:
        """Return the rule for the arrays, or None if no array fits."""
        view = self._view
        is_unique = view.keywords.get("uniqueItems") is True
        if is_unique and self._is_spelled and not view.contains and not self._positions:
            values = self._values(self._document.item_view(view, 0))
            if values is not None:
                return self._distinct(values)
        first = [self._document.item_subschemas(view, index) for index in range(self._positions)]
        if view.contains:
            first = self._containing(first, *view.contains)
        return self._counted(first)

    def _containing(
        self, first: list[Subschemas], wanted: Contains, *others: Contains
    ) -> list[Subschemas]:
        """Make the first items without a schema of their own fit `contains`."""
        unenforced, count = self._context.unenforced, wanted.least
        if others or wanted.most is not None or count > MOST:
            unenforced.add("contains")
        if count > MOST:
            return first
        rest = self._document.item_subschemas(self._view, self._positions)
        longer = [*first, *[(*rest, (wanted.schema,))] * count]
        if count and self._most is not None and len(longer) > self._most:
            unenforced.add("contains")
            return first
        self._least = max(self._least, len(longer))
        return longer

    def _counted(self, items: Sequence[Subschemas]) -> str | None:
        first: list[str] = []
        most = self._most
        for part in items[:most]:
            # An optional item is written as required; behind a reference it could then have no end.
            may_recurse = len(first) >= self._least and self._document.has_reference(part)
            item = None if may_recurse else self._context.rule_of(part)
            if item is None:  # no array reaches this position
                most = len(first)
                break
            first.append(item)
        item = None
        if most is None or most > len(first):
            item = self._context.rule_of(
                self._document.item_subschemas(self._view, self._positions)
            )
        if item is None:
            most = len(first)
        if most is not None and self._least > most:
            return None
        most = self._most_unique(most)
        if self._least > MOST or (most or 0) > MOST:
            self._context.unenforced.update(("minItems", "maxItems"))
        return _list(self._rules, self._form, (first[:most], item), self._least, most)

    def _most_unique(self, most: int | None) -> int | None:
        """Return the maximum number of items, reduced for `uniqueItems` if the grammar is tight."""
        if self._view.keywords.get("uniqueItems") is not True or (most is not None and most <= 1):
            return most
        shortest = max(self._least, 1)
        if self._context.tight:
            most = shortest if most is None else min(most, shortest)
        if most is None or most > 1:
            self._context.unenforced.add("uniqueItems")
        return most

    def _values(self, items: View) -> list[Any] | None:
        """Return the values of the items if they are few, else None."""
        if items.choices:
            return None
        found = None if items.values is None else [*items.values.values()]
        if found is None:
            types = items.types or ()
            if not types or any(name not in _TYPE_VALUES for name in types):
                return None
            found = [value for name in types for value in _TYPE_VALUES[name]]
        if len(found) > ORDERED:
            return None
        written = filter(self._rules.spelling.can_write, found)
        return [value for value in written if self._context.check.fits(value, items)]

    def _distinct(self, values: Sequence[Any]) -> str | None:
        most = len(values) if self._most is None else min(self._most, len(values))
        if self._least > most:
            return None
        literals = [literal(self._rules.spelling.write(value)) for value in values]
        chosen = _Shuffled if len(values) <= SHUFFLED else _Ordered
        writer = chosen(self._rules, literals, self._least, most)
        return self._rules.add(f"{self._rules.opening('[')} {writer.rule()}")


def _list(
    rules: Rules,
    form: ListForm,
    items: tuple[Sequence[str], str | None],
    least: int,
    most: int | None,
) -> str:
    """Return the rule for the items by position, then any number of others, if there are any."""
    first, other = [form.item(one) for one in items[0]], items[1]
    members = f" {form.comma} ".join(first)
    if other is None or most == len(first):
        return rules.add(_between(form, members))
    item = form.item(other)
    more = rules.add(f"{form.comma} {item}".strip())
    least = min(least, MOST)
    most = None if most is None or most > MOST else most
    if first:
        rest = None if most is None else most - len(first)
        counted = times(more, max(0, least - len(first)), rest)
        return rules.add(_between(form, f"{members} {counted}"))
    some = f"{item} {times(more, max(0, least - 1), None if most is None else most - 1)}"
    return rules.add(_between(form, some if least else f"({some})?"))


def _between(form: ListForm, members: str) -> str:
    return f"{form.opening} {members} {form.closing}".strip()


class _Shuffled:
    """Arrays of distinct values in any order."""

    def __init__(self, rules: Rules, values: Sequence[str], least: int, most: int) -> None:
        self._rules = rules
        self._values = values
        self._least = least
        self._most = most
        self._known: dict[frozenset[int], str] = {}

    def rule(self) -> str:
        return self._after(frozenset())

    def _after(self, taken: frozenset[int]) -> str:
        if taken not in self._known:
            comma = f"{self._rules.comma} " if taken else ""
            alternatives = [self._rules.closing("]")] if len(taken) >= self._least else []
            if len(taken) < self._most:
                alternatives += [
                    f"{comma}{value} {self._after(taken | {index})}"
                    for index, value in enumerate(self._values)
                    if index not in taken
                ]
            self._known[taken] = self._rules.add(either(alternatives))
        return self._known[taken]


class _Ordered:
    """Arrays of distinct values in the given order."""

    def __init__(self, rules: Rules, values: Sequence[str], least: int, most: int) -> None:
        self._rules = rules
        self._values = values
        self._least = least
        self._most = most
        # The count saturates here: beyond, it makes no difference.
        self._counted = most if most < len(values) else least
        self._known: dict[tuple[int, int, bool], str | None] = {}

    def rule(self) -> str:
        return self._after(0, 0, started=False) or self._rules.closing("]")

    def _after(self, index: int, count: int, *, started: bool) -> str | None:
        """Return the rule for what may follow once the values before `index` are decided."""
        if self._least - count > len(self._values) - index:
            return None
        key = (index, count, started)
        if key not in self._known:
            alternatives = [self._rules.closing("]")] if count >= self._least else []
            following = self._next(index, count, started=started)
            if following is not None:
                alternatives.append(following)
            self._known[key] = self._rules.add(either(alternatives))
        return self._known[key]

    def _next(self, index: int, count: int, *, started: bool) -> str | None:
        """Return the rule for one more value from `index` on, and what follows it."""
        if index == len(self._values) or (self._counted == self._most and count == self._most):
            return None
        comma = f"{self._rules.comma} " if started else ""
        after = self._after(index + 1, min(count + 1, self._counted), started=True)
        alternatives = [] if after is None else [f"{comma}{self._values[index]} {after}"]
        later = self._next(index + 1, count, started=started)
        if later is not None:
            alternatives.append(later)
        return self._rules.add(either(alternatives)) if alternatives else None


_TYPE_VALUES: Final[Mapping[str, tuple[Any, ...]]] = {"boolean": (True, False), "null": (None,)}
