"""Fetches what callers name by a URL, from the public Internet and from nowhere else.

A name is looked up once, all of its addresses must be public, and the connection goes to one of
them: an answer that changes between the check and the connection changes nothing. Each redirect is
checked in the same way. What a failure tells the caller is the same whatever failed, so that no one
learns from it what stands behind a firewall.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import aiohttp
import msgspec
from yarl import URL

from antiphon.service.content.addresses import is_public

LookUp: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

FAILED: Final = "Unable to download the file. Please verify the URL and try again."
MOST_REDIRECTS: Final = 3
CONNECT_S: Final = 5.0
HEADERS: Final = {"User-Agent": "antiphon", "Accept": "*/*", "Accept-Encoding": "identity"}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class UnfetchableError(Exception):
    """Nothing came, or nothing that may come. The message is for the caller of the API."""


class FetchedBody(msgspec.Struct, frozen=True):
    """The body behind a URL, and its type as its server names it."""

    body: bytes
    media_type: str
    charset: str | None


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name; an address is its own."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Web:
    """The Internet, as far as callers may have it read. `allows` says which addresses are of it."""

    def __init__(
        self, look_up: LookUp = look_up, allows: Callable[[str], bool] = is_public
    ) -> None:
        self._look_up = look_up
        self._allows = allows

    async def get(self, address: str, most: int) -> FetchedBody:
        """Fetch at most `most` bytes. Raises `UnfetchableError`; the caller bounds the time."""
        try:
            async with _session() as session:
                return await self._follow(session, _target(address), most)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnfetchableError(FAILED) from error

    async def _follow(self, session: aiohttp.ClientSession, target: URL, most: int) -> FetchedBody:
        for _ in range(1 + MOST_REDIRECTS):
            async with self._answer(session, target) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    return await _read(response, most)
                target = _target(str(target.join(URL(response.headers["Location"]))))
        raise UnfetchableError(f"The URL redirects more than {MOST_REDIRECTS} times.")

    @asynccontextmanager
    async def _answer(
        self, session: aiohttp.ClientSession, target: URL
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        async with await self._send(session, target) as response:
            yield response

    async def _send(self, session: aiohttp.ClientSession, target: URL) -> aiohttp.ClientResponse:
        *others, last = await self._addresses(target)
        for address in others:
            try:
                return await _ask(session, target, address)
            except aiohttp.ClientConnectorError:
                continue
        return await _ask(session, target, last)

    async def _addresses(self, target: URL) -> list[str]:
        """Look up where a URL leads. One address that is not public spoils the others."""
        addresses = await self._look_up(target.raw_host or "", target.port or 0)
        if not addresses or not all(map(self._allows, addresses)):
            raise UnfetchableError(FAILED)
        return addresses


async def _ask(session: aiohttp.ClientSession, target: URL, address: str) -> aiohttp.ClientResponse:
    """Ask the server at an address for what it has under a name."""
    return await session.get(
        target.with_host(address),
        headers={"Host": target.host_port_subcomponent or ""},
        server_hostname=target.raw_host,
        allow_redirects=False,
    )


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers=HEADERS,
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A proxy would look the name up again, and reaches what it likes.
        trust_env=False,
        # A kilobyte can unfold to a gigabyte.
        auto_decompress=False,
    )


def _target(address: str) -> URL:
    """Read a URL, or say what is wrong with it."""
    try:
        target = URL(address).with_fragment(None)
    except ValueError as error:
        raise UnfetchableError("This is not a URL.") from error
    if target.scheme not in {"http", "https"} or not target.raw_host:
        raise UnfetchableError("Only http and https URLs are fetched.")
    if target.raw_user is not None or target.raw_password is not None:
        raise UnfetchableError("The URL must not carry a user name or a password.")
    return target


async def _read(response: aiohttp.ClientResponse, most: int) -> FetchedBody:
    if response.status != 200:  # noqa: PLR2004 - nothing else is the file
        raise UnfetchableError(FAILED)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnfetchableError("The file comes compressed, and was asked for as it is.")
    body = bytearray()
    while part := await response.content.readany():
        body += part
        if len(body) > most:
            raise UnfetchableError(f"The file has more than {most} bytes.")
    return FetchedBody(bytes(body), response.content_type, response.charset)
