"""Decodes bodies that are compressed or in another charset."""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from antiphon.core.errors import InvalidRequestError, RequestTooLarge
from antiphon.server.http.body_budget import BodyShare
from antiphon.wire.errors import shortened

# The size of the window, and the bit that makes zlib expect a gzip header.
GZIP = zlib.MAX_WBITS | 16
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
    match encoding.lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            # A few kilobytes may inflate to the limit, which would block all other requests.
            inflating = inflated_parts(body, limit)
            parts = []
            while part := await asyncio.to_thread(_at_once, inflating):
                share.add(len(part))
                parts.append(part)
            return b"".join(parts)
    raise InvalidRequestError(
        f"Content-Encoding '{shortened(encoding)}' is not supported. Send the body as it is, or "
        "with 'gzip'.",
        error_code="request_body_encoding_unsupported",
    )


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
    """Yield the parts of at most `STEP` bytes into which gzip data inflates. Raises `ApiError`.

    The time is linear in the bytes that go in and come out: `new` returns the decompressor of a
    member, which copies what is behind the member, so a member is fed in pieces that grow with it.
    """
    if not body:
        raise _invalid()
    view, at, room, members = memoryview(body), 0, limit + 1, 0
    while at < len(view):
        members += 1
        if members > MOST_MEMBERS:
            raise _invalid(f"It has more than {MOST_MEMBERS} members.")
        gzip, size, rest = new(), SMALLEST_PIECE, b""
        while not gzip.eof:
            piece = rest or view[at : at + size]
            at += 0 if rest else len(piece)
            try:
                part = gzip.decompress(piece, min(room, STEP))
            except zlib.error as error:
                raise _invalid() from error
            rest, size = gzip.unconsumed_tail, min(2 * size, LARGEST_PIECE)
            room -= len(part)
            if not room:
                raise RequestTooLarge(error_code="request_body_too_large_after_decoding")
            if part:
                yield part
            elif not piece:
                raise _invalid()
        at -= len(gzip.unused_data)


def _invalid(reason: str = "") -> InvalidRequestError:
    return InvalidRequestError(
        f"The request body is not valid gzip. {reason}".rstrip(),
        error_code="request_body_encoding_invalid",
    )
