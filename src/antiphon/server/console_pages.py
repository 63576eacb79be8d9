"""Serves the Console: the app's page for each of its addresses, and the files that it loads."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException

from antiphon.server.console_files import (
    ASSETS,
    FOLDER,
    INDEX,
    ConsoleFile,
    is_missing,
    read_files,
)
from antiphon.server.http.exchange import Exchange

HTML: Final = "text/html; charset=utf-8"
NOT_MODIFIED: Final = 304
UNAVAILABLE: Final = 503
# How long a page waits before it looks for the app again, in seconds.
LOOK_AGAIN_S: Final = 3

# The app loads its own files and asks this server, and nothing else. It has no script, no style and
# no style attribute in its text; what React sets at run time are properties, which are allowed. No
# form is ever sent by the browser itself: so a broken script cannot put a password into an address.
POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
# For the pages without the app.
PLAIN_POLICY: Final = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
GUARDS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# A browser asks each time whether the page is still the same: it names the files of an upgrade.
ASK_EACH_TIME: Final = "no-cache"
FOR_EVER: Final = "public, max-age=31536000, immutable"

_PLAIN_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{more}<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{text}
</body>
</html>
"""
BUILDING: Final = _PLAIN_PAGE.format(
    more=f'<meta http-equiv="refresh" content="{LOOK_AGAIN_S}">\n',
    title="The Console is being built",
    text="<p>The API is served already. The first build takes about a minute. "
    "This page looks again every few seconds.</p>\n"
    "<p>If nothing builds it: <code>make console</code> does, in the folder of the sources.</p>",
).encode()
MISSING: Final = _PLAIN_PAGE.format(
    more="",
    title="This installation has no Console",
    text="<p>It could not be built. The reason is in the file "
    "<code>console_app/missing.txt</code> of the package <code>antiphon</code>.</p>\n"
    "<p>The API is served as always.</p>",
).encode()


class ConsolePages:
    """Serves the built app. Its files are read at the first request after they are there."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files: Mapping[str, ConsoleFile] = {}
        self._reading = asyncio.Lock()

    async def page(self, exchange: Exchange) -> None:
        """Answer with the app: it shows the page of the address itself."""
        await self._send_page(exchange, await self._read())

    async def below(self, exchange: Exchange) -> None:
        """Answer with the file that a path below `/console/` names, and else with the app."""
        path: str = exchange.scope["path_params"]["path"]
        files = await self._read()
        if path in files and path != INDEX:
            await self._send(exchange, files[path], FOR_EVER if path.startswith(ASSETS) else None)
        elif path.startswith(ASSETS):
            # A file of another build. With the page in its place, the browser would run HTML.
            exchange.headers |= {**GUARDS, "cache-control": "no-store"}
            raise HTTPException(404)
        else:
            await self._send_page(exchange, files)

    async def _read(self) -> Mapping[str, ConsoleFile]:
        if not self._files:
            async with self._reading:
                if not self._files:
                    self._files = await asyncio.to_thread(read_files, self._folder)
        return self._files

    async def _send_page(self, exchange: Exchange, files: Mapping[str, ConsoleFile]) -> None:
        if files:
            exchange.headers["content-security-policy"] = POLICY
            await self._send(exchange, files[INDEX], None)
            return
        missing = await asyncio.to_thread(is_missing, self._folder)
        exchange.headers |= {
            **GUARDS,
            "content-security-policy": PLAIN_POLICY,
            "cache-control": "no-store",
        }
        await exchange.send_whole(UNAVAILABLE, HTML, MISSING if missing else BUILDING)

    async def _send(self, exchange: Exchange, file: ConsoleFile, keep: str | None) -> None:
        exchange.headers |= {
            **GUARDS,
            "cache-control": keep or ASK_EACH_TIME,
            "etag": file.tag,
            "vary": "accept-encoding",
        }
        if file.tag in (exchange.header(b"if-none-match") or ""):
            await exchange.send_nothing(NOT_MODIFIED)
            return
        coding, content = file.in_coding(exchange.header(b"accept-encoding") or "")
        if coding:
            exchange.headers["content-encoding"] = coding
        await exchange.send_whole(200, file.content_type, content)
