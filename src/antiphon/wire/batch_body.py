"""Decodes the body of a new batch while it arrives, request by request.

    BODY ─{─► FIRST_KEY ─"requests"─► COLON ─:─► VALUE ─[─► FIRST_REQUEST
                                                                 │ {…}
    END ◄─}─ BEHIND_VALUE ◄─]─ BEHIND_REQUEST ◄──────────────────┤
                  └─,─► KEY          └─,─► REQUEST ─{…}──────────┘

A body has up to 256 MB, so it is never held as a whole, and it is refused at its first fault: at
the first byte of a value of the wrong kind, at an unknown key, at the end of a request with a
fault. Sentences and paths are those of `wire.decoding`, which sees the whole body and so reports
bad JSON first and unknown keys last. `requests` may not stand twice, as the first is given away by
then.

Worst cases, measured on a shared core of a small machine:

- Time: 28 ms a MB for requests of 1 kB; 70 ms a MB for any text, and 15 to 36 µs for each request
  and each chunk besides. Each byte is searched once for the ends of requests, and each request is
  decoded once it is complete: such a chunk takes 5 ms for each MB of a large request, of which
  the decoder holds the interpreter for 0.3 ms in one go, and for 2 ms if all of it is escapes.
- Memory: the chunk, 6 MB for one piece of it, twice the largest request (as it arrives, and its
  params), and 9 MB for the digests of 100,000 custom ids.
"""

import re
from codecs import utf_8_decode
from collections import deque
from contextlib import suppress
from enum import Enum
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import inspect

from antiphon.wire.batches import MOST_REQUESTS, BatchRequestParams, CreateBatchParams
from antiphon.wire.decoding import EXTRA, BodyError, Fault, Path, faults, not_json
from antiphon.wire.json_structure import MOST_STRUCTURAL, is_too_much_structure
from antiphon.wire.json_values import ValueEnds

# What is looked at in one go.
_PIECE: Final = 1 << 16
# A longer key is not `requests`, and more than a refusal repeats.
_LONGEST_KEY: Final = 1 << 12
_DIGEST: Final = 16
# To look for the prefix of larger params would hold the interpreter too long. As many tokens fit
# into no model, so what is larger is most likely files of its own.
_LARGEST_PREFIXED: Final = 1 << 23
# What the digest of a custom id takes in a set, at most.
_ID_BYTES: Final = 150
_NO_SPACE: Final = re.compile(rb"[^ \t\n\r]")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BEGINNINGS: Final = b'{["-0123456789tfn'
_REPEATED: Final = "The key may stand only once in the body"
_TOO_MANY: Final = (
    f"requests: List should have at most {MOST_REQUESTS} items after validation, not more than "
    f"{MOST_REQUESTS}"
)
_TOO_MUCH_STRUCTURE: Final = (
    f"The request has more than {MOST_STRUCTURAL:,} braces, brackets, colons and commas outside "
    "of strings. Please send a smaller request."
)
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class LargeRequestError(BodyError):
    """A request of a batch is larger than a request may be: a 413."""


class BatchItem(msgspec.Struct, frozen=True, gc=False):
    """One request of a batch: its number, from 0 on, and its params as they were sent.

    `prefix` is a digest of `model`, `tools` and `system` as they were sent: requests with the same
    one share the beginning of their prompts. Params of more than 8 MiB have one of their own.
    `model` is a digest of the model as it was sent, empty for such params.
    """

    number: int
    custom_id: str
    params: bytes
    prefix: bytes
    model: bytes


class _Request(BatchRequestParams, kw_only=True, frozen=True):
    params: msgspec.Raw  # type: ignore[assignment]  # the same value, not decoded


class _PrefixParams(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()


class _State(Enum):
    """What comes next. The value is the shortest body that leads there."""

    BODY = b""
    FIRST_KEY = b"{"
    COLON = b'{""'
    VALUE = b'{"":'
    FIRST_REQUEST = b'{"":['
    BEHIND_REQUEST = b'{"":[{}'
    REQUEST = b'{"":[{},'
    BEHIND_VALUE = b'{"":[]'
    KEY = b'{"":[],'
    END = b"{}"


_MOVES: Final = {
    (_State.BODY, b"{"): _State.FIRST_KEY,
    (_State.COLON, b":"): _State.VALUE,
    (_State.VALUE, b"["): _State.FIRST_REQUEST,
    (_State.BEHIND_REQUEST, b","): _State.REQUEST,
    (_State.BEHIND_REQUEST, b"]"): _State.BEHIND_VALUE,
    (_State.BEHIND_VALUE, b","): _State.KEY,
    (_State.BEHIND_VALUE, b"}"): _State.END,
}


class BatchBody:
    """One body. `largest` is the most bytes of one of its requests.

    Call `feed` for each chunk, cut anywhere, and `end` behind the last one. Both raise `BodyError`
    for the first fault of the body, which does not depend on how it is cut, and must not be called
    after that. `LargeRequestError` is a 413, all others are a 400.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._state = _State.BODY
        # The bytes from `_start` on, of which those before `_position` are read.
        self._buffer = bytearray()
        self._start = 0
        self._position = 0
        # Ends of requests that are not read yet, and the bytes in which they were looked for.
        self._ends: deque[int] = deque()
        self._searched = 0
        self._values = ValueEnds()
        self._count = 0
        self._custom_ids: set[bytes] = set()
        self._type = inspect.type_info(BatchRequestParams)
        self._decoder = msgspec.json.Decoder(_Request)
        self._raw_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._prefix_decoder = msgspec.json.Decoder(_PrefixParams)

    def feed(self, chunk: bytes) -> list[BatchItem]:
        """Read a chunk; return the requests that it completes."""
        items: list[BatchItem] = []
        for start in range(0, len(chunk), _PIECE):
            self._buffer += chunk[start : start + _PIECE]
            while self._read(items):
                pass
            del self._buffer[: self._position]
            self._start += self._position
            self._searched = max(0, self._searched - self._position)
            self._position = 0
        return items

    @property
    def kept(self) -> int:
        """The bytes of memory that are taken until the next chunk."""
        return len(self._buffer) + _ID_BYTES * len(self._custom_ids)

    def end(self) -> None:
        """Raise `BodyError` if the body is not complete."""
        if self._state is not _State.END:
            raise self._malformed(bytes(self._buffer))

    def _read(self, items: list[BatchItem]) -> bool:
        """Read what comes next; return false if it has not arrived."""
        found = _NO_SPACE.search(self._buffer, self._position)
        if found is None:
            self._position = len(self._buffer)
            return False
        self._position = found.start()
        byte = found[0]
        following = _MOVES.get((self._state, byte))
        if following is not None:
            self._state = following
            self._position += 1
            return True
        match self._state, byte:
            case ((_State.FIRST_REQUEST | _State.REQUEST), b"{"):
                return self._read_request(items)
            case ((_State.FIRST_KEY | _State.KEY), b'"'):
                return self._read_key()
        raise self._refusal(byte)

    def _read_key(self) -> bool:
        found = _STRING.match(self._buffer, self._position)
        end = found.end() if found else len(self._buffer)
        key = bytes(self._buffer[self._position : end])
        if len(key) > _LONGEST_KEY:
            raise BodyError(str(Fault((key[1:_LONGEST_KEY].decode("utf-8", "replace"),), EXTRA)))
        if found is None:
            return False
        try:
            name = msgspec.json.decode(key, type=str)
        except _NOT_JSON as error:
            raise not_json(error, self._start + self._position) from error
        if name != "requests":
            raise BodyError(str(Fault((name,), EXTRA)))
        if self._state is _State.KEY:
            raise BodyError(str(Fault((name,), _REPEATED)))
        self._state = _State.COLON
        self._position = end
        return True

    def _read_request(self, items: list[BatchItem]) -> bool:
        if self._count == MOST_REQUESTS:
            raise BodyError(_TOO_MANY)
        end = self._next_end()
        size = (len(self._buffer) if end is None else end) - self._position
        if size > self._largest:
            sentence = f"Request exceeds the maximum size of {self._largest} bytes"
            raise LargeRequestError(str(Fault(("requests", self._count), sentence)))
        if end is None:
            return False
        items.append(self._item(memoryview(self._buffer)[self._position : end]))
        self._count += 1
        self._state = _State.BEHIND_REQUEST
        self._position = end
        return True

    def _next_end(self) -> int | None:
        """Return where the request at the position ends, if that has arrived."""
        if not self._ends:
            # What was read since the last search is no more than a comma and space.
            begin = max(self._searched, self._position)
            ends = self._values.feed(bytes(self._buffer[begin:]))
            self._ends.extend([begin + end for end in ends])
            self._searched = len(self._buffer)
        return self._ends.popleft() if self._ends else None

    def _item(self, request: memoryview) -> BatchItem:
        if is_too_much_structure(request):
            raise BodyError(str(Fault(("requests", self._count), _TOO_MUCH_STRUCTURE)))
        offset = self._start + self._position
        _check_utf8(request, offset)
        try:
            custom_id, params = self._decoded(request)
        except _NOT_JSON as error:
            raise not_json(error, offset) from error
        known = len(self._custom_ids)
        self._custom_ids.add(blake2b(custom_id.encode(), digest_size=_DIGEST).digest())
        if len(self._custom_ids) == known:
            raise BodyError(
                "requests: custom_id's must be unique within a batch. Duplicate custom_id found: "
                f"{custom_id}"
            )
        return BatchItem(self._count, custom_id, params, *self._prefix(custom_id, params))

    def _decoded(self, request: memoryview) -> tuple[str, bytes]:
        """Return the custom id and the params of a request. Each byte is proven to be JSON."""
        with suppress(msgspec.ValidationError):
            decoded = self._decoder.decode(request)
            params = bytes(decoded.params)
            if params.startswith(b"{"):
                return decoded.custom_id, params
        # Either there is a fault, or a key stands twice and only its first value has one.
        values = self._raw_decoder.decode(request)
        outline: dict[str, Any] = {key: _outline(key, value) for key, value in values.items()}
        for fault in faults(self._type, outline, ("requests", self._count)):
            raise BodyError(str(fault))
        return outline["custom_id"], bytes(values["params"])

    def _prefix(self, custom_id: str, params: bytes) -> tuple[bytes, bytes]:
        """Return the digests of what prompts begin with, and of the model."""
        digest = blake2b(digest_size=_DIGEST)
        if len(params) > _LARGEST_PREFIXED:
            digest.update(custom_id.encode())
            return digest.digest(), b""
        fields = self._prefix_decoder.decode(params)
        for value in (fields.model, fields.tools, fields.system):
            digest.update(len(memoryview(value)).to_bytes(8))
            digest.update(value)
        return digest.digest(), blake2b(fields.model, digest_size=_DIGEST).digest()

    def _refusal(self, byte: bytes) -> BodyError:
        """Return the fault of a body in which this byte comes next."""
        begins_value = byte in _BEGINNINGS
        match self._state:
            case _State.FIRST_KEY if byte == b"}":
                return _first_fault(CreateBatchParams, {})
            case _State.FIRST_REQUEST if byte == b"]":
                return _first_fault(CreateBatchParams, {"requests": []})
            case _State.BODY if begins_value:
                return _first_fault(CreateBatchParams, None)
            case _State.VALUE if begins_value:
                return _first_fault(CreateBatchParams, {"requests": None})
            case _State.FIRST_REQUEST | _State.REQUEST if begins_value:
                return _first_fault(BatchRequestParams, None, ("requests", self._count))
            case _:
                return self._malformed(byte)

    def _malformed(self, rest: bytes) -> BodyError:
        """Return the refusal of a body with this rest, which is no JSON or not all of it."""
        fault: Exception = msgspec.DecodeError()
        try:
            msgspec.json.decode(self._state.value + rest, type=msgspec.Raw)
        except _NOT_JSON as error:
            fault = error
        return not_json(fault, self._start + self._position - len(self._state.value))


def _check_utf8(text: memoryview, offset: int) -> None:
    """Raise `BodyError` for bytes that are no UTF-8, which the decoder of `Raw` passes over."""
    position = 0
    while position < len(text):
        piece = text[position : position + _PIECE]
        try:
            position += utf_8_decode(piece, "strict", position + len(piece) == len(text))[1]
        except UnicodeDecodeError as error:
            byte = offset + position + error.start
            raise not_json(ValueError(f"it is not UTF-8: {error.reason} (byte {byte})")) from error


def _outline(key: str, value: msgspec.Raw) -> Any:
    """Return as much of a value as decides whether it belongs to a request."""
    beginning = bytes(memoryview(value)[:1])
    if key == "custom_id" and beginning == b'"':
        return msgspec.json.decode(value)
    return {} if beginning == b"{" else None


def _first_fault(kind: type, value: Any, path: Path = ()) -> BodyError:
    return BodyError(str(next(faults(inspect.type_info(kind), value, path))))
