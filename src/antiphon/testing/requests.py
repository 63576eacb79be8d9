"""The requests that a server for tests got, and what it answered."""

import json
from collections.abc import Iterator, Mapping
from threading import Condition, Event
from typing import Any, overload

from antiphon.wire.sse import FrameDecoder

# Headers whose values are keys.
SECRET_HEADERS = frozenset({"x-api-key", "authorization", "cookie", "proxy-authorization"})
REMOVED = "…"
_SHOWN = 3000
_ALIKE = 200
"""Of texts that begin with so many equal signs those are left out, but the last `_BEFORE`."""
_BEFORE = 20


class RecordedRequest:
    """A request as it came, and its answer as far as it was sent.

    `headers` have lower-case names, and no keys. `status` is `None` while there is no answer, and
    for one that got none. `left` is set when the server has seen its caller leave before the end.
    """

    def __init__(
        self, method: str, path: str, query: str, headers: Mapping[str, str], content: bytes
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = {
            name: REMOVED if name in SECRET_HEADERS else value for name, value in headers.items()
        }
        self.content = content
        self.status: int | None = None
        self.answer_headers: dict[str, str] = {}
        self.left = Event()
        self.chunks: list[bytes] = []

    @property
    def body(self) -> Any:
        """The decoded JSON of the body; `None` without one, bytes for what is no JSON."""
        return _decoded(self.content)

    @property
    def text(self) -> str:
        """The text of the last message of the user; empty without one."""
        body = self.body
        messages = body.get("messages", ()) if isinstance(body, dict) else ()
        for message in reversed(messages if isinstance(messages, list) else []):
            if isinstance(message, dict) and message.get("role") == "user":
                return _text(message.get("content"))
        return ""

    @property
    def streamed(self) -> bool:
        """Whether the answer was a stream of events."""
        return self.answer_headers.get("content-type", "").startswith("text/event-stream")

    @property
    def request_id(self) -> str | None:
        """The id that the answer has."""
        return self.answer_headers.get("request-id")

    @property
    def events(self) -> list[Any]:
        """The events of a stream, as far as they were sent."""
        if not self.streamed:
            return []
        return [_decoded(frame.data) for frame in FrameDecoder().feed(b"".join(self.chunks))]

    @property
    def answer(self) -> Any:
        """The decoded JSON of the answer; the list of events of a stream."""
        return self.events if self.streamed else _decoded(b"".join(self.chunks))

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage that the answer tells: of a stream that ended early, what it told so far."""
        if not self.streamed:
            answer = self.answer
            found = answer.get("usage") if isinstance(answer, dict) else None
            return found if isinstance(found, dict) else None
        usage: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, dict):
                usage |= event.get("message", {}).get("usage") or {}
                usage |= event.get("usage") or {}
        return usage or None

    def __repr__(self) -> str:
        status = "no answer" if self.status is None else self.status
        return f"<{self.method} {self.path} → {status}>"


def _decoded(content: bytes | str) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [
        part.get("text", "") if part.get("type") == "text" else _text(part.get("content"))
        for part in content or ()
        if isinstance(part, dict)
    ]
    return "".join(parts)


class RequestList:
    """The requests of a server in the order in which they came. It grows while they come."""

    def __init__(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._changed = Condition()

    def add(self, request: RecordedRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def wait_for(self, number: int, timeout: float = 10.0) -> None:
        """Wait until so many requests have come, at most `timeout` seconds.

        Raises `TimeoutError`. For threads, and no event loop.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= number, timeout):
                raise TimeoutError(f"{number} requests were awaited:{self._listed()}")

    def clear(self) -> None:
        """Forget what came so far."""
        self._requests.clear()

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[RecordedRequest]:
        return iter(tuple(self._requests))

    @overload
    def __getitem__(self, place: int) -> RecordedRequest: ...
    @overload
    def __getitem__(self, place: slice) -> list[RecordedRequest]: ...
    def __getitem__(self, place: int | slice) -> RecordedRequest | list[RecordedRequest]:
        return self._requests[place]

    def __repr__(self) -> str:
        return repr(self._requests)

    @property
    def last(self) -> RecordedRequest:
        """The last request. Raises `AssertionError` if there was none."""
        assert self._requests, "the server has got no request"  # noqa: S101 - it is an assertion
        return self._requests[-1]

    def to(self, path: str, method: str | None = None) -> list[RecordedRequest]:
        """Return the requests to a path, of one method if that is given."""
        return [one for one in self if one.path == path and method in (None, one.method)]

    def assert_count(self, number: int, path: str | None = None) -> None:
        """Check how many requests came, to a path if it is given. Raises `AssertionError`."""
        found = list(self) if path is None else self.to(path)
        where = "" if path is None else f" to {path}"
        if len(found) != number:
            raise AssertionError(
                f"requests{where}: {number} expected, {len(found)} came:{self._listed()}"
            )

    def assert_sent(self, path: str = "/v1/messages", /, **body: Any) -> RecordedRequest:
        """Return a request to the path whose body has these values, among others.

        A value that is a mapping is looked for in the same way. Raises `AssertionError`, with what
        the most similar request has instead.
        """
        found = self.to(path)
        if not found:
            raise AssertionError(f"no request to {path} came:{self._listed()}")
        faults = [(differences(body, one.body), one) for one in reversed(found)]
        least, request = min(faults, key=lambda pair: len(pair[0]))
        if least:
            told = "".join(f"\n  {fault}" for fault in least[:20])
            raise AssertionError(
                f"no request to {path} has what was expected; the most similar one:{told}"
            )
        return request

    def _listed(self) -> str:
        told = "".join(f"\n  {one!r}" for one in self._requests[-20:])
        return told or " (none at all)"


def differences(
    wanted: Any, found: Any, path: str = "", words: tuple[str, str] = ("expected", "there")
) -> list[str]:
    """Return what is missing in `found` or is something else there, by path.

    Mappings may have more than is wanted, and nothing else may. `words` say what the two are.
    """
    one, other = words
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        faults: list[str] = []
        for name, value in wanted.items():
            place = f"{path}.{name}" if path else str(name)
            if name in found:
                faults += differences(value, found[name], place, words)
            else:
                faults.append(f"{place} is missing")
        return faults
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        if len(wanted) != len(found):
            return [f"{path}: {len(wanted)} {one}, {len(found)} {other}"]
        return [
            fault
            for number, pair in enumerate(zip(wanted, found, strict=True))
            for fault in differences(*pair, f"{path}[{number}]", words)
        ]
    if wanted == found:
        return []
    if isinstance(wanted, str) and isinstance(found, str):
        shorter = min(len(wanted), len(found))
        pairs = enumerate(zip(wanted, found, strict=False))
        at = next((at for at, (left, right) in pairs if left != right), shorter) - _BEFORE
        if at > _ALIKE:
            path, wanted, found = f"{path}[{at}:]", wanted[at:], found[at:]
    return [f"{path}: {shown(wanted)} {one}, {shown(found)} {other}"]


def shown(value: Any) -> str:
    """Return a value for a message, cut if it is very long."""
    told = repr(value)
    return told if len(told) <= _SHOWN else f"{told[: _SHOWN // 2]} … {told[-_SHOWN // 2 :]}"
