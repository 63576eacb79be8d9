"""Fetches the URLs of callers, only from the public Internet.

A name is resolved once, all of its addresses must be public, and the connection goes to one of
them: a DNS answer that changes after the check has no effect. Each redirect is checked in the same
way. The caller gets the same message for every failure, so it reveals nothing behind a firewall.
"""

import asyncio
import re
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
LOOK_UPS: Final = 2
"""Names that are looked up at once. The system has four threads for the names of the whole server,
and a slow name server of a stranger keeps one for half a minute, also when nobody waits any more.
"""
HEADERS: Final = {"User-Agent": "antiphon", "Accept": "*/*", "Accept-Encoding": "identity"}
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class UnfetchableError(Exception):
    """A URL that cannot or must not be fetched. The message is for the caller of the API."""

    is_too_large = False


class TooLargeError(UnfetchableError):
    """A file that has more bytes than may be fetched."""

    is_too_large = True


class ForbiddenUrlError(UnfetchableError):
    """A URL, or a redirect to one, that the caller does not permit."""


class FetchedBody(msgspec.Struct, frozen=True):
    """The body behind a URL, with the type that its server states."""

    body: bytes
    media_type: str
    charset: str | None


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name from the system; an address resolves to itself."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Web:
    """A client for the public Internet. `allows` returns whether an address may be used."""

    def __init__(
        self, look_up: LookUp = look_up, allows: Callable[[str], bool] = is_public
    ) -> None:
        self._look_up = look_up
        self._allows = allows
        self._turns = asyncio.Semaphore(LOOK_UPS)
        self._looking_up: set[asyncio.Task[list[str]]] = set()

    async def get(
        self, address: str, most: int, permits: Callable[[str], bool] = lambda _: True
    ) -> FetchedBody:
        """Fetch at most `most` bytes. Raises `UnfetchableError`; the caller bounds the time.

        `permits` is asked for each URL before it is fetched, also for those of redirects, in the
        form of `as_fetched`; a `ForbiddenUrlError` is for one that it does not permit.
        """
        try:
            async with _session() as session:
                return await self._follow(session, _target(address), most, permits)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnfetchableError(FAILED) from error

    async def _follow(
        self,
        session: aiohttp.ClientSession,
        target: URL,
        most: int,
        permits: Callable[[str], bool],
    ) -> FetchedBody:
        for _ in range(1 + MOST_REDIRECTS):
            if not permits(str(target)):
                raise ForbiddenUrlError(FAILED)
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
        """Return the addresses of a URL's host. Raises if any of them is not public."""
        addresses = await self._looked_up(target.raw_host or "", target.port or 0)
        if not addresses or not all(map(self._allows, addresses)):
            raise UnfetchableError(FAILED)
        return addresses

    async def _looked_up(self, host: str, port: int) -> list[str]:
        """Look up a name in its turn, which ends with the look-up, not with its caller."""
        await self._turns.acquire()
        task = asyncio.ensure_future(self._look_up(host, port))
        self._looking_up.add(task)
        task.add_done_callback(self._end_turn)
        return await asyncio.shield(task)

    def _end_turn(self, task: "asyncio.Task[list[str]]") -> None:
        self._turns.release()
        self._looking_up.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, as its caller may be gone


async def _ask(session: aiohttp.ClientSession, target: URL, address: str) -> aiohttp.ClientResponse:
    """Send the request for a URL to the server at an address."""
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
        # A proxy would resolve the name again, and may reach private addresses.
        trust_env=False,
        # A compressed kilobyte can expand to a gigabyte.
        auto_decompress=False,
    )


def as_fetched(address: str) -> str:
    """Return the URL that is fetched for one that somebody wrote. Raises `UnfetchableError`.

    Its host is in ASCII, its path has no `..`, and there is no fragment. Whoever decides about a
    URL decides about this one: two readers of one text may find two hosts in it.
    """
    return str(_target(address))


def _target(address: str) -> URL:
    """Parse a URL. Raises `UnfetchableError` with the fault."""
    try:
        target = URL(address).with_fragment(None)
    except ValueError as error:
        raise UnfetchableError("This is not a URL.") from error
    if target.scheme not in {"http", "https"} or not target.raw_host:
        raise UnfetchableError("Only http and https URLs are fetched.")
    if _HOST.fullmatch(target.raw_host) is None:
        # Such as `%65vil.example`, which no name server knows, but some reader may decode.
        raise UnfetchableError("This is not a URL.")
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
            raise TooLargeError(f"The file has more than {most} bytes.")
    return FetchedBody(bytes(body), response.content_type, response.charset)
