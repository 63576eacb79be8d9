"""Query strings, read as strictly as bodies: what nobody knows is refused by name."""

import re
from collections.abc import Collection, Mapping, Sequence

from antiphon.core.errors import InvalidRequestError
from antiphon.core.pagination import IdCursor, TokenCursor, page_limit
from antiphon.core.validation.versions import NEWEST, OLDEST
from antiphon.server.http.encodings import charset_of, decoded
from antiphon.server.http.exchange import Exchange
from antiphon.settings import Settings
from antiphon.wire.messages import SAMPLING

# Older SDKs add it to calls of a beta; it asks for nothing.
_IGNORED = frozenset({"beta"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Query:
    """The parameters of one request. Raises `InvalidRequestError` for those that are not `known`.

    A list is written `name[]=a&name[]=b`, or without the brackets.
    """

    def __init__(self, values: Mapping[str, Sequence[str]], known: Collection[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for written, found in values.items():
            name = written.removesuffix("[]")
            if name in _IGNORED:
                continue
            if name not in known:
                raise InvalidRequestError(f"{name}: Extra inputs are not permitted")
            if not all(value.isprintable() for value in found):
                raise InvalidRequestError(f"{name}: Input should be printable characters")
            self._values.setdefault(name, []).extend(found)

    def one(self, name: str) -> str | None:
        """Return the value of a parameter; an empty one is none."""
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
        """Return how many are wanted on a page: 1 to 1000, 20 when absent."""
        return page_limit(self.one("limit"))

    def by_ids(self) -> IdCursor:
        """Return which page is wanted of a listing by ids."""
        return IdCursor(self.limit(), self.one("after_id"), self.one("before_id"))

    def by_tokens(self, *, whole: bool = False) -> TokenCursor:
        """Return which page is wanted of a listing by tokens: without `limit` all, if `whole`."""
        limit = None if whole and self.one("limit") is None else self.limit()
        return TokenCursor(limit, self.one("page"))


def _either(options: Collection[str]) -> str:
    *most, last = map(repr, options)
    return f"{', '.join(most)} or {last}" if most else last


# The versions that are served, and the parameters of a message that each has no longer.
VERSIONS = {OLDEST: (), NEWEST: SAMPLING}
BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")


def read_version(exchange: Exchange) -> str:
    """Return the version that a request speaks. Raises `InvalidRequestError`."""
    version = exchange.header(b"anthropic-version")
    if version is None:
        raise InvalidRequestError("anthropic-version: header is required")
    if version not in VERSIONS:
        raise InvalidRequestError(f'anthropic-version: "{version}" is not a valid version')
    check_betas(exchange.header(b"anthropic-beta"))
    return version


async def read_body(exchange: Exchange, settings: Settings) -> bytes:
    """Read a request's body as UTF-8, whatever it was sent as."""
    limit = settings.max_body_bytes
    encoding = exchange.header(b"content-encoding")
    charset = charset_of(exchange.header(b"content-type"))
    body = await exchange.body(limit, settings.request_timeout_s)
    if encoding is not None:
        body = await decoded(body, encoding, limit)
    return body if charset is None else body.decode(charset).encode()


def check_betas(header: str | None) -> None:
    """Take any names of beta features, known or not: what they ask for stands in the request.

    Claude Code sends names that change monthly, so only what cannot be a name is refused.
    """
    if header is None:
        return
    wrong = [name for one in header.split(",") if (name := one.strip()) and not BETA.match(name)]
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        raise InvalidRequestError(
            f"Unexpected value(s) {names} for the `anthropic-beta` header. Please consult our "
            "documentation at platform.claude.com/docs or try again without the header."
        )
