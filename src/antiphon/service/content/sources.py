"""Replaces the URLs in a request by their content, before it is read."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError
from antiphon.core.validation.images import LARGEST_BASE64
from antiphon.service.content.filling import (
    Params,
    Wanted,
    blocks_from,
    image_source,
    with_blocks,
)
from antiphon.service.content.web import FetchedBody, UnfetchableError, Web
from antiphon.wire.content import (
    Base64PdfSource,
    BlockParam,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    UrlSource,
)

# By URL.
Bodies: TypeAlias = Mapping[str, FetchedBody]

LARGEST_IMAGE: Final = LARGEST_BASE64 // 4 * 3
MOST_URLS: Final = 100
AT_ONCE: Final = 4
PATIENCE_S: Final = 30.0
TOO_LARGE: Final = "The files together are too large."

CHARSETS: Mapping[str, str] = MappingProxyType(
    {
        "utf-8": "utf-8-sig",
        "us-ascii": "ascii",
        "iso-8859-1": "latin-1",
        "windows-1252": "cp1252",
        "utf-16": "utf-16",
    }
)
"""The codecs of texts. Some other codecs of Python take for ever on malicious texts."""


class UrlSources:
    """Fetches the URLs of requests, with at most `most` bytes and `patience_s` for a request."""

    def __init__(self, web: Web, most: int, patience_s: float = PATIENCE_S) -> None:
        self._web = web
        self._most = most
        self._patience_s = patience_s

    async def fetched(self, params: Params) -> Params:
        """Return the request without URLs; the request itself if it has none.

        Raises `InvalidRequestError` with the path of the block.
        """
        wanted = blocks_from(params, UrlSource)
        if not wanted:
            return params
        if len({_url(block) for _, block in wanted}) > MOST_URLS:
            raise InvalidRequestError(f"messages: A maximum of {MOST_URLS} URLs may be provided.")
        bodies = await self._all(wanted)
        # A URL that is named again and again is fetched once, and in the prompt as often.
        if sum(len(bodies[_url(block)].body) for _, block in wanted) > self._most:
            raise InvalidRequestError(f"messages: {TOO_LARGE}")
        filled = {id(block): _filled(block, bodies[_url(block)], path) for path, block in wanted}
        return with_blocks(params, filled)

    async def _all(self, wanted: Sequence[Wanted]) -> Bodies:
        first = {_url(block): (path, block) for path, block in reversed(wanted)}
        fetching = _Fetching(self._web, self._most)
        tasks = {url: asyncio.create_task(fetching.fetch(*one)) for url, one in first.items()}
        deadline = asyncio.get_running_loop().time() + self._patience_s
        try:
            for path, block in wanted:
                await self._arrival(tasks[_url(block)], path, deadline)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {url: task.result() for url, task in tasks.items()}

    async def _arrival(self, task: asyncio.Task[FetchedBody], path: str, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await task
        except TimeoutError as error:
            late = f"The file did not arrive within {self._patience_s:g} seconds."
            raise InvalidRequestError(f"{path}.source.url: {late}") from error


class _Fetching:
    """The downloads of one request, and the bytes left for it."""

    def __init__(self, web: Web, left: int) -> None:
        self._web = web
        self._left = left
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, path: str, block: ImageParam | DocumentParam) -> FetchedBody:
        own = LARGEST_IMAGE if isinstance(block, ImageParam) else self._left
        async with self._gate:
            try:
                fetched = await self._web.get(_url(block), min(own, self._left))
            except UnfetchableError as error:
                raise InvalidRequestError(f"{path}.source.url: {error}") from error
        self._left -= len(fetched.body)
        if self._left < 0:
            raise InvalidRequestError(f"{path}.source.url: {TOO_LARGE}")
        return fetched


def _url(block: ImageParam | DocumentParam) -> str:
    return cast("UrlSource", block.source).url


def _filled(block: ImageParam | DocumentParam, fetched: FetchedBody, path: str) -> BlockParam:
    if isinstance(block, ImageParam):
        return replace(block, source=image_source(fetched.body, path))
    return replace(block, source=_document(fetched, path))


def _document(fetched: FetchedBody, path: str) -> Base64PdfSource | PlainTextSource:
    match fetched.media_type:
        case "application/pdf":
            data = b64encode(fetched.body).decode()
            return Base64PdfSource(media_type="application/pdf", data=data)
        case "text/plain":
            return PlainTextSource(media_type="text/plain", data=_text(fetched, path))
    raise InvalidRequestError(
        f"{path}.source.url: The file must be of type application/pdf or text/plain."
    )


def _text(fetched: FetchedBody, path: str) -> str:
    charset = (fetched.charset or "utf-8").lower()
    codec = CHARSETS.get(charset)
    if codec is None:
        raise InvalidRequestError(
            f"{path}.source.url: The text must be in one of {', '.join(CHARSETS)}."
        )
    try:
        return fetched.body.decode(codec)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path}.source.url: The text is not {charset}.") from error
