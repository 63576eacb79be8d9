"""What comes back, read from bytes that came however they were cut. Knows no socket."""

from typing import TYPE_CHECKING, Final

import httptools

from antiphon.transport.base import Headers, ProtocolError, header_lines

if TYPE_CHECKING:
    from antiphon.transport.inflating import Inflater

LARGEST_HEAD: Final = 64 * 1024
"""Of the status line and the headers, with all interim answers (1xx) before them, in bytes."""
MOST_HEADERS: Final = 256
_FEW: Final = 4 * MOST_HEADERS
"""The most bytes of a head that cannot have too many headers: the shortest has four."""
LARGEST_GAP: Final = 64 * 1024
"""The most bytes that may come without one of the body among them: chunks' extensions, trailers."""
_NO_BODY: Final = frozenset({"HEAD", "CONNECT"})
_WITHOUT: Final = frozenset({204, 304})
_SWITCHED: Final = 101


class Head:
    """The head of an answer."""

    __slots__ = ("headers", "http_version", "status")

    def __init__(self, reader: "AnswerReader") -> None:
        head = reader.head
        self.status = reader.status
        self.http_version = head[5:8].decode()
        self.headers = Headers(head=head)


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    `begin` a request, `feed` what arrives, `take` the body. Worst cases: a head has 64 KiB and 256
    headers; between two pieces of a body there are 64 KiB of what is none; what is fed and not
    taken is kept, so who feeds has to stop at some `size`.

    `complete` says that all of an answer has come, `excess` that more has, and `reusable` that the
    connection may carry another request. The body may be `compressed`.
    """

    __slots__ = (
        "_bare",
        "_fault",
        "_gap",
        "_head_bytes",
        "_head_data",
        "_head_from",
        "_inflater",
        "_interim",
        "_parser",
        "_parts",
        "_until_close",
        "complete",
        "compressed",
        "excess",
        "head",
        "head_ready",
        "reusable",
        "size",
        "status",
    )

    def __init__(self) -> None:
        self._bare = True
        self.complete = True
        self.excess = False
        self._fault: str | None = None
        self.head = b""
        self.status = 0
        self.begin("")

    def begin(self, method: str) -> None:
        """Make ready for the answer to a request of this method."""
        if self._bare:  # the parser still waits for a body
            self._parser = httptools.HttpResponseParser(self)
        self._bare = method in _NO_BODY
        self._parts: list[bytes] = []
        self._inflater: Inflater | None = None
        self._interim = self._until_close = self.compressed = False
        self._head_data = b""
        self._gap = self._head_bytes = self._head_from = self.size = 0
        self.head_ready = self.complete = self.reusable = False

    @property
    def begun(self) -> bool:
        """Whether one byte of the answer has come."""
        return self._head_bytes > 0

    @property
    def ended(self) -> bool:
        """Whether all of the body has come and was taken."""
        return (
            self.complete
            and not self._parts
            and (self._inflater is None or (self._inflater.drained and self._inflater.whole))
        )

    def feed(self, data: bytes) -> None:
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
        self._head_data = self._head_data + data if self._head_data else data
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
        self.reusable = False
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

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            inner = error.__context__
            if inner is not None and not isinstance(inner, Exception):
                raise inner from None  # an interrupt that came while the parser called back
            if self.complete and self._fault is None:
                self._exceed()
                return
            what = self._fault or f"the answer is not HTTP/1.1: {error}"
            raise ProtocolError(what) from None

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self._exceed()

    def on_headers_complete(self) -> None:
        if self.head_ready:
            return
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - an interim answer
            if status == _SWITCHED or status < 100:  # noqa: PLR2004
                self._refuse(f"the answer has the status {status}")
            self._interim = True
            self._cut_head()
            return
        self.status = status
        self.head_ready = True
        self.head = head = self._cut_head()
        self._head_data = b""  # a part of the body may be in it
        self._read_fields(head.lower(), status)
        if self._bare:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()

    def _cut_head(self) -> bytes:
        """Return the lines of the head that has come.

        The parser has found it good: each line ends with CR LF, and only the last one is empty. To
        take the lines here costs less than to be told of each header.
        """
        data = self._head_data
        begin = first = self._head_from
        if not data.startswith(b"HTTP/", first):
            # Empty lines may come first. The parser knows RTSP and ICE as well.
            begin = data.find(b"HTTP/", first)
            if begin < 0 or data[first:begin].strip(b"\r\n"):
                self._refuse("the answer is not HTTP/1.1, but another protocol")
        self._head_from = end = data.index(b"\r\n\r\n", begin) + 2
        return data[begin:end]

    def _read_fields(self, lower: bytes, status: int) -> None:
        if len(lower) > _FEW and lower.count(b"\n") > MOST_HEADERS + 1:
            self._refuse(f"the answer has more than {MOST_HEADERS} headers")
        # The parser has refused an answer with both.
        bounded = b"\r\ncontent-length:" in lower
        if not bounded and (times := lower.count(b"\r\ntransfer-encoding:")):
            bounded = True
            usual = times == 1 and b"\r\ntransfer-encoding: chunked\r\n" in lower
            if not usual and set(_values(lower, "transfer-encoding")) != {"chunked"}:
                self._refuse("the answer has a transfer-encoding other than chunked")
        if self._bare or status in _WITHOUT:
            return
        self._until_close = not bounded
        if b"\r\ncontent-encoding:" in lower:
            self._inflate(", ".join(_values(lower, "content-encoding")))

    def _inflate(self, coding: str) -> None:
        if coding in {"", "identity"}:
            return
        from antiphon.transport.inflating import CODINGS, Inflater  # noqa: PLC0415 - zlib is rare

        if coding not in CODINGS:
            self._refuse(f"the answer is encoded as {coding[:40]!r}, which was not asked for")
        self._inflater = Inflater(coding)
        self.compressed = True

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self._exceed()
            return
        self._parts.append(body)
        self.size += len(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()

    def _exceed(self) -> None:
        self.excess = True
        self.reusable = False

    def _refuse(self, what: str) -> None:
        self._fault = what
        raise ProtocolError(what)


def _values(lower: bytes, name: str) -> list[str]:
    return [value for one, value in header_lines(lower) if one == name]


def tunnel_fault(reader: AnswerReader) -> str | None:
    """Return what is wrong with a proxy's answer to `CONNECT`, or `None`."""
    if not 200 <= reader.status < 300:  # noqa: PLR2004
        return f"it answers with the status {reader.status}"
    return "it sends more than its answer" if reader.excess else None
