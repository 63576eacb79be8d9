"""Query strings, read as strictly as bodies: an unknown parameter is refused by its name."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from antiphon.core.errors import InvalidRequestError
from antiphon.core.names import is_plain
from antiphon.core.pagination import IdCursor, ListOrder, TokenCursor, page_limit, unbind_token
from antiphon.wire.errors import shortened

# Older SDKs add `beta=true` to calls of a beta; it has no meaning.
_IGNORED = frozenset({"beta"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class OpenQuery(msgspec.Struct, frozen=True):
    """The parameters of a route that ignores all others; most routes refuse them."""

    names: tuple[str, ...] = ()


ANY_QUERY = OpenQuery()

# The parameters that `Query.by_ids` and `Query.by_tokens` read.
BY_IDS = ("limit", "after_id", "before_id")
BY_TOKENS = ("limit", "page")
# The parameters that `Query.order` reads.
ORDERED = ("order_by", "order")


class Query:
    """The parameters of one request. Raises `InvalidRequestError` for unknown ones.

    A list is written `name[]=a&name[]=b`, or without the brackets.
    """

    __slots__ = ("_values",)

    def __init__(
        self, values: Mapping[str, Sequence[str]], known: tuple[str, ...] | OpenQuery
    ) -> None:
        self._values: dict[str, list[str]] = {}
        ignores = isinstance(known, OpenQuery)
        names = known.names if isinstance(known, OpenQuery) else known
        for written, found in values.items():
            name = written.removesuffix("[]")
            if name in _IGNORED:
                continue
            if name not in names:
                if ignores:
                    continue
                raise InvalidRequestError(f"{shortened(name)}: Extra inputs are not permitted")
            if not all(map(is_plain, found)):
                raise InvalidRequestError(f"{name}: Input should be printable characters")
            self._values.setdefault(name, []).extend(found)

    def one(self, name: str) -> str | None:
        """Return the value of a parameter; `None` for an empty one."""
        values = set(self._values.get(name, ()))
        if len(values) > 1:
            raise InvalidRequestError(f"{name}: Input should be given once")
        return next(iter(values), None) or None

    def choice(self, name: str, options: Collection[str]) -> str | None:
        """Return a value that must be one of `options`."""
        value = self.one(name)
        if value is not None and value not in options:
            raise InvalidRequestError(f"{name}: Input should be {_either(options)}")
        return value

    def many(self, name: str, options: Collection[str] | None = None) -> tuple[str, ...]:
        """Return all values of a list."""
        values = tuple(self._values.get(name, ()))
        for index, value in enumerate(values):
            if options is None and not value:
                raise InvalidRequestError(
                    f"{name}.{index}: String should have at least 1 character"
                )
            if options is not None and value not in options:
                raise InvalidRequestError(f"{name}.{index}: Input should be {_either(options)}")
        return values

    def flag(self, name: str) -> bool:
        """Return a truth value, false when absent."""
        value = self.one(name)
        if value is None:
            return False
        if value.lower() not in _TRUTH:
            raise InvalidRequestError(f"{name}: Input should be a valid boolean")
        return _TRUTH[value.lower()]

    def limit(self) -> int:
        """Return the requested size of the page: 1 to 1000, 20 when absent."""
        return page_limit(self.one("limit"))

    def order(self, orders: Collection[str]) -> ListOrder:
        """Return the requested order, one of `orders`: descending, if it is not `asc`."""
        ascends = self.choice("order", ("asc", "desc")) == "asc"
        return ListOrder(self.choice("order_by", orders), is_descending=not ascends)

    def by_ids(self) -> IdCursor:
        """Return the requested page of a listing by ids."""
        return IdCursor(self.limit(), self.one("after_id"), self.one("before_id"))

    def by_tokens(self, *, whole: bool = False) -> TokenCursor:
        """Return the requested page of a listing by tokens: without `limit` all, if `whole`.

        According to the SDK, a page without `limit` has all rate limits, or 20 spend limits.
        """
        limit = None if whole and self.one("limit") is None else self.limit()
        return TokenCursor(limit, self.one("page"))

    def walk(self, path: str) -> str:
        """Return the listing at a path that this query walks over, by a name with its filters.

        The token of its page, if it has one, is from now on as the listing has made it. Raises
        `InvalidRequestError` for one of another listing.
        """
        filters = {
            (name, value)
            for name, values in self._values.items()
            if name not in BY_TOKENS
            for value in values
        }
        listing = f"{path}?{urlencode(sorted(filters))}"
        if token := self.one("page"):
            self._values["page"] = [unbind_token(token, listing)]
        return listing


NOTHING = Query({}, ())


def _either(options: Collection[str]) -> str:
    *most, last = map(repr, options)
    return f"{', '.join(most)} or {last}" if most else last
