"""Transports that play a cassette back, and record what is not on it."""

from antiphon.testing.tape import Cassette
from antiphon.testing.tape_file import Exchange, TapeAnswer, TapeRequest, answer_of
from antiphon.transport.base import (
    AsyncResponseStream,
    AsyncTransport,
    ConnectionLost,
    Headers,
    HttpRequest,
    ResponseStream,
    Transport,
    TransportError,
)


class _Recorder:
    """Keeps the chunks of one answer, and records it once, at its end."""

    def __init__(
        self, tape: Cassette, request: TapeRequest, status: int, headers: Headers, place: int
    ) -> None:
        self._tape = tape
        self._request = request
        self._status = status
        self._headers = headers
        self._place = place
        self._chunks: list[bytes] = []
        self._done = False

    def add(self, chunk: bytes) -> None:
        if chunk:
            self._chunks.append(chunk)
        else:
            self.end(cut=False)

    def end(self, *, cut: bool) -> None:
        if self._done:
            return
        self._done = True
        tape = self._tape
        answer = answer_of(
            self._status,
            self._headers.items(),
            self._chunks,
            tape.secrets,
            organization=tape.organization,
            cut=cut,
        )
        tape.add(self._place, Exchange(self._request, answer))


class _Played:
    """What both kinds of a played answer know. Its chunks are there at once."""

    http_version = "1.1"

    def __init__(self, answer: TapeAnswer) -> None:
        self.status = answer.status
        self.headers = Headers(answer.headers.items())
        self._chunks = iter(answer.content())
        self._cut = answer.cut
        self._closed = False

    def _next(self) -> bytes:
        if self._closed:
            raise ConnectionLost("the answer was closed")
        chunk = next(self._chunks, b"")
        if not chunk and self._cut:
            raise ConnectionLost("the recording ends here, as its reader has left")
        return chunk

    def _rest(self) -> bytes:
        return b"".join(iter(self._next, b""))

    def close(self) -> None:
        """End the answer."""
        self._closed = True


class Played(_Played):
    """A `ResponseStream` from a cassette."""

    def read_chunk(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        del timeout
        return self._next()

    def read(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        del timeout
        return self._rest()


class Recorded:
    """A `ResponseStream` that is recorded as it is read."""

    def __init__(self, stream: ResponseStream, recorder: _Recorder) -> None:
        self._stream = stream
        self._recorder = recorder
        self.status = stream.status
        self.headers = stream.headers
        self.http_version = stream.http_version

    def read_chunk(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        try:
            chunk = self._stream.read_chunk(timeout)
        except TransportError:
            self._recorder.end(cut=True)
            raise
        self._recorder.add(chunk)
        return chunk

    def read(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        whole = self._stream.read(timeout)
        self._recorder.add(whole)
        self._recorder.end(cut=False)
        return whole

    def close(self) -> None:
        """As in `ResponseStream`."""
        self._recorder.end(cut=True)
        self._stream.close()


class TapeTransport:
    """A `Transport` on a cassette."""

    def __init__(self, tape: Cassette, inner: Transport | None) -> None:
        self._tape = tape
        self._inner = inner

    def open(
        self, request: HttpRequest, *, connect_timeout: float | None, timeout: float | None
    ) -> ResponseStream:
        """As in `Transport`. Raises `CassetteMismatchError` too."""
        asked, known = self._tape.play(request)
        if known is not None:
            return Played(known)
        if self._inner is None:
            from antiphon.transport import Connections  # noqa: PLC0415 - only to record

            self._inner = Connections()
        place = self._tape.begin()
        stream = self._inner.open(request, connect_timeout=connect_timeout, timeout=timeout)
        recorder = _Recorder(self._tape, asked, stream.status, stream.headers, place)
        return Recorded(stream, recorder)

    def close(self) -> None:
        """Close what recordings go through."""
        if self._inner is not None:
            self._inner.close()


class AsyncPlayed(_Played):
    """An `AsyncResponseStream` from a cassette."""

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109 - the protocol's
        """As in `AsyncResponseStream`."""
        del timeout
        return self._next()

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """As in `AsyncResponseStream`."""
        del timeout
        return self._rest()


class AsyncRecorded:
    """An `AsyncResponseStream` that is recorded as it is read."""

    def __init__(self, stream: AsyncResponseStream, recorder: _Recorder) -> None:
        self._stream = stream
        self._recorder = recorder
        self.status = stream.status
        self.headers = stream.headers
        self.http_version = stream.http_version

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """As in `AsyncResponseStream`."""
        try:
            chunk = await self._stream.read_chunk(timeout)
        except TransportError:
            self._recorder.end(cut=True)
            raise
        self._recorder.add(chunk)
        return chunk

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """As in `AsyncResponseStream`."""
        whole = await self._stream.read(timeout)
        self._recorder.add(whole)
        self._recorder.end(cut=False)
        return whole

    def close(self) -> None:
        """As in `AsyncResponseStream`."""
        self._recorder.end(cut=True)
        self._stream.close()


class AsyncTapeTransport:
    """An `AsyncTransport` on a cassette."""

    def __init__(self, tape: Cassette, inner: AsyncTransport | None) -> None:
        self._tape = tape
        self._inner = inner

    async def open(
        self,
        request: HttpRequest,
        *,
        connect_timeout: float | None,
        timeout: float | None,  # noqa: ASYNC109
    ) -> AsyncResponseStream:
        """As in `AsyncTransport`. Raises `CassetteMismatchError` too."""
        asked, known = self._tape.play(request)
        if known is not None:
            return AsyncPlayed(known)
        if self._inner is None:
            from antiphon.transport import AsyncConnections  # noqa: PLC0415 - only to record

            self._inner = AsyncConnections()
        place = self._tape.begin()
        stream = await self._inner.open(request, connect_timeout=connect_timeout, timeout=timeout)
        recorder = _Recorder(self._tape, asked, stream.status, stream.headers, place)
        return AsyncRecorded(stream, recorder)

    def close(self) -> None:
        """Close what recordings go through."""
        if self._inner is not None:
            self._inner.close()
