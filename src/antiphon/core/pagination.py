"""Pages of listings: `limit`, `after_id` and `before_id` of a query, and what they select."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon.core.errors import InvalidRequestError

LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class IdPage:
    """One page of ids, and whether more follow in the direction that was asked for."""

    ids: tuple[str, ...]
    has_more: bool


def page(ids: Sequence[str], *, limit: int, after_id: str | None, before_id: str | None) -> IdPage:
    """Cut one page out of a listing, as `after_id`, `before_id` and `limit` ask.

    With `before_id` the page ends just before that id. Raises `InvalidRequestError` for a cursor
    that is not in the listing, and for both cursors at once.
    """
    if after_id is not None and before_id is not None:
        raise InvalidRequestError("Only one of `after_id` and `before_id` may be given")
    if before_id is not None:
        end = _place(ids, before_id, "before_id")
        start = max(0, end - limit)
        return IdPage(tuple(ids[start:end]), has_more=start > 0)
    start = 0 if after_id is None else _place(ids, after_id, "after_id") + 1
    return IdPage(tuple(ids[start : start + limit]), has_more=start + limit < len(ids))


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
