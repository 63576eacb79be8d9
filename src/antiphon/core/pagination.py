"""Pages of listings: the cursor of a query, the page that it selects, the token of the next page.

There are two kinds. A listing by ids is walked with `after_id` and `before_id`, which are ids of
its items. A listing by tokens is walked with `page`, the opaque `next_page` of an earlier answer:
it holds the number of the next item, or the place of the last one, its moment and its id. Outside
of the server such a token is bound to its listing, with its filters and its order: elsewhere the
same number or place would lead on at a wrong item, without a word.
"""

import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from antiphon.core.errors import InvalidRequestError
from antiphon.core.moments import moment_at, since_epoch
from antiphon.wire.admin.organizations import Listing, TokenListing
from antiphon.wire.errors import shortened

T = TypeVar("T")

USUAL_PAGE = 20
LARGEST_PAGE = 1000
_MOST_DIGITS = 15
_TOKEN = "page_"  # noqa: S105 - the beginning of every token, which is no secret
# The moment in microseconds, and the id.
_PLACE = re.compile(r"([0-9]{1,17}) ([0-9A-Za-z_]+)", re.ASCII)


class IdCursor(msgspec.Struct, frozen=True):
    """The requested page of a listing by ids."""

    limit: int = USUAL_PAGE
    after_id: str | None = None
    before_id: str | None = None


EVERYTHING = IdCursor(limit=sys.maxsize)


class ListOrder(msgspec.Struct, frozen=True):
    """How a listing is ordered: by one of its orders, or by its usual one, which is the time."""

    by: str | None = None
    is_descending: bool = True


NEWEST = ListOrder()


class TokenCursor(msgspec.Struct, frozen=True):
    """The requested page of a listing by tokens; without a limit, all of it."""

    limit: int | None = None
    token: str | None = None

    @property
    def size(self) -> int:
        """The most items of the page, in a listing that is not shown as a whole."""
        return USUAL_PAGE if self.limit is None else self.limit

    @property
    def place(self) -> tuple[datetime, str] | None:
        """The moment and the id of the item before the page; `None` for the first page.

        Raises `InvalidRequestError` for a token that has no place.
        """
        return None if self.token is None else place_of_token(self.token)


class IdPage(msgspec.Struct, frozen=True):
    """One page of ids, and whether more follow in the requested direction."""

    ids: tuple[str, ...]
    has_more: bool


def page_limit(text: str | None, *, default: int = USUAL_PAGE, most: int = LARGEST_PAGE) -> int:
    """Read `limit` of a query: 1 to `most`, `default` when absent."""
    if text is None:
        return default
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


# ── by ids


def check_cursor(cursor: IdCursor) -> None:
    """Raise `InvalidRequestError` for a cursor with both ids."""
    if cursor.after_id is not None and cursor.before_id is not None:
        raise InvalidRequestError("Only one of `after_id` and `before_id` may be given")


def unknown_id(wanted: str, name: str) -> InvalidRequestError:
    """Return the refusal of the parameter `name` of a cursor, whose id is not in the listing."""
    return InvalidRequestError(f"{name}: no such id: {shortened(wanted)}")


def page(ids: Sequence[str], cursor: IdCursor) -> IdPage:
    """Cut one page out of a listing.

    With `before_id` the page ends just before that id. Raises `InvalidRequestError` for an id that
    is not in the listing, and for both ids at once.
    """
    check_cursor(cursor)
    limit, after_id, before_id = cursor.limit, cursor.after_id, cursor.before_id
    if before_id is not None:
        end = _index(ids, before_id, "before_id")
        start = max(0, end - limit)
        return IdPage(tuple(ids[start:end]), has_more=start > 0)
    start = 0 if after_id is None else _index(ids, after_id, "after_id") + 1
    return IdPage(tuple(ids[start : start + limit]), has_more=start + limit < len(ids))


def _index(ids: Sequence[str], wanted: str, name: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise unknown_id(wanted, name) from None


def listing(items: Sequence[Any], *, has_more: bool, id_field: str = "id") -> Listing:
    """Return a page of a listing by ids as the API shows it; `id_field` has the id of an item."""
    return Listing(
        data=tuple(items),
        has_more=has_more,
        first_id=getattr(items[0], id_field) if items else None,
        last_id=getattr(items[-1], id_field) if items else None,
    )


# ── by tokens


def page_token(position: str) -> str:
    """Return the token that stands for a position in a listing, opaque to callers."""
    return _TOKEN + urlsafe_b64encode(position.encode()).decode()


def page_position(token: str) -> str | None:
    """Return the position that a token of `page_token` stands for, `None` for any other text."""
    try:
        position = urlsafe_b64decode(token.removeprefix(_TOKEN)).decode()
    except ValueError:
        return None
    # Base64 is decoded leniently, so the token must be the one that encodes its position.
    return position if page_token(position) == token else None


def token_of_place(at: datetime, item_id: str) -> str:
    """Return the token of the page that begins after an item."""
    return page_token(f"{since_epoch(at)} {item_id}")


def place_of_token(token: str) -> tuple[datetime, str]:
    """Return the moment and the id in a token. Raises `InvalidRequestError` for another token."""
    place = _PLACE.fullmatch(page_position(token) or "")
    if place is None:
        raise not_a_page()
    return moment_at(int(place[1])), place[2]


def cut_page(
    found: Sequence[T], size: int, place: Callable[[T], tuple[datetime, str]]
) -> tuple[Sequence[T], str | None]:
    """Return one page of items that were read, one more than `size` if there are more.

    Returns the token of the next page beside it. `place` returns the moment and the id of an item.
    """
    shown = found[:size]
    return shown, token_of_place(*place(shown[-1])) if len(found) > size else None


def bind_token(token: str, listing: str) -> str:
    """Return a token that leads on in this listing alone, which `listing` names with its filters.

    It is no secret: it keeps callers from mistakes.
    """
    return f"{_TOKEN}{_mark(listing)}{token.removeprefix(_TOKEN)}"


def unbind_token(token: str, listing: str) -> str:
    """Return the token that was bound to a listing. Raises `InvalidRequestError` for any other."""
    beginning = f"{_TOKEN}{_mark(listing)}"
    if not token.startswith(beginning):
        raise InvalidRequestError(
            "page: not a page of this listing; it leads on with the parameters of the request that "
            "it came from"
        )
    return _TOKEN + token.removeprefix(beginning)


def _mark(listing: str) -> str:
    """Return eight characters that stand for a listing."""
    return urlsafe_b64encode(sha256(listing.encode()).digest()[:6]).decode()


def not_a_page(of: str = "listing") -> InvalidRequestError:
    """Return the refusal of a token that is not one of the listing."""
    return InvalidRequestError(f"page: not a page of this {of}")


def page_by_tokens(items: Sequence[Any], cursor: TokenCursor) -> TokenListing:
    """Return one page of a sequence; its token holds the number of items before the next page."""
    number = "0" if cursor.token is None else cursor.token.removeprefix(_TOKEN)
    # int() refuses thousands of digits with an error of its own.
    is_number = number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS
    if not is_number or int(number) > len(items):
        raise not_a_page()
    start = int(number)
    end = len(items) if cursor.limit is None else start + cursor.limit
    following = f"{_TOKEN}{end}" if end < len(items) else None
    return TokenListing(data=tuple(items[start:end]), next_page=following)
