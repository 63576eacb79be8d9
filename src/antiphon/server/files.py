"""`/v1/files`: upload, list, show, download, delete."""

from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import quote

from antiphon.core.errors import InvalidRequestError
from antiphon.core.files import described, described_in_beta
from antiphon.core.pagination import cut_page
from antiphon.core.upload_form import UploadForm
from antiphon.server.http.encodings import decoded_pieces
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.hang_ups import HangUps
from antiphon.server.http.requests import Request
from antiphon.service.files.files import owner_of
from antiphon.service.platform import Platform
from antiphon.wire.files import (
    FILES_BETA,
    BetaFileMetadata,
    BetaFilePage,
    DeletedFile,
    FileMetadata,
    FilePage,
)

FILE_QUERY: Final = ("limit", "page", "after_id", "before_id", "ids", "scope_id")
FRAME_BYTES: Final = 64 * 1024
"""What the form of an upload may have besides the content of the file."""


class FileEndpoints:
    """The endpoints of files, over one platform."""

    def __init__(self, platform: Platform) -> None:
        self._files = platform.files
        self._settings = platform.settings
        self._hang_ups = HangUps()

    async def upload(self, request: Request[None]) -> FileMetadata | BetaFileMetadata:
        exchange, settings = request.exchange, self._settings
        form = UploadForm(exchange.header(b"content-type"))
        file = await self._files.upload(
            owner_of(request.caller),
            request.actor,
            form,
            _pieces(
                exchange,
                settings.max_file_bytes + FRAME_BYTES,
                settings.request_timeout_s,
                request.share.hold,
            ),
            request.share.hold,
        )
        return described_in_beta(file) if _is_beta(exchange) else described(file)

    async def list_files(self, request: Request[None]) -> FilePage | BetaFilePage:
        query, workspace = request.query, owner_of(request.caller).workspace_id
        if query.one("scope_id") is not None:
            # Sessions make files of a scope, and there are none here.
            found = BetaFilePage(data=(), has_more=False, first_id=None, last_id=None)
            return found if _is_beta(request.exchange) else FilePage(data=(), next_page=None)
        if _is_beta(request.exchange):
            return await self._page_of_beta(request)
        if ids := query.many("ids"):
            if query.one("limit") is not None or query.one("page") is not None:
                raise InvalidRequestError("ids: Input should not be given with `limit` or `page`")
            those = await self._files.those(workspace, ids)
            return FilePage(data=tuple(map(described, those)), next_page=None)
        cursor = query.by_tokens()
        files = await self._files.page(workspace, cursor)
        shown, following = cut_page(files, cursor.size, lambda one: (one.created_at, one.id))
        return FilePage(data=tuple(map(described, shown)), next_page=following)

    async def _page_of_beta(self, request: Request[None]) -> BetaFilePage:
        workspace = owner_of(request.caller).workspace_id
        found = await self._files.page_by_ids(workspace, request.query.by_ids())
        data = tuple(map(described_in_beta, found.records))
        return BetaFilePage(
            data=data,
            has_more=found.has_more,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
        )

    async def show(self, request: Request[None]) -> FileMetadata | BetaFileMetadata:
        workspace = owner_of(request.caller).workspace_id
        file = await self._files.show(workspace, request.path("file_id"))
        return described_in_beta(file) if _is_beta(request.exchange) else described(file)

    async def delete(self, request: Request[None]) -> DeletedFile:
        wanted = request.path("file_id")
        await self._files.delete(owner_of(request.caller), request.actor, wanted)
        return DeletedFile(id=wanted)

    async def download(self, request: Request[None]) -> None:
        exchange, workspace = request.exchange, owner_of(request.caller).workspace_id
        content = await self._files.download(workspace, request.path("file_id"))
        # A browser that is signed in to the Console must not run what anybody has uploaded.
        name = quote(content.file.filename, safe="")
        exchange.headers |= {
            "content-disposition": f"attachment; filename*=UTF-8''{name}",
            "content-security-policy": "sandbox",
            "x-content-type-options": "nosniff",
        }
        # Without it the content for a caller who has left would be read to the end.
        with self._hang_ups.stopping(exchange):
            await _write(exchange, content.file.mime_type, content.chunks())


async def _write(exchange: Exchange, mime_type: str, chunks: AsyncIterator[bytes]) -> None:
    await exchange.start_parts(mime_type)
    if exchange.scope["method"] != "HEAD":
        async for chunk in chunks:
            await exchange.write(chunk)
    await exchange.write(b"", more=False)


def _pieces(
    exchange: Exchange, limit: int, patience_s: float, hold: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """Return the body of at most `limit` bytes as it arrives, as bytes whatever its charset."""
    encoding = exchange.header(b"content-encoding") or ""
    return decoded_pieces(exchange.pieces(limit, patience_s), encoding, limit, hold)


def _is_beta(exchange: Exchange) -> bool:
    """Return whether the client names the beta, and expects its shapes."""
    named = exchange.header(b"anthropic-beta") or ""
    return FILES_BETA in {one.strip() for one in named.split(",")}
