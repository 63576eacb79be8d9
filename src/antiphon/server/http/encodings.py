"""Bodies that came compressed, or in another charset."""

import asyncio
import re
import zlib

from antiphon.core.errors import InvalidRequestError, RequestTooLarge

# The window's size, and that a gzip header stands before the data.
GZIP = zlib.MAX_WBITS | 16


CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE)
# JSON is UTF-8, and ASCII is too: those are read as they are.
CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii")),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1"), "iso-8859-1"),
}


def charset_of(content_type: str | None) -> str | None:
    """Return what a body has to be read in, if not in UTF-8. Its type is not looked at."""
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
    """Return the body as it was before it was compressed, if it is no longer than `limit`."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            # A few kilobytes may inflate to the limit, which takes longer than others should wait.
            return await asyncio.to_thread(inflated, body, limit)
    raise InvalidRequestError(
        f"Content-Encoding '{encoding}' is not supported. Send the body as it is, or with 'gzip'.",
        error_code="request_body_encoding_unsupported",
    )


def inflated(body: bytes, limit: int) -> bytes:
    """Inflate what gzip made; never more than one byte beyond `limit`."""
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
