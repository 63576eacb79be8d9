"""The requests that endpoints get: caller, version, query, decoded body, parts of the path.

This module also reads the version and the betas from the head, and the body as UTF-8.
"""

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

import msgspec

from antiphon.core.errors import InvalidRequestError
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.core.validation.bodies import BETA_NAME, VERSIONS
from antiphon.server.http.body_budget import BodyShare
from antiphon.server.http.encodings import charset_of, decoded, decoded_pieces
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.queries import Query
from antiphon.service.access import Caller
from antiphon.service.admin.transactions import USER, Actor
from antiphon.service.background import offload
from antiphon.settings import Settings
from antiphon.wire.base import BETAS
from antiphon.wire.decoding import NO_BETAS
from antiphon.wire.errors import shortened

P = TypeVar("P")


class Request(msgspec.Struct, Generic[P], frozen=True):
    """One authenticated and decoded request.

    `params` is the decoded body, `size` the number of bytes that it was decoded from, and `body`
    these bytes, which only routes for administrators keep. They are `None`, 0 and empty on a route
    without a body, whose handler may read one: `share` counts the bytes that it keeps. `listing` is
    what the query walks over by tokens, if it does.
    """

    exchange: Exchange
    caller: Caller
    version: str
    query: Query
    body: bytes
    size: int
    params: P
    share: BodyShare
    listing: str | None = None

    def path(self, name: str) -> str:
        """Return the part of the path with this name in the template."""
        value: str = self.exchange.scope["path_params"][name]
        return value

    @property
    def actor(self) -> Actor:
        """The admin key or the user of the request, as the author of a change."""
        session = self.caller.session
        if session is not None:
            return Actor(USER, session.user.id, self.exchange.request_id)
        return Actor("api_key", self.caller.key_id, self.exchange.request_id)

    @property
    def reach(self) -> Reach:
        """The part of the organization that the caller sees and changes."""
        session = self.caller.session
        return EVERYTHING if session is None else session.reach


def read_version(exchange: Exchange) -> str:
    """Return the API version of a request. Raises `InvalidRequestError`."""
    version = exchange.header(b"anthropic-version")
    if version is None:
        raise InvalidRequestError("anthropic-version: header is required")
    if version not in VERSIONS:
        raise InvalidRequestError(
            f'anthropic-version: "{shortened(version)}" is not a valid version'
        )
    return version


def read_betas(exchange: Exchange) -> frozenset[str]:
    """Return the betas of a request that have keys in bodies; see `wire.base.BetaValue`.

    Accepts any names of beta features, known or not: Claude Code sends names that change monthly.
    Only a text that cannot be a name is refused, by an `InvalidRequestError`.
    """
    header = exchange.header(b"anthropic-beta")
    if not header:
        return NO_BETAS
    names = [name for one in header.split(",") if (name := one.strip())]
    if wrong := [name for name in names if not BETA_NAME.match(name)]:
        refused = ", ".join(f"`{shortened(name)}`" for name in wrong)
        raise InvalidRequestError(
            f"Unexpected value(s) {refused} for the `anthropic-beta` header. Please consult our "
            "documentation at platform.claude.com/docs or try again without the header."
        )
    return BETAS.intersection(names)


async def read_body(exchange: Exchange, settings: Settings, share: BodyShare) -> bytes:
    """Read a request's body, and convert it to UTF-8 from its charset and encoding."""
    limit = settings.max_body_bytes
    encoding = exchange.header(b"content-encoding")
    charset = charset_of(exchange.header(b"content-type"))
    body = await exchange.body(limit, settings.request_timeout_s, share)
    if encoding is not None:
        body = await decoded(body, encoding, limit, share)
    if charset is None:
        return body
    converted = await offload(len(body), _in_utf8, body, charset)
    share.add(len(converted) - len(body))
    return converted


async def read_pieces(
    exchange: Exchange, limit: int, patience_s: float, hold: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """Yield a body of at most `limit` bytes as it arrives, in UTF-8 (see `Exchange.pieces`).

    `hold` gets the bytes that are kept before the first piece is yielded, and may raise.
    """
    encoding = exchange.header(b"content-encoding") or ""
    charset = charset_of(exchange.header(b"content-type"))
    pieces = exchange.pieces(limit, patience_s)
    async for piece in decoded_pieces(pieces, encoding, limit, hold):
        if charset is None:
            yield piece
        else:
            # A character of the charsets that are converted is one byte, so each piece is a text.
            yield await offload(len(piece), _in_utf8, piece, charset)


def _in_utf8(body: bytes, charset: str) -> bytes:
    return body.decode(charset).encode()
