"""The tools that reach the web, as the settings have them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from antiphon.core.moments import EPOCH
from antiphon.core.prompt import WebFetchTool, WebSearchTool
from antiphon.service.content.file_reader import FileReader
from antiphon.service.server_tools.loop import ServerToolRunner
from antiphon.service.server_tools.web.opened import WebResults
from antiphon.service.server_tools.web.seals import Seals, is_installed
from antiphon.settings import SettingsError
from antiphon.web_settings import WebSettings

if TYPE_CHECKING:
    # These import an HTTP client, and by default nothing is fetched.
    from antiphon.service.content.web import Web
    from antiphon.service.server_tools.web.backends import WebSearchBackend


def no_web_tools() -> "WebTools":
    """Return tools that are not set."""
    return WebTools(WebSettings(), FileReader(), lambda: EPOCH, results=WebResults(None))


class WebTools:
    """Makes the runners of `web_search` and `web_fetch`, which are `unavailable` until set."""

    def __init__(  # noqa: PLR0913 - the parts of two tools
        self,
        settings: WebSettings,
        file_reader: FileReader,
        now: Callable[[], datetime],
        *,
        results: WebResults,
        backend: "WebSearchBackend | None" = None,
        web: "Web | None" = None,
    ) -> None:
        self.results = results
        # Of a search, in nano-dollars. Each request asks for it, and it is made of a decimal.
        self.search_price = settings.search_price
        self._settings = settings
        self._file_reader = file_reader
        self._now = now
        self._backend = backend
        self._turns: asyncio.Semaphore | None = None
        self._web = web

    def search(
        self,
        tool: WebSearchTool,
        salt: str,
        hold: Callable[[], Awaitable[bool]],
        record: Callable[[], None],
    ) -> ServerToolRunner:
        """Return the searches of one answer, for the workspace of this salt.

        `hold` is asked for the money of each one, and `record` notes each that was made.
        """
        from antiphon.service.server_tools.web.search import SearchCharge, WebSearch  # noqa: PLC0415 - HTTP

        most = self._settings.results
        charge = SearchCharge(hold, record)
        return WebSearch(tool, self._backend, self.results, salt, most=most, charge=charge)

    def fetch(self, tool: WebFetchTool) -> ServerToolRunner:
        """Return the fetches of one answer."""
        from antiphon.service.server_tools.web.fetch import READERS, WebFetch  # noqa: PLC0415 - HTTP

        if self._turns is None:
            self._turns = asyncio.Semaphore(READERS)
        most = self._settings.fetch_bytes
        reader, turns = self._file_reader, self._turns
        return WebFetch(tool, self._web, reader, self._now, most, turns=turns)


def web_tools_of(  # noqa: PLR0913 - the parts of two tools
    settings: WebSettings,
    signing_key: bytes,
    entropy: Callable[[int], bytes],
    file_reader: FileReader,
    now: Callable[[], datetime],
    *,
    web: "Web | None",
) -> WebTools:
    """Return the tools of these settings; `web` is what fetches pages, if they are to be fetched.

    Raises `SettingsError` without the library for seals.
    """
    backend = None
    if settings.search is not None:
        from antiphon.service.server_tools.web.backends import WebSearchBackend  # noqa: PLC0415

        if not is_installed():
            raise SettingsError(
                "web.search needs a library that seals results: pip install 'antiphon[server,web]'"
            )
        backend = WebSearchBackend(settings)
    web = web if settings.fetch else None
    seals = Seals(signing_key, entropy) if is_installed() else None
    return WebTools(settings, file_reader, now, results=WebResults(seals), backend=backend, web=web)
