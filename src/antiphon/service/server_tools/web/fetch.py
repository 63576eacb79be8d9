"""`web_fetch`: the pages and PDFs that a conversation names, from the public Internet."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from antiphon.core.billing.reports import wire_time
from antiphon.core.errors import OverloadedError
from antiphon.core.prompt import Prompt, ServerResult, WebFetchTool
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.core.server_tools.urls import is_named
from antiphon.service.content.file_reader import BorrowedChild, FileReader, FileRefusedError
from antiphon.service.content.sources import CHARSETS
from antiphon.service.content.web import (
    FetchedBody,
    ForbiddenUrlError,
    UnfetchableError,
    Web,
    as_fetched,
)
from antiphon.wire.server_blocks import (
    CitationsBlock,
    DocumentBlock,
    PdfSourceBlock,
    TextSourceBlock,
    WebFetchErrorBlock,
    WebFetchErrorCode,
    WebFetchResultBlock,
    WebFetchToolResultBlock,
)

LONGEST_URL: Final = 2000
PATIENCE_S: Final = 30.0
READERS: Final = 1
"""The children that read what the web has sent, of those that there are for all files."""
READING_S: Final = 10.0
"""How long one may read a page. The parser takes longer for some texts that are made for that."""
MOST_TOKENS: Final = 100_000
"""What a page may have without `max_content_tokens`: about 400,000 characters."""
CHARACTERS_A_TOKEN: Final = 4
LONGEST_TITLE: Final = 500

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_PDF: Final = "application/pdf"
_TEXTS: Final = frozenset(
    {
        *("application/json", "application/xml", "application/javascript", "application/x-yaml"),
        *("application/ld+json", "application/rss+xml", "application/atom+xml"),
    }
)
# Of UTF-16, in either order.
_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class _RefusedError(Exception):
    def __init__(self, code: WebFetchErrorCode) -> None:
        super().__init__(code)
        self.code: WebFetchErrorCode = code


def _codec(fetched: FetchedBody) -> str:
    """Return how a text is decoded: as its server says, if that is known, else as UTF-8."""
    if fetched.body.startswith(_MARKS):
        return "utf-16"
    return CHARSETS.get((fetched.charset or "").lower(), "utf-8-sig")


class WebFetch:
    """The fetches of one answer. Without a `web` none is possible.

    `turns` are those of all answers: what the web sends may take its reader long, and the PDFs of
    callers need one too.
    """

    def __init__(  # noqa: PLR0913 - what a fetch needs
        self,
        tool: WebFetchTool,
        web: Web | None,
        file_reader: FileReader,
        now: Callable[[], datetime],
        most_bytes: int,
        *,
        turns: asyncio.Semaphore | None = None,
        reading_s: float = READING_S,
    ) -> None:
        self._tool = tool
        self._web = web
        self._file_reader = file_reader
        self._now = now
        self._most_bytes = most_bytes
        self._turns = turns or asyncio.Semaphore(READERS)
        self._reading_s = reading_s
        self._uses = 0

    async def run(self, call: ServerCall, prompt: Prompt) -> ServerResult:
        """Fetch, and return the page, or why there is none."""
        try:
            content: WebFetchResultBlock | WebFetchErrorBlock = await self._fetched(call, prompt)
        except _RefusedError as error:
            content = WebFetchErrorBlock(error_code=error.code)
        fetches = isinstance(content, WebFetchResultBlock)
        block = WebFetchToolResultBlock(tool_use_id=call.id, content=content)
        return ServerResult(block, fetches=fetches)

    async def _fetched(self, call: ServerCall, prompt: Prompt) -> WebFetchResultBlock:
        url = (call.input or {}).get("url")
        if not isinstance(url, str) or not url.strip() or self._tool.domains.fault:
            raise _RefusedError("invalid_tool_input")
        url = url.strip()
        if len(url) > LONGEST_URL:
            raise _RefusedError("url_too_long")
        if self._web is None:
            raise _RefusedError("unavailable")
        if self._tool.max_uses is not None and self._uses >= self._tool.max_uses:
            raise _RefusedError("max_uses_exceeded")
        if not self._permits(url):
            raise _RefusedError("url_not_allowed")
        if not is_named(url, prompt, self._tool.sources):
            raise _RefusedError("url_not_in_prior_context")
        self._uses += 1
        document = await self._document(url, await self._body(self._web, url))
        return WebFetchResultBlock(url=url, content=document, retrieved_at=wire_time(self._now()))

    def _permits(self, url: str) -> bool:
        """Return whether the caller allows a URL, by what would be fetched for it."""
        try:
            return self._tool.domains.permit(as_fetched(url))
        except UnfetchableError as error:
            raise _RefusedError("url_not_accessible") from error

    async def _body(self, web: Web, url: str) -> FetchedBody:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await web.get(url, self._most_bytes, self._tool.domains.permit)
        except ForbiddenUrlError as error:
            raise _RefusedError("url_not_allowed") from error
        except UnfetchableError as error:
            too_large = error.is_too_large
            raise _RefusedError(
                "content_too_large" if too_large else "url_not_accessible"
            ) from error
        except TimeoutError as error:
            raise _RefusedError("url_not_accessible") from error

    async def _document(self, url: str, fetched: FetchedBody) -> DocumentBlock:
        title = None
        if fetched.media_type == _PDF:
            data = b64encode(fetched.body).decode()
            await self._check_pdf(data)
            return self._made(PdfSourceBlock(data=data), None)
        if fetched.media_type in _PAGES:
            title, text = await self._page(url, fetched)
        elif fetched.media_type.startswith("text/") or fetched.media_type in _TEXTS:
            text = fetched.body.decode(_codec(fetched), "replace")
        else:
            raise _RefusedError("unsupported_content_type")
        most = (self._tool.max_content_tokens or MOST_TOKENS) * CHARACTERS_A_TOKEN
        source = TextSourceBlock(data=text[:most] or "(The page has no text.)")
        return self._made(source, title)

    def _made(self, source: TextSourceBlock | PdfSourceBlock, title: str | None) -> DocumentBlock:
        cited = CitationsBlock(enabled=True) if self._tool.cited else None
        return DocumentBlock(source=source, title=title or None, citations=cited)

    async def _check_pdf(self, data: str) -> None:
        """Read a PDF, as its text is read again with the prompt; it must not fail there."""
        async with self._child() as child:
            await child.text(data)

    async def _page(self, url: str, fetched: FetchedBody) -> tuple[str, str]:
        # As it is fetched it has no line breaks, which end it here.
        head = f"{as_fetched(url)}\n{fetched.charset or ''}\n".encode()
        data = b64encode(head + fetched.body).decode()
        async with self._child() as child:
            return await child.page(data)

    @asynccontextmanager
    async def _child(self) -> AsyncGenerator[BorrowedChild]:
        """Borrow a child in the turn of this fetch, for as long as a page may take."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise _RefusedError("too_many_requests") from error
        try:
            async with self._file_reader.borrow() as child, asyncio.timeout(self._reading_s):
                yield child
        except (FileRefusedError, TimeoutError) as error:
            raise _RefusedError("unsupported_content_type") from error
        except OverloadedError as error:
            raise _RefusedError("too_many_requests") from error
        finally:
            self._turns.release()
