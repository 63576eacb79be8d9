"""What comes back, read from bytes that came however they were cut. Knows no socket."""

from typing import TYPE_CHECKING, Final

import httptools

from antiphon.transport.base import Headers, ProtocolError

if TYPE_CHECKING:
    from antiphon.transport.inflating import Inflater

LARGEST_HEAD: Final = 64 * 1024
"""Of the status line and the headers, with all interim answers (1xx) before them, in bytes."""
MOST_HEADERS: Final = 256
LARGEST_GAP: Final = 64 * 1024
"""The most bytes that may come without one of the body among them: chunks' extensions, trailers."""
_NO_BODY: Final = frozenset({"HEAD", "CONNECT"})
_SPECIAL: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
_WITHOUT: Final = frozenset({204, 304})
_SWITCHED: Final = 101


class Head:
    """The head of an answer."""

    __slots__ = ("_headers", "_pairs", "http_version", "status")

    def __init__(self, reader: "AnswerReader") -> None:
        self.status = reader.status
        self.http_version = reader.http_version
        self._pairs = reader.pairs
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        if self._headers is None:  # many answers are read without a look at them
            self._headers = Headers.of_bytes(self._pairs)
        return self._headers


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    `begin` a request, `feed` what arrives, `take` the body. Worst cases: a head has 64 KiB and 256
    headers; between two pieces of a body there are 64 KiB of what is none; what is fed and not
    taken is kept, so who feeds has to stop at some `size`.
    """

    __slots__ = (
        "_bare",
        "_fault",
        "_gap",
        "_head_bytes",
        "_inflater",
        "_interim",
        "_keep",
        "_parser",
        "_parts",
        "_until_close",
        "complete",
        "excess",
        "head_ready",
        "http_version",
        "pairs",
        "size",
        "status",
    )

    def __init__(self) -> None:
        self._bare = True
        self.complete = True
        self.excess = False
        self.begin("")

    def begin(self, method: str) -> None:
        """Make ready for the answer to a request of this method."""
        if self._bare:  # the parser still waits for a body
            self._parser = httptools.HttpResponseParser(self)
        self._bare = method in _NO_BODY
        self.pairs: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._inflater: Inflater | None = None
        self._fault: str | None = None
        self._interim = self._until_close = self._keep = False
        self._gap = self._head_bytes = 0
        self.head_ready = self.complete = False
        self.size = self.status = 0
        self.http_version = "1.1"

    @property
    def compressed(self) -> bool:
        return self._inflater is not None

    @property
    def begun(self) -> bool:
        """Whether one byte of the answer has come."""
        return self._head_bytes > 0

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self.complete and self._keep and not self.excess

    @property
    def ended(self) -> bool:
        """Whether all of the body has come and was taken."""
        return (
            self.complete
            and not self._parts
            and (self._inflater is None or (self._inflater.drained and self._inflater.whole))
        )

    def feed(self, data: bytes | memoryview) -> None:
        """Read bytes that arrived. Raises `ProtocolError`; what is behind the end is `excess`."""
        if self.head_ready:
            size = self.size
            self._parse(data)
            if self.size == size and not self.complete:
                self._gap += len(data)
                if self._gap > LARGEST_GAP:
                    raise ProtocolError("the answer goes on without a byte of its body")
            else:
                self._gap = 0
            return
        room = LARGEST_HEAD - self._head_bytes
        self._head_bytes += len(data)
        if len(data) <= room:
            self._parse(data)
            return
        self._parse(data[:room])
        if not self.head_ready:
            raise ProtocolError(f"the head of the answer has more than {LARGEST_HEAD} bytes")
        self._parse(data[room:])

    def finish(self) -> bool:
        """Say that the connection has ended. Return whether the answer is whole by that."""
        if self.head_ready and self._until_close:
            self.complete = True
        self._keep = False
        return self.complete

    def take(self) -> bytes:
        """Return bytes of the body, all that there are or one piece of what is compressed.

        `b""` means that more has to be fed, or that the answer has `ended`.
        """
        if self._inflater is not None:
            return self._inflated(self._inflater)
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        self.size = 0
        return data

    def _inflated(self, inflater: "Inflater") -> bytes:
        for part in self._parts:
            inflater.feed(part)
        self._parts = []
        piece = inflater.take()
        if inflater.drained:
            self.size = 0
        if not piece and self.complete and not inflater.whole:
            raise ProtocolError("the compressed answer ends in the middle")
        return piece

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            inner = error.__context__
            if inner is not None and not isinstance(inner, Exception):
                raise inner from None  # an interrupt that came while the parser called back
            if self.complete and self._fault is None:
                self.excess = True
                return
            what = self._fault or f"the answer is not HTTP/1.1: {error}"
            raise ProtocolError(what) from None

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_ready:
            return  # a trailer, or excess
        if len(self.pairs) >= MOST_HEADERS:
            self._refuse(f"the answer has more than {MOST_HEADERS} headers")
        self.pairs.append((name, value))

    def on_headers_complete(self) -> None:
        if self.head_ready:
            return
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - an interim answer
            if status == _SWITCHED or status < 100:  # noqa: PLR2004
                self._refuse(f"the answer has the status {status}")
            self._interim = True
            self.pairs = []
            return
        self.status = status
        self.http_version = self._parser.get_http_version()
        self.head_ready = True
        self._read_fields(status)
        if self._bare:
            self._end()

    def _read_fields(self, status: int) -> None:
        bounded = False
        coding = b""
        for name, value in self.pairs:
            lower = name.lower()
            if lower not in _SPECIAL:
                continue
            if lower == b"content-encoding":
                coding = coding + b", " + value if coding else value
                continue
            bounded = True
            if lower == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._refuse("the answer has a transfer-encoding other than chunked")
        if self._bare or status in _WITHOUT:
            return
        self._until_close = not bounded
        if coding and (known := coding.decode("latin-1").strip().lower()) != "identity":
            self._inflate(known)

    def _inflate(self, coding: str) -> None:
        from antiphon.transport.inflating import CODINGS, Inflater  # noqa: PLC0415 - zlib is rare

        if coding not in CODINGS:
            self._refuse(f"the answer is encoded as {coding[:40]!r}, which was not asked for")
        self._inflater = Inflater(coding)

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.excess = True
            return
        self._parts.append(body)
        self.size += len(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self.complete:
            self._end()

    def _end(self) -> None:
        self.complete = True
        self._keep = self._parser.should_keep_alive()

    def _refuse(self, what: str) -> None:
        self._fault = what
        raise ProtocolError(what)


def tunnel_fault(reader: AnswerReader) -> str | None:
    """Return what is wrong with a proxy's answer to `CONNECT`, or `None`."""
    if not 200 <= reader.status < 300:  # noqa: PLR2004
        return f"it answers with the status {reader.status}"
    return "it sends more than its answer" if reader.excess else None
