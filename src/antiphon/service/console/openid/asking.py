"""Asks a provider over HTTP: small answers, in little time, from no other address than the one.

An address of the settings, or one that the provider has named, may lie in a private network: the
operator has chosen it. What comes from there is bounded all the same, and never followed.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from antiphon.core.openid.addresses import is_safe
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    import aiohttp

LARGEST_ANSWER: Final = 256 * 1024
PATIENCE_S: Final = 10.0
CONNECT_S: Final = 5.0
_SUCCESS: Final = 200
_FIRST_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
HEADERS: Final = {
    "User-Agent": "antiphon",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


class ProviderError(Exception):
    """The provider answers as none does; the reason is for the log of the operator."""


class ProviderAwayError(ProviderError):
    """The provider does not answer, or not now."""


class ProviderRefusedError(ProviderError):
    """The provider refuses a request. `code` is the one of OAuth, such as `invalid_grant`."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the provider refuses: {status} {code}".rstrip())
        self.code = code


async def ask_json(
    address: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> dict[str, Any]:
    """Return the JSON object at an address; with a form, by POST. Raises `ProviderError`."""
    if not is_safe(address):
        raise ProviderError(f"{shortened(address)} is neither https nor on this machine")
    # Only those who sign in this way need it, and its import takes 160 ms.
    import aiohttp  # noqa: PLC0415

    try:
        async with asyncio.timeout(patience_s), _session(aiohttp) as session:
            method = "GET" if form is None else "POST"
            async with session.request(
                method, address, data=form, headers=headers, allow_redirects=False
            ) as answer:
                body = await _read(answer)
                return _object(answer.status, body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise ProviderAwayError(f"{shortened(address)}: {reason}") from error
    except ValueError as error:
        raise ProviderError(f"{shortened(address)} is no address: {error}") from error


def _session(http: Any) -> "aiohttp.ClientSession":
    session: aiohttp.ClientSession = http.ClientSession(
        headers=HEADERS,
        connector=http.TCPConnector(force_close=True),
        timeout=http.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=http.DummyCookieJar(),
        # A compressed kilobyte can expand to a gigabyte.
        auto_decompress=False,
    )
    return session


async def _read(answer: "aiohttp.ClientResponse") -> bytes:
    body = bytearray()
    while part := await answer.content.readany():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ProviderError(f"its answer has more than {LARGEST_ANSWER} bytes")
    return bytes(body)


def _object(status: int, body: bytes) -> dict[str, Any]:
    if status >= _FIRST_SERVER_ERROR or status == _TOO_MANY:
        raise ProviderAwayError(f"the provider answers {status}")
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if status != _SUCCESS:
        code = found.get("error") if isinstance(found, dict) else None
        raise ProviderRefusedError(status, shortened(code) if isinstance(code, str) else "")
    if not isinstance(found, dict):
        raise ProviderError("its answer is no JSON object")
    return found
