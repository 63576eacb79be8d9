"""What `antiphon doctor` says of addresses: the port of the server, and a Valkey server."""

import socket
from collections.abc import Iterator
from typing import Any, Final

import uvloop

from antiphon.cli.doctor.finding import Finding, ok, problem, told
from antiphon.server.run import ServeError, address_of, bind
from antiphon.settings import Settings
from antiphon.store.database.instance_lock import holder_of
from antiphon.store.valkey import ValkeyAwayError, ValkeySetupError, connect

PATIENCE_S: Final = 5.0


def check_port(settings: Settings) -> Finding:
    """Look whether a server could listen on its address, without listening on it."""
    address = address_of(settings.host, settings.port)
    holder = holder_of(settings.data_dir)
    if holder is not None and holder.address == address:
        return ok("port", f"a server (process {holder.process}) listens on {address}")
    try:
        bind(settings.host, settings.port, _bound).close()
    except ServeError as error:
        return told("port", str(error), "choose another port with --port")
    return ok("port", f"{address} is free" if settings.port else "any free one is taken")


def _bound(address: tuple[str, int], *, family: int, **_: Any) -> socket.socket:
    """Bind a socket as a server does, without listening: nobody can connect to it."""
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except BaseException:
        found.close()
        raise
    return found


def check_valkey(settings: Settings) -> Iterator[Finding]:
    """Look whether the Valkey server answers, if there is one in the settings."""
    if settings.counters_url is None:
        return
    mend = f"start it, or correct {settings.counters_url.place or 'counters_url'}"
    try:
        uvloop.run(_ask(settings.counters_url.reveal()))
    except (ValkeyAwayError, ValkeySetupError) as error:
        yield problem("valkey", str(error), mend)
    else:
        yield ok("valkey", "it answers")


async def _ask(url: str) -> None:
    server = connect(url, name="antiphon", patience_s=PATIENCE_S)
    try:
        async with server.asking():
            await server.client.ping()
    finally:
        await server.aclose()
