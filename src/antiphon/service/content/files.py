"""Replaces the files that a request names by their content, before it is read."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError
from antiphon.core.files import (
    PDF,
    PLAIN,
    FileUse,
    StoredPdfSource,
    StoredTextSource,
    check_use,
)
from antiphon.core.validation.images import LARGEST_BASE64
from antiphon.service.access import RequestContext
from antiphon.service.background import offload
from antiphon.service.content.filling import (
    Params,
    Wanted,
    image_source,
    with_blocks,
)
from antiphon.service.files.files import Content, Files
from antiphon.wire.content import BlockParam, DocumentParam, FileSource, ImageParam

MOST_FILES: Final = 100
LARGEST_IMAGE: Final = LARGEST_BASE64 // 4 * 3

# By id.
Contents: TypeAlias = Mapping[str, bytes]


class FileSources:
    """Reads the files of requests: of each request at most `most` bytes."""

    def __init__(self, files: Files, most: int) -> None:
        self._files = files
        self._most = most

    async def filled(
        self, params: Params, named: Sequence[Wanted], context: RequestContext
    ) -> tuple[Params, int]:
        """Return the request with what is in its files, and how many bytes that are.

        `named` are the blocks that name them. The files are of the caller's workspace; `context`
        holds their bytes before they are read. Raises `InvalidRequestError` with the path of the
        block, `NotFoundError`, and `OverloadedError`.
        """
        caller = context.caller
        workspace_id = None if caller.in_default_workspace else caller.workspace_id
        found = await self._found(named, workspace_id)
        # One that is named again and again is in the prompt as often.
        size = sum(found[_file(block)].file.size_bytes for _, block in named)
        if size > self._most:
            raise InvalidRequestError(
                f"messages: The files together are too large: {size:,} bytes > {self._most:,} bytes"
            )
        # As base64, or as a text; and as they are while that is made of them.
        context.hold(3 * size)
        contents = {name: await content.whole() for name, content in found.items()}
        context.hold(await offload(size, _widened, named, contents, found))
        filled = await offload(context.size + size, _all_filled, params, named, contents, found)
        return filled, size

    async def _found(self, named: Sequence[Wanted], workspace_id: str | None) -> dict[str, Content]:
        found: dict[str, Content] = {}
        for path, block in named:
            name = _file(block)
            if name not in found:
                if len(found) == MOST_FILES:
                    raise InvalidRequestError(
                        f"messages: A maximum of {MOST_FILES} files may be provided."
                    )
                found[name] = await self._files.content(workspace_id, name)
            file = found[name].file
            use: FileUse = "image" if isinstance(block, ImageParam) else "document"
            check_use(file, use, path)
            if use == "image" and file.size_bytes > LARGEST_IMAGE:
                raise InvalidRequestError(
                    f"{path}.source.file: image exceeds 10 MB maximum: {file.size_bytes} bytes > "
                    f"{LARGEST_IMAGE} bytes"
                )
        return found


def _file(block: ImageParam | DocumentParam) -> str:
    return cast("FileSource", block.source).file_id


def _widened(named: Sequence[Wanted], contents: Contents, found: Mapping[str, Content]) -> int:
    """Return the bytes by which texts grow: Python keeps each as wide as its widest character."""
    texts = {name: data for name, data in contents.items() if found[name].file.mime_type == PLAIN}
    more = {name: (_width(data) - 1) * len(data) for name, data in texts.items()}
    return sum(more.get(_file(block), 0) for _, block in named)


def _width(text: bytes) -> int:
    """Return how many bytes a character of a text needs at most; four bytes begin with these."""
    if text.isascii():
        return 1
    return 4 if any(byte in text for byte in range(0xF0, 0xF5)) else 2


def _all_filled(
    params: Params,
    named: Sequence[Wanted],
    contents: Contents,
    found: Mapping[str, Content],
) -> Params:
    filled = {
        id(block): _filled(path, block, contents[_file(block)], found[_file(block)].file.mime_type)
        for path, block in named
    }
    return with_blocks(params, filled)


def _filled(
    path: str, block: ImageParam | DocumentParam, content: bytes, mime_type: str
) -> BlockParam:
    if isinstance(block, ImageParam):
        return replace(block, source=image_source(content, path))
    source = _pdf(block, content) if mime_type == PDF else _text(block, content, path)
    return replace(block, source=source)


def _pdf(block: DocumentParam, content: bytes) -> StoredPdfSource:
    data = b64encode(content).decode()
    return StoredPdfSource(media_type="application/pdf", data=data, file_id=_file(block))


def _text(block: DocumentParam, content: bytes, path: str) -> StoredTextSource:
    try:
        # A mark of the byte order at the beginning is no part of the text.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path}.source.file: The text is not UTF-8.") from error
    return StoredTextSource(media_type="text/plain", data=text, file_id=_file(block))
