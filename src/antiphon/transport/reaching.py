"""How a connection is made on an event loop."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from antiphon.transport import texts
from antiphon.transport.answer import AnswerReader, tunnel_fault
from antiphon.transport.base import ProtocolError
from antiphon.transport.link import AT_ONCE, Link
from antiphon.transport.requests import write_connect
from antiphon.transport.sockets import Address, in_turn, new_socket
from antiphon.transport.targets import Origin
from antiphon.transport.ways import Way, Ways

STAGGER_S: Final = 0.25
"""How long an address is tried before the next one is tried beside it (RFC 8305)."""


async def reach(
    way: Way,
    ways: Ways,
    timeout: float | None,  # noqa: ASYNC109 - as in `Transport`
    make: Callable[[], Link],
) -> Link:
    """Connect to where a way leads. Raises `ConnectError`."""
    if timeout is not None and timeout <= 0:
        raise texts.connect_timeout(way, timeout)
    try:
        async with asyncio.timeout(timeout):
            return await _reach(way, ways, make)
    except ssl.SSLError as error:
        raise texts.insecure(way.origin, error) from error
    except OSError as error:
        if texts.ran_out(error):
            raise texts.connect_timeout(way, timeout) from None
        raise texts.unreachable(way, error) from error


async def _reach(way: Way, ways: Ways, make: Callable[[], Link]) -> Link:
    loop = asyncio.get_running_loop()
    link = await _connected(loop, await _addresses(loop, way.server))
    try:
        if way.tunnelled:
            await _tunnel(loop, link, way)
        secure = way.origin.secure
        _, made = await loop.create_connection(
            make,
            sock=link,
            ssl=ways.context() if secure else None,
            server_hostname=way.origin.host if secure else None,
        )
    except BaseException:
        link.close()
        raise
    return made


async def _addresses(loop: asyncio.AbstractEventLoop, server: Origin) -> list[Address]:
    host, port, kind = server.host, server.port, socket.SOCK_STREAM
    try:  # an address needs no look-up, and so no thread
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        pass
    else:
        return [(socket.AF_INET, (host, port))]
    try:  # as that of another kind, which may be written in several ways
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, type=kind)
    return in_turn([(family, address) for family, _, _, _, address in found])


async def _connected(loop: asyncio.AbstractEventLoop, found: list[Address]) -> socket.socket:
    """Return the first connection that is made; each address gets a start before the next."""
    if len(found) == 1:
        return await _one(loop, found[0])
    waiting = list(found)
    trying: set[asyncio.Task[socket.socket]] = set()
    last: BaseException = OSError("it has no address")
    try:
        while waiting or trying:
            if waiting:
                trying.add(loop.create_task(_one(loop, waiting.pop(0))))
            done, _ = await asyncio.wait(
                trying,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                trying.discard(task)
                if (error := task.exception()) is None:
                    return task.result()
                last = error
    finally:
        await _abandon(trying)
    raise last


async def _abandon(trying: set[asyncio.Task[socket.socket]]) -> None:
    for task in trying:
        task.cancel()
    for made in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(made, socket.socket):
            made.close()


async def _one(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    link = new_socket(address[0])
    try:
        link.settimeout(0)
        await loop.sock_connect(link, address[1])
    except BaseException:
        link.close()
        raise
    return link


async def _tunnel(loop: asyncio.AbstractEventLoop, link: socket.socket, way: Way) -> None:
    """Have the proxy open a tunnel. The client speaks first in it: nothing follows."""
    headers = () if way.proxy is None else way.proxy.headers
    await loop.sock_sendall(link, write_connect(way.origin.authority, headers))
    reader = AnswerReader()
    reader.begin("CONNECT")
    while not reader.head_ready:
        data = await loop.sock_recv(link, AT_ONCE)
        if not data:
            raise texts.no_tunnel(way, "it ended the connection")
        try:
            reader.feed(data)
        except ProtocolError as error:
            raise texts.no_tunnel(way, str(error)) from None
    if (what := tunnel_fault(reader)) is not None:
        raise texts.no_tunnel(way, what)
