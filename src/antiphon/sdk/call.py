"""A call of the API before it is sent: what to ask, and how to read the answer. No I/O.

Each operation of the API is one function that returns a `Call`. Clients run calls: one blocks, one
is for asyncio, and neither knows what a call asks. So an operation is written once.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from os import urandom
from typing import Any, Generic, Protocol, TypedDict, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from antiphon.sdk.errors import APIResponseValidationError
from antiphon.transport.base import Discreet, Headers, Pieces

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JSON = "application/json"
MOST_SHOWN = 200
LONGEST_BOUND_S = 10 * 365 * 86_400
"""Clocks of the system count no further than some hundred years."""
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, or none of the asked type."""


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """How long a call may take, in seconds; `None` is no bound.

    `connect` bounds each wait for a connection. `total` bounds the whole call with its retries; of
    a stream, the time until it begins. `idle` bounds the time in which a stream brings nothing but
    pings: a server that only says that it lives does not keep a call alive.
    """

    connect: float | None = 5.0
    total: float | None = 600.0
    idle: float | None = 600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            said = getattr(self, name)
            if said is not None:
                msgspec.structs.force_setattr(self, name, _seconds(name, said))


def _seconds(name: str, said: float) -> float | None:
    """Return a bound of a time; one of more than ten years is none. Raises `ValueError`."""
    if not said > 0:
        raise ValueError(f"the {name} timeout is {said}; it is more than 0 seconds, or None")
    return None if said > LONGEST_BOUND_S else float(said)


class HttpTimeout(Protocol):
    """The timeouts of a client of httpx, in seconds, which programs give to the official SDK."""

    @property
    def connect(self) -> float | None: ...
    @property
    def read(self) -> float | None: ...


class CallOptions(TypedDict, total=False):
    """What every operation takes besides its own parameters.

    A number as `timeout` is the `total` one, and the `idle` one as well. A header of `None` leaves
    out one that the client sends by default. `extra_body` is laid over the top of a JSON body.
    """

    timeout: float | Timeout | HttpTimeout | None
    max_retries: int
    extra_headers: Mapping[str, str | None]
    extra_query: Mapping[str, Any]
    extra_body: Mapping[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `retries` says how often the call was repeated before it came.

    `elapsed` are the seconds of its last attempt.
    """

    status: int
    headers: Headers
    body: bytes
    http_version: str = "1.1"
    retries: int = 0
    elapsed: float = 0.0

    @property
    def request_id(self) -> str | None:
        return self.headers.get("request-id")


class Call(Discreet, Generic[T], frozen=True, kw_only=True):
    """One call. `path` is encoded; `body` is ready to send.

    `decode` makes the result of a whole answer; it raises `msgspec.DecodeError` if that is none of
    the API. `admin` calls are sent with the admin key, if the client has one. `upload` takes the
    place of a `body` that is too long to be held in memory.
    """

    method: str
    path: str
    decode: Callable[[Answer], T]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    upload: Pieces | None = None
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    options: CallOptions = {}  # noqa: RUF012 - msgspec copies it
    admin: bool = False

    def _shown(self) -> dict[str, Any]:
        return {"method": self.method, "path": self.path}

    def target(self) -> str:
        """Return the path with its query."""
        extra = self.options.get("extra_query")
        pairs = (*self.query, *query_pairs(extra)) if extra else self.query
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path


def path_of(*steps: str) -> str:
    """Return a path of the API; steps that are ids may hold any character.

    Raises `ValueError` for an empty step: it would name another object, or a list.
    """
    if not all(steps):
        raise ValueError("an id is empty")
    if any(step in {".", ".."} for step in steps):
        raise ValueError("an id cannot be `.` or `..`")
    return "/v1/" + "/".join(quote(step, safe="") for step in steps)


def query_pairs(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of a query; `None` leaves a name out, a list repeats it as `name[]`."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, list | tuple | set | frozenset):
            pairs.extend((f"{name}[]", _query_text(item)) for item in value)
        else:
            pairs.append((name, _query_text(value)))
    return tuple(pairs)


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    isoformat = getattr(value, "isoformat", None)
    return str(value if isoformat is None else isoformat())


def json_body(parameters: Mapping[str, Any], options: CallOptions) -> bytes:
    """Return a body in JSON, with `extra_body` over it. Values may be structs.

    Raises `ValueError` for a number that is none, and for text that is no Unicode.
    """
    extra = options.get("extra_body")
    value = {**parameters, **extra} if extra else parameters
    body = msgspec.json.encode(value)
    if b"null" in body and (path := _not_finite(value)) is not None:
        # It would be sent as null, which says that the default is wanted.
        raise ValueError(f"the value of `{path}` is no finite number, which JSON does not have")
    return body


def _not_finite(value: Any, path: str = "") -> str | None:
    """Return where a value has a number that is none in JSON."""
    if isinstance(value, float):
        return None if isfinite(value) else path
    if isinstance(value, Mapping):
        inner: Any = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    else:
        return None
    for name, item in inner:
        if (found := _not_finite(item, f"{path}.{name}" if path else str(name))) is not None:
            return found
    return None


def idempotent(key: str | None) -> tuple[tuple[str, str], ...]:
    """Return the header by which a server tells a repetition from another call, with a new key."""
    return (("idempotency-key", urandom(16).hex() if key is None else key),)


@lru_cache(maxsize=64)
def decoded(kind: type[T]) -> Callable[[Answer], T]:
    """Return what decodes an answer of this struct. It is kept: to make it takes long."""
    decoder = msgspec.json.Decoder(kind)
    return lambda answer: decoder.decode(answer.body)


def result_of(call: Call[T], answer: Answer) -> T:
    """Return what a call makes of its answer.

    Raises `APIResponseValidationError` if the answer is none of the API.
    """
    try:
        return call.decode(answer)
    except NOT_JSON as error:
        told = f"the answer to {call.method} {call.path} is none of the API: {error}"
        if not call.admin:  # whose answers have secrets
            shown = answer.body[:MOST_SHOWN].decode("utf-8", "replace")
            told = f"{told}. It begins with: {shown!r}"
        raise APIResponseValidationError(
            told,
            status_code=answer.status,
            request_id=answer.request_id,
        ) from error
