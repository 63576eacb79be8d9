"""The head of a request, as bytes."""

import re
from typing import Final

from antiphon.transport.base import HttpRequest
from antiphon.transport.targets import Target

_FIELD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\r\n\0]*\r\n"
_HEAD: Final = re.compile(rf"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:{_FIELD})*")
_ONE: Final = re.compile(_FIELD)
_OURS: Final = ("content-length", "transfer-encoding")
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"})

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""The methods that may be sent again when it is not known whether the server has read them."""


def write_head(
    request: HttpRequest,
    target: Target,
    *,
    absolute: bool = False,
    more: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Write the request line and the headers; `absolute` is for a proxy, `more` are its headers.

    Raises `ValueError` for what would not be one request: a line break in a value, a name that is
    none, a sign that HTTP cannot carry. The text names the header and never shows its value.
    """
    place = f"{target.origin}{target.path}" if absolute else target.path
    given = {name.lower() for name, _ in request.headers}
    if target.authorization is not None and "authorization" not in given:
        more = (*more, ("authorization", target.authorization))
    fields = [f"{name}: {value}\r\n" for name, value in request.headers + more]
    host = "" if "host" in given else f"host: {target.host}\r\n"
    head = f"{request.method} {place} HTTP/1.1\r\n{host}{''.join(fields)}"
    lines = 1 + bool(host) + len(fields)
    if request.body or request.method not in _BODILESS:
        head = f"{head}content-length: {len(request.body)}\r\n"
        lines += 1
    # A value with a whole line in it fits the form; the number of lines tells.
    if not _HEAD.fullmatch(head) or head.count("\n") != lines:
        raise ValueError(_fault(request, fields))
    for name in _OURS:
        if name in given:
            raise ValueError(f"the header {name!r} is written by the transport")
    try:
        return f"{head}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(_fault(request, fields)) from None


def write_connect(authority: str, more: tuple[tuple[str, str], ...]) -> bytes:
    """Write the request to a proxy for a tunnel."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in more])
    return f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{fields}\r\n".encode("latin-1")


def _fault(request: HttpRequest, fields: list[str]) -> str:
    for (name, value), field in zip(request.headers, fields, strict=False):
        if not _ONE.fullmatch(field):
            if _ONE.fullmatch(f"{name}: \r\n"):
                return f"the value of the header {name!r} has a line break or a zero byte"
            return f"{name!r} is no name of a header"
        if not value.isascii() and any(ord(sign) > 0xFF for sign in value):  # noqa: PLR2004
            return f"the value of the header {name!r} has a sign that HTTP cannot carry"
    return f"{request.method!r} is no method of HTTP"
