"""What every endpoint reads of a request: the version of the API that it speaks, and its body."""

import re

from antiphon.core.errors import InvalidRequestError
from antiphon.core.validation.versions import NEWEST, OLDEST
from antiphon.server.encodings import charset_of, decoded
from antiphon.server.exchange import Exchange
from antiphon.settings import Settings
from antiphon.wire.messages import SAMPLING

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
