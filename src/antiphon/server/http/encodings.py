"""Decodes bodies that are compressed or in another charset."""

import asyncio
import re
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from antiphon.core.errors import InvalidRequestError, RequestTooLarge
from antiphon.server.http.body_budget import BodyShare
from antiphon.wire.errors import shortened

# The size of the window, and the bit that makes zlib expect a gzip header.
GZIP = zlib.MAX_WBITS | 16
# How many times its size deflated data inflates to at most.
HIGHEST_RATIO = 1032
# The bytes of a body that is read in pieces that are inflated before anything else is done with it.
LOOK_AHEAD = 1024 * 1024
# The most members of a gzip body. Compressors of large files write one for 64 KiB or more.
MOST_MEMBERS = 10_000
# The most bytes that are inflated between two looks at the limits.
STEP = 1024 * 1024
# The pieces in which a member is fed to zlib: the first is about as long as an empty member.
SMALLEST_PIECE = 64
LARGEST_PIECE = 64 * 1024

CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE)
# UTF-8, and ASCII as a part of it, need no conversion.
CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii")),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1"), "iso-8859-1"),
}


def charset_of(content_type: str | None) -> str | None:
    """Return the charset of a body, `None` for UTF-8. The media type is not checked."""
    named = None if content_type is None else CHARSET.search(content_type)
    if named is None:
        return None
    try:
        return CHARSETS[named[1].lower()]
    except KeyError:
        raise InvalidRequestError(
            f"Content-Type charset '{shortened(named[1])}' is not supported. Send the body without "
            "one, or in 'utf-8', 'iso-8859-1' or 'us-ascii'.",
            error_code="unsupported_charset",
        ) from None


async def decoded(body: bytes, encoding: str, limit: int, share: BodyShare) -> bytes:
    """Decompress a body of at most `limit` bytes; `share` counts them. Raises `ApiError`."""
    if not _is_gzip(encoding):
        return body
    inflating = inflated_parts(body, limit)
    parts = []
    async for part in _in_thread(inflating):
        share.add(len(part))
        parts.append(part)
    return b"".join(parts)


async def decoded_pieces(
    pieces: AsyncIterator[bytes],
    encoding: str,
    limit: int,
    hold: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[bytes]:
    """Decompress a body of at most `limit` bytes as it arrives. Raises `ApiError`.

    A body whose first `LOOK_AHEAD` bytes inflate to more than `limit` is refused before any of it
    is yielded. `hold` gets the number of bytes that are kept meanwhile, and may raise. Memory
    besides: `LARGEST_PIECE` bytes and a piece as it has arrived, and `STEP` bytes of what these
    inflate to.
    """
    if not _is_gzip(encoding):
        async for piece in pieces:
            yield piece
        return
    inflater = Inflater(limit)
    async for piece in _measured(_joined(pieces), limit, hold):
        async for part in _in_thread(inflater.feed(piece)):
            yield part
    inflater.end()


async def _joined(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a body in pieces of `LARGEST_PIECE` bytes or more, but for the last one.

    A caller may send a byte at a time. A thread inflates each piece, and bytes that are kept as
    they have come take 20 times their size.
    """
    joined = bytearray()
    async for piece in pieces:
        if not joined and len(piece) >= LARGEST_PIECE:
            yield piece
            continue
        joined += piece
        if len(joined) >= LARGEST_PIECE:
            yield bytes(joined)
            joined.clear()
    if joined:
        yield bytes(joined)


async def _measured(
    pieces: AsyncIterator[bytes], limit: int, hold: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """Yield a body as it is, unless its first bytes inflate to more than `limit`.

    To inflate them costs a small part of what is done with their content.
    """
    first: deque[bytes] = deque()
    size = 0
    async for piece in pieces:
        first.append(piece)
        size += len(piece)
        hold(size)
        if size >= LOOK_AHEAD:
            break
    if size * HIGHEST_RATIO > limit:
        inflater = Inflater(limit)
        for piece in first:
            async for _ in _in_thread(inflater.feed(piece)):
                pass
    while first:
        yield first.popleft()
    async for piece in pieces:
        yield piece


def _is_gzip(encoding: str) -> bool:
    """Return whether a body is gzip, or else as it is. Raises `InvalidRequestError`."""
    match encoding.lower():
        case "" | "identity":
            return False
        case "gzip" | "x-gzip":
            return True
    raise InvalidRequestError(
        f"Content-Encoding '{shortened(encoding)}' is not supported. Send the body as it is, or "
        "with 'gzip'.",
        error_code="request_body_encoding_unsupported",
    )


async def _in_thread(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    # A few kilobytes may inflate to the limit, which would block all other requests.
    while part := await asyncio.to_thread(_at_once, parts):
        yield part


def _at_once(parts: Iterator[bytes]) -> bytes:
    """Return the next parts, until they are `STEP` bytes or more; nothing at the end."""
    taken, size = [], 0
    for part in parts:
        taken.append(part)
        size += len(part)
        if size >= STEP:
            break
    return b"".join(taken)


def inflated(body: bytes, limit: int) -> bytes:
    """Inflate gzip data, never more than one byte beyond `limit`. Raises `ApiError`."""
    return b"".join(inflated_parts(body, limit))


def inflated_parts(
    body: bytes, limit: int, new: Callable[[], Any] = lambda: zlib.decompressobj(GZIP)
) -> Iterator[bytes]:
    """Yield the parts into which gzip data inflates, as an `Inflater` does. Raises `ApiError`."""
    inflater = Inflater(limit, new)
    yield from inflater.feed(body)
    inflater.end()


class Inflater:
    """Inflates gzip data to at most `limit` bytes while it arrives.

    The time is linear in the bytes that go in and come out: `new` returns the decompressor of a
    member, which copies what is behind the member, so a member is fed in pieces that grow with it.
    """

    def __init__(
        self, limit: int, new: Callable[[], Any] = lambda: zlib.decompressobj(GZIP)
    ) -> None:
        self._room = limit + 1
        self._new = new
        self._member: Any = None
        self._members = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the parts of at most `STEP` bytes into which data inflates. Raises `ApiError`."""
        view, at = memoryview(data), 0
        while at < len(view):
            if self._member is None:
                self._begin()
            piece = view[at : at + self._size]
            at += len(piece)
            yield from self._inflated(piece)
            self._size = min(2 * self._size, LARGEST_PIECE)
            if self._member.eof:
                at -= len(self._member.unused_data)
                self._member = None

    def end(self) -> None:
        """Raise `InvalidRequestError` if the data is not complete."""
        if self._member is not None or not self._members:
            raise _invalid()

    def _begin(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise _invalid(f"It has more than {MOST_MEMBERS} members.")
        self._member, self._size = self._new(), SMALLEST_PIECE

    def _inflated(self, piece: memoryview | bytes) -> Iterator[bytes]:
        while piece:
            try:
                part = self._member.decompress(piece, min(self._room, STEP))
            except zlib.error as error:
                raise _invalid() from error
            self._room -= len(part)
            if not self._room:
                raise RequestTooLarge(error_code="request_body_too_large_after_decoding")
            if part:
                yield part
            piece = b"" if self._member.eof else self._member.unconsumed_tail


def _invalid(reason: str = "") -> InvalidRequestError:
    return InvalidRequestError(
        f"The request body is not valid gzip. {reason}".rstrip(),
        error_code="request_body_encoding_invalid",
    )
