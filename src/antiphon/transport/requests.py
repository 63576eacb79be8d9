"""The head of a request, as bytes."""

import re
from typing import Final

from antiphon.transport.base import HttpRequest
from antiphon.transport.targets import Target

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHOD: Final = re.compile(r"[A-Z]+")
_METHODS: Final = frozenset({"GET", "POST", "DELETE"})
"""The usual ones, which need no look at their letters."""
_OURS: Final = frozenset({"content-length", "transfer-encoding"})
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_MOST_NAMES: Final = 256

Fields = tuple[tuple[str, str], ...]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""The methods that may be sent again when it is not known whether the server has read them."""


class HeadWriter:
    """Writes the heads of requests, and remembers the names of headers that it has examined."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def write(
        self, request: HttpRequest, target: Target, *, absolute: bool = False, more: Fields = ()
    ) -> bytes:
        """Write the request line and the headers; `absolute` is for a proxy, `more` its headers.

        What depends on the body is left to `with_length`. Raises `ValueError` for what would not be
        one request: a line break in a value, a name that is none, a sign that HTTP cannot carry.
        The text names the header and never shows its value.
        """
        place = f"{target.origin}{target.path}" if absolute else target.path
        headers = request.headers
        given = {name.lower() for name, _ in headers}
        if target.authorization is not None and "authorization" not in given:
            more = (*more, ("authorization", target.authorization))
        if more:
            headers += more
        head = "".join([f"{name}: {value}\r\n" for name, value in headers])
        lines = len(headers)
        if request.method not in _METHODS and not _METHOD.fullmatch(request.method):
            raise ValueError(f"{request.method!r} is no method of HTTP")
        if not given <= self._names:
            self._examine(request)
        # Each header is one line, and nothing in it is the end of one.
        if head.count("\n") != lines or head.count("\r") != lines or "\0" in head:
            raise ValueError(_fault(request))
        if "host" not in given:
            head = f"host: {target.host}\r\n{head}"
        try:
            return f"{request.method} {place} HTTP/1.1\r\n{head}".encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(_fault(request)) from None

    def _examine(self, request: HttpRequest) -> None:
        if len(self._names) > _MOST_NAMES:
            self._names.clear()
        for name, _ in request.headers:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if (lower := name.lower()) in _OURS:
                raise ValueError(f"the header {name!r} is written by the transport")
            self._names.add(lower)


def with_length(head: bytes, request: HttpRequest) -> bytes:
    """Return what `HeadWriter` has written, with the length of the body and the end."""
    body = request.body
    if body or request.method not in _BODILESS:
        return b"%bcontent-length: %d\r\n\r\n" % (head, len(body))
    return head + b"\r\n"


def write_connect(authority: str, more: Fields) -> bytes:
    """Write the request to a proxy for a tunnel."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in more])
    return f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{fields}\r\n".encode("latin-1")


def _fault(request: HttpRequest) -> str:
    for name, value in request.headers:
        if any(sign in value for sign in "\r\n\0"):
            return f"the value of the header {name!r} has a line break or a zero byte"
        if any(ord(sign) > 0xFF for sign in value):  # noqa: PLR2004 - Latin-1 ends there
            return f"the value of the header {name!r} has a sign that HTTP cannot carry"
    return "the host has a sign that HTTP cannot carry"
