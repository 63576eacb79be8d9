"""Decodes bodies that are compressed or in another charset."""

import asyncio
import re
import zlib

from antiphon.core.errors import InvalidRequestError, RequestTooLarge

# The size of the window, and the bit that makes zlib expect a gzip header.
GZIP = zlib.MAX_WBITS | 16


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
            f"Content-Type charset '{named[1]}' is not supported. Send the body without one, or in "
            "'utf-8', 'iso-8859-1' or 'us-ascii'.",
            error_code="unsupported_charset",
        ) from None


async def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompress a body of at most `limit` bytes. Raises `ApiError`."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            # A few kilobytes may inflate to the limit, which would block all other requests.
            return await asyncio.to_thread(inflated, body, limit)
    raise InvalidRequestError(
        f"Content-Encoding '{encoding}' is not supported. Send the body as it is, or with 'gzip'.",
        error_code="request_body_encoding_unsupported",
    )


def inflated(body: bytes, limit: int) -> bytes:
    """Inflate gzip data, never more than one byte beyond `limit`."""
    parts: list[bytes] = []
    room = limit + 1
    while body:
        gzip = zlib.decompressobj(GZIP)
        try:
            part = gzip.decompress(body, room)
        except zlib.error as error:
            raise _invalid() from error
        parts.append(part)
        room -= len(part)
        if not room:
            raise RequestTooLarge(error_code="request_body_too_large_after_decoding")
        if not gzip.eof:
            raise _invalid()
        body = gzip.unused_data
    if not parts:
        raise _invalid()
    return b"".join(parts)


def _invalid() -> InvalidRequestError:
    return InvalidRequestError(
        "The request body is not valid gzip.", error_code="request_body_encoding_invalid"
    )
