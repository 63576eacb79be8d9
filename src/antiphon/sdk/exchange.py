"""One exchange with the API: send, perhaps wait, perhaps send again. No input or output.

`exchange` is a generator that says what to do next and is told how it went. A driver does it: one
that blocks, one for asyncio. Every rule of retries and timeouts stands here, once.

    Send, outcome ── good ──────────────────────────────▶ outcome
         ▲     └─── may pass next time, retries left ──▶ Pause ──┐
         └───────────────────────────────────────────────────────┘
         └───────── else ──▶ raise

The rules are those of the official SDKs (reference: retry behaviour), with one difference: `total`
bounds the whole call. A wait that would end behind it is not begun; the error comes at once. What
an observer waits is not counted: a thousand calls that begin together under a limiter would else
fail for the queue that it was made for. A limiter has a bound of its own.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from antiphon.sdk.call import NOT_JSON, Answer, Call, Timeout
from antiphon.sdk.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    class_of,
)
from antiphon.transport.base import (
    Headers,
    HttpRequest,
    TransportError,
    TransportTimeout,
    without_userinfo,
)

T = TypeVar("T")
REDIRECTS_FROM = 300
ERRORS_FROM = 400
RETRIED = frozenset({408, 409, 429})
RETRIED_FROM = 500
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
LONGEST_SAID_S = 86_400.0
"""A server that asks for a longer wait is not waited for, whatever bounds the call has."""
JITTER = 0.25
LONGEST_TEXT = 2000


class Send(msgspec.Struct, frozen=True):
    """Send a request and tell its `Outcome`.

    Of a `streamed` call only the head of an answer below 400 is awaited.
    """

    request: HttpRequest
    connect_timeout: float | None
    timeout: float | None
    streamed: bool


class Pause(msgspec.Struct, frozen=True):
    """Wait for so many seconds."""

    seconds: float


class Opened(msgspec.Struct, frozen=True):
    """The head of an answer whose body the driver still holds."""

    status: int
    headers: Headers
    elapsed: float = 0.0


Outcome: TypeAlias = Answer | Opened | TransportError
Step: TypeAlias = Send | Pause
Steps: TypeAlias = Generator[Step, Outcome | None, Answer | Opened]


class Observer(Protocol):
    """Sees every attempt of every call, and may delay it: limiters, logs, traces."""

    def before(self, call: Call[Any], attempt: int) -> float:
        """Return how many seconds to wait before an attempt (0 is the first); 0 sends it.

        It is asked again after the wait, until it says 0.
        """
        ...

    def after(self, call: Call[Any], attempt: int, outcome: Outcome) -> None:
        """Take note of how an attempt went, and of its `elapsed` seconds.

        An `Opened` stream goes on after it. An observer that also has the method `ended` of
        `stream_end.StreamObserver` is told of its end; one with `given_up`, which takes the call,
        of each call that ends with an error, as by a task that was cancelled before its answer
        came.
        """
        ...


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a call: bounds, retries, who watches, and where time and chance come from.

    `now` counts seconds from anywhere, `wall` from the epoch; `draw` is a number from 0 to 1.
    """

    timeout: Timeout
    max_retries: int
    observers: Sequence[Observer]
    now: Callable[[], float]
    wall: Callable[[], float]
    draw: Callable[[], float]


def exchange(
    call: Call[Any],
    request: HttpRequest,
    conditions: Conditions,
    *,
    streamed: bool,
) -> Steps:
    """Yield what to do for a call; return its answer, or the head of a stream.

    `request` is that of the first attempt. Who does not drive it to its end closes it. Raises
    `APIStatusError`, `APIConnectionError`.
    """
    bounds, now, observers = conditions.timeout, conditions.now, conditions.observers
    total = bounds.total
    deadline = None if total is None else now() + total
    attempt = 0
    try:
        while True:
            for observer in observers:
                while (wait := observer.before(call, attempt)) > 0:
                    begun = now()
                    yield Pause(wait)
                    if deadline is not None:
                        deadline += now() - begun
            outcome = yield Send(
                _again(request, attempt) if attempt else request,
                bounds.connect,
                None if deadline is None else max(deadline - now(), 0.001),
                streamed,
            )
            assert outcome is not None  # noqa: S101 - a driver answers each `Send`
            for observer in observers:
                observer.after(call, attempt, outcome)
            if not isinstance(outcome, TransportError) and outcome.status < REDIRECTS_FROM:
                return _told(outcome, attempt) if attempt else outcome
            yield Pause(_pause_after(call, outcome, attempt, conditions, deadline))
            attempt += 1
    except BaseException:
        _give_up(call, observers)
        raise


def _told(outcome: Answer | Opened, attempt: int) -> Answer | Opened:
    """Return an answer that says how often its call was repeated."""
    if isinstance(outcome, Opened):
        return outcome
    return msgspec.structs.replace(outcome, retries=attempt)


def _pause_after(
    call: Call[Any],
    outcome: Outcome,
    attempt: int,
    conditions: Conditions,
    deadline: float | None,
) -> float:
    """Return how long to wait before a call is repeated, or raise why it is not."""
    if not isinstance(outcome, TransportError) and outcome.status < ERRORS_FROM:
        raise _redirected(call, outcome)
    error = _error(call, outcome, attempt)
    if attempt >= conditions.max_retries or not may_pass(outcome):
        raise error from _cause(outcome)
    wait = pause_before_retry(outcome, attempt, wall=conditions.wall, draw=conditions.draw)
    _refuse_late(wait, deadline, conditions, error)
    return wait


def _give_up(call: Call[Any], observers: Sequence[Observer]) -> None:
    for observer in observers:
        given_up: Callable[[Call[Any]], None] | None = getattr(observer, "given_up", None)
        if given_up is not None:
            given_up(call)


def _again(request: HttpRequest, attempt: int) -> HttpRequest:
    """Return a request that says how often it is repeated."""
    headers = (*request.headers, ("x-stainless-retry-count", str(attempt)))
    return msgspec.structs.replace(request, headers=headers)


def may_pass(outcome: Outcome) -> bool:
    """Whether the same call may succeed next time. The server's own word comes first."""
    if isinstance(outcome, TransportError):
        return True
    said = outcome.headers.get("x-should-retry")
    if said in {"true", "false"}:
        return said == "true"
    return outcome.status in RETRIED or outcome.status >= RETRIED_FROM


def pause_before_retry(
    outcome: Outcome, retries: int, *, wall: Callable[[], float], draw: Callable[[], float]
) -> float:
    """Return the seconds to wait before a call is repeated, after so many retries.

    What the server says counts, if it is positive; else the wait doubles from 0.5 to 8 seconds, up
    to a quarter of it left to chance, so that callers do not come back together.
    """
    if not isinstance(outcome, TransportError):
        said = _retry_after(outcome.headers, wall)
        if said is not None and said > 0:
            return said
    longest = min(FIRST_PAUSE_S * 2 ** min(retries, 10), LONGEST_PAUSE_S)
    return float(longest * (1 - JITTER * draw()))


def _retry_after(headers: Headers, wall: Callable[[], float]) -> float | None:
    """Return the seconds of `retry-after-ms` or `retry-after`: a number, or a date of HTTP."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 20 ms, and dates are rare

    try:
        return parsedate_to_datetime(text).timestamp() - wall()
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number == number and number not in {float("inf"), -float("inf")} else None  # noqa: PLR0124 - NaN


def _refuse_late(
    wait: float, deadline: float | None, conditions: Conditions, error: APIError
) -> None:
    """Raise if a wait ends after the deadline of its call: what is known now is all there is."""
    if wait > LONGEST_SAID_S:
        error.add_note(f"Not repeated: the server asks for a wait of {wait:g} s.")
        raise error
    if deadline is not None and conditions.now() + wait > deadline:
        error.add_note(
            f"Not repeated: the wait of {wait:g} s ends after the {conditions.timeout.total:g} s "
            "that the call may take (`timeout`)."
        )
        raise error


def _redirected(call: Call[Any], outcome: Answer | Opened) -> APIError:
    """Return the error of a call that is sent on: the key would go along, so it is not."""
    place = without_userinfo(outcome.headers.get("location") or "")
    return APIConnectionError(
        f"{call.method} {call.path}: the server sends on with {outcome.status}"
        f"{f' to {place[:200]!r}' if place else ''}; give that address as `base_url`"
    )


def _cause(outcome: Outcome) -> TransportError | None:
    return outcome if isinstance(outcome, TransportError) else None


def _error(call: Call[Any], outcome: Outcome, retries: int) -> APIError:
    if isinstance(outcome, TransportError):
        kind = APITimeoutError if isinstance(outcome, TransportTimeout) else APIConnectionError
        after = f" after {retries + 1} attempts" if retries else ""
        error: APIError = kind(f"{call.method} {call.path}: {outcome}{after}")
        error.__cause__ = outcome
        return error
    body = outcome.body if isinstance(outcome, Answer) else b""
    return status_error(outcome.status, outcome.headers, body, retries)


def status_error(status: int, headers: Headers, body: bytes, retries: int = 0) -> APIStatusError:
    """Return the error that an answer of 400 and above is; its body may be anything."""
    try:
        value: Any = msgspec.json.decode(body)
    except NOT_JSON:
        value = body.decode("utf-8", "replace")
    envelope = value.get("error") if isinstance(value, dict) else None
    found = envelope if isinstance(envelope, dict) else {}
    message, kind, details = found.get("message"), found.get("type"), found.get("details")
    if not isinstance(message, str):
        text = (
            " ".join(value.split()) if isinstance(value, str) else body.decode("utf-8", "replace")
        )
        message = text[:LONGEST_TEXT] or "the answer has no body"
    return class_of(status)(
        message,
        status_code=status,
        headers=headers,
        body=value,
        type=kind if isinstance(kind, str) else None,
        details=details if isinstance(details, dict) else {},
        retries=retries,
        content=body,
    )
