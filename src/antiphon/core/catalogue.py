"""Which model answers to which name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from antiphon.core.errors import InvalidRequestError

LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of ids, and whether more follow in the direction that was asked for."""

    ids: tuple[str, ...]
    has_more: bool


class Catalogue:
    """The names of the served models.

    A model's own id comes first, then exact aliases, then wildcards (`claude-*`) in the order in
    which they were given; `*` alone takes every name. The same wildcard on two models is an error:
    the second would never be asked.
    """

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        """Take each model's id with its aliases. Raises `ValueError` for a name given twice."""
        self.ids = tuple(models)
        self._exact: dict[str, str] = {model: model for model in models}
        self._wildcards: dict[str, str] = {}
        for model, aliases in models.items():
            for alias in aliases:
                self._add(alias, model)

    def _add(self, alias: str, model: str) -> None:
        names = self._wildcards if "*" in alias or "?" in alias else self._exact
        if names.setdefault(alias, model) != model:
            raise ValueError(f"{alias!r} names two models: {names[alias]!r} and {model!r}")

    def resolve(self, name: str) -> str | None:
        """Return the id of the model that answers to `name`."""
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        for pattern, model in self._wildcards.items():
            if fnmatchcase(name, pattern):
                return model
        return None


def page(ids: Sequence[str], *, limit: int, after_id: str | None, before_id: str | None) -> Listing:
    """Cut one page out of a listing, as `after_id`, `before_id` and `limit` ask.

    With `before_id` the page ends just before that id. Raises `InvalidRequestError` for a cursor
    that is not in the listing, and for both cursors at once.
    """
    if after_id is not None and before_id is not None:
        raise InvalidRequestError("Only one of `after_id` and `before_id` may be given")
    if before_id is not None:
        end = _place(ids, before_id, "before_id")
        start = max(0, end - limit)
        return Listing(tuple(ids[start:end]), has_more=start > 0)
    start = 0 if after_id is None else _place(ids, after_id, "after_id") + 1
    return Listing(tuple(ids[start : start + limit]), has_more=start + limit < len(ids))


def _place(ids: Sequence[str], cursor: str, name: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise InvalidRequestError(f"{name}: no such id: {cursor}") from None


def page_limit(values: Iterable[str], *, default: int = 20, most: int = LARGEST_PAGE) -> int:
    """Read `limit` of a query: 1 to `most`, `default` when absent."""
    text = next(iter(values), str(default))
    # int() also reads other scripts' digits and underscores, and refuses thousands of digits.
    number = re.fullmatch("(-?)0*([0-9]+)", text)
    if number is None:
        raise InvalidRequestError("limit: Input should be a valid integer")
    sign, digits = number.groups()
    if sign or digits == "0":
        raise InvalidRequestError("limit: Input should be greater than or equal to 1")
    limit = int(digits[:5])
    if limit > most:
        raise InvalidRequestError(f"limit: Input should be less than or equal to {most}")
    return limit
