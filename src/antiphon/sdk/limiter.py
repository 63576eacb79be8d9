"""A limiter: keeps any number of tasks and threads under the rate limits of a key.

    limiter = antiphon.Limiter()
    client = antiphon.AsyncClient(observers=[limiter])

It reads `anthropic-ratelimit-*` of every answer, so it needs no numbers, and it notices what other
programs use of the same limits. Where the numbers are known they can be said: then the first calls
need not wait for an answer to learn them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

import msgspec

from antiphon.sdk.call import NOT_JSON, Answer, Call
from antiphon.sdk.errors import APITimeoutError
from antiphon.sdk.exchange import ERRORS_FROM, Opened, Outcome
from antiphon.sdk.pacing import INPUT, KINDS, OUTPUT, REQUESTS, Queue, Told, Waiter
from antiphon.sdk.stream_end import StreamEnd
from antiphon.transport.base import Headers, TransportError

REFUSED: Final = 429
FAILED_FROM: Final = 500
LARGEST_LIMIT: Final = 1e12
NOTHING_USED: Final[Mapping[str, float]] = MappingProxyType({INPUT: 0.0, OUTPUT: 0.0})
MESSAGES: Final = "/v1/messages"
OTHERS: Final = {
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/messages/batches": "batches",
    "/v1/files": "files",
}
"""Endpoints with a limit of their own, of requests alone."""

FIRST_TOKENS_PER_BYTE: Final = 0.35
FIRST_OUTPUT: Final = 500.0
FORGETTING: Final = 0.1
SENT_TOO_EARLY_S: Final = 1.0
"""How long everybody waits after a refusal that does not say for how long."""


class LimiterTimeoutError(APITimeoutError):
    """A call was not sent: it would have waited for its turn longer than the limiter allows."""


class _Body(msgspec.Struct):
    model: str = ""
    max_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    output_tokens: int = 0

    @property
    def is_nonsense(self) -> bool:
        counts = self.input_tokens, self.cache_creation_input_tokens or 0, self.output_tokens
        return min(counts) < 0


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Sizes:
    """What calls of one queue have used, to guess what the next one will.

    The input follows the largest share of tokens in bytes that was seen lately, as a guess that is
    too low would be refused. The output is a mean: it is charged when it is there.
    """

    def __init__(self) -> None:
        self._tokens_per_byte = FIRST_TOKENS_PER_BYTE
        self._output: float | None = None
        self._is_guess = True

    def costs(self, size: int, max_tokens: int) -> dict[str, float]:
        output = FIRST_OUTPUT if self._output is None else self._output
        if max_tokens > 0:
            output = min(output, float(max_tokens))
        return {REQUESTS: 1.0, INPUT: size * self._tokens_per_byte, OUTPUT: max(1.0, output)}

    def learn(self, size: int, usage: _Usage) -> dict[str, float]:
        """Take over what an answer says; return what it has used of the limits."""
        written = usage.cache_creation_input_tokens or 0
        used = {INPUT: float(usage.input_tokens + written), OUTPUT: float(usage.output_tokens)}
        share = used[INPUT] / max(1, size)
        if self._is_guess or share > self._tokens_per_byte:
            self._tokens_per_byte, self._is_guess = share, False
        else:
            self._tokens_per_byte -= FORGETTING * (self._tokens_per_byte - share)
        if self._output is None:
            self._output = used[OUTPUT]
        else:
            self._output += FORGETTING * (used[OUTPUT] - self._output)
        return used


class _Group(msgspec.Struct):
    queue: Queue
    sizes: _Sizes


class _Sent(msgspec.Struct):
    group: _Group
    waiter: Waiter
    size: int
    is_message: bool


class Limiter:
    """An observer that lets each call go when the limits allow it, in the order of the calls.

    The numbers are those of a minute; what is not said is learned. `burst` is the share of a limit
    that may go at once: 1 is the rule of Antiphon and of the published API, and less spreads the
    first calls. A call that would wait longer than `timeout` seconds is not sent: that is a
    `LimiterTimeoutError`. `group` tells which models share limits, by returning the same text for
    them; by default each model stands alone.

    One limiter may serve any number of clients, of both kinds.
    """

    def __init__(  # noqa: PLR0913 - the limits, and how to keep them
        self,
        *,
        requests_per_minute: float | None = None,
        input_tokens_per_minute: float | None = None,
        output_tokens_per_minute: float | None = None,
        burst: float = 1.0,
        timeout: float | None = None,
        group: Callable[[str], str] = str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        said = {
            REQUESTS: requests_per_minute,
            INPUT: input_tokens_per_minute,
            OUTPUT: output_tokens_per_minute,
        }
        if any(limit is not None and not limit > 0 for limit in said.values()):
            raise ValueError("a limit is more than 0")
        if not 0 < burst <= 1:
            raise ValueError(f"burst is {burst}; it is more than 0 and at most 1")
        self._limits, self._burst, self._timeout = said, burst, timeout
        self._group_of, self._now = group, now
        # One that can be taken twice: a call may be given up at any time, by being collected.
        self._lock = threading.RLock()
        self._groups: dict[str, _Group] = {}
        # By the identity of their calls.
        self._known: dict[int, _Sent] = {}
        self._streams: dict[int, _Sent] = {}

    def before(self, call: Call[Any], attempt: int) -> float:
        """Return 0 to send a call, or the seconds to wait until it asks again."""
        del attempt
        with self._lock:
            now = self._now()
            sent = self._known.get(id(call))
            if sent is None or sent.waiter.sent_at is not None:
                if (sent := self._entered(call, now)) is None:
                    return 0.0
                self._known[id(call)] = sent
                self._streams.pop(id(call), None)
            wait = sent.group.queue.ask(sent.waiter, now)
            if wait > 0 and self._timeout is not None:
                whole = sent.group.queue.wait(sent.waiter, now)
                if now - sent.waiter.since + whole > self._timeout:
                    self.given_up(call)
                    raise LimiterTimeoutError(
                        f"{call.method} {call.path}: its turn would come in {whole:.0f} s, and the "
                        f"limiter allows {self._timeout:g} s (`timeout`)"
                    )
            return wait

    def after(self, call: Call[Any], attempt: int, outcome: Outcome) -> None:
        """Learn from an answer."""
        del attempt
        with self._lock:
            sent = self._known.pop(id(call), None)
            if sent is None:
                return
            now, queue = self._now(), sent.group.queue
            if isinstance(outcome, TransportError):
                queue.lose()
                return
            told = read_limits(outcome.headers)
            if not sent.is_message:
                told = {kind: said for kind, said in told.items() if kind == REQUESTS}
            if outcome.status == REFUSED:
                queue.refused(sent.waiter, told, _retry_s(outcome.headers), now)
                return
            if outcome.status >= FAILED_FROM and not told:
                # Perhaps a proxy says it, and the limits are still unknown.
                queue.lose()
                queue.correct(sent.waiter, NOTHING_USED, now)
                return
            queue.answered(sent.waiter, told, self._used(sent, outcome), now)
            if isinstance(outcome, Opened) and sent.is_message:
                self._streams[id(call)] = sent

    def ended(self, call: Call[Any], stream: StreamEnd) -> None:
        """Learn from a stream that has ended. Of one that was left it is not known what it used."""
        with self._lock:
            sent = self._streams.pop(id(call), None)
            if sent is None:
                return
            if not stream.whole:
                return
            message = stream.start.get("message")
            usage = _usage_of(message if isinstance(message, dict) else {}, stream.end)
            if usage is not None and not usage.is_nonsense:
                used = sent.group.sizes.learn(sent.size, usage)
                sent.group.queue.correct(sent.waiter, used, self._now())

    def given_up(self, call: Call[Any]) -> None:
        """Take the turn or the place of a call back that ends without an answer."""
        with self._lock:
            sent = self._known.pop(id(call), None)
            if sent is None:
                return
            if sent.waiter.sent_at is None:
                sent.group.queue.leave(sent.waiter)
            else:
                sent.group.queue.lose()

    def _entered(self, call: Call[Any], now: float) -> _Sent | None:
        """Give a call its place; `None` for one that no limit is known for."""
        if call.method == "POST" and call.path == MESSAGES:
            body = _body_of(call)
            name, is_message = f"messages {self._group_of(body.model)}", True
        else:
            found = next(
                (text for path, text in OTHERS.items() if call.path.startswith(path)), None
            )
            if found is None:
                return None
            name, is_message, body = found, False, _Body()
        group = self._groups.get(name)
        if group is None:
            limits = self._limits if is_message else {}
            group = _Group(queue=Queue(limits, self._burst, now), sizes=_Sizes())
            self._groups[name] = group
        size = len(call.body)
        costs = group.sizes.costs(size, body.max_tokens)
        if not is_message:
            costs = {REQUESTS: 1.0, INPUT: 0.0, OUTPUT: 0.0}
        return _Sent(
            group=group, waiter=group.queue.enter(costs, now), size=size, is_message=is_message
        )

    def _used(self, sent: _Sent, outcome: Outcome) -> Mapping[str, float]:
        """Return what an answer has used. A stream says it at its end."""
        if not isinstance(outcome, Answer) or not sent.is_message:
            return {}
        if outcome.status >= ERRORS_FROM:
            return NOTHING_USED
        try:
            usage = msgspec.json.decode(outcome.body, type=_Message).usage
        except NOT_JSON:
            return {}
        return (
            {} if usage is None or usage.is_nonsense else sent.group.sizes.learn(sent.size, usage)
        )


def read_limits(headers: Headers) -> dict[str, Told]:
    """Return what the headers of an answer say of the limits; of some, or of none.

    What can be no limit is left out: waiting for it might have no end.
    """
    found = {}
    for kind in KINDS:
        limit = _number(headers.get(f"anthropic-ratelimit-{kind}-limit"))
        remaining = _number(headers.get(f"anthropic-ratelimit-{kind}-remaining"))
        if limit is not None and 1 <= limit <= LARGEST_LIMIT and remaining is not None:
            found[kind] = Told(limit, min(max(remaining, 0.0), limit))
    return found


def _usage_of(*events: Mapping[str, Any]) -> _Usage | None:
    """Return the usage of the events of a stream; later ones count."""
    known: dict[str, Any] = {}
    for event in events:
        usage = event.get("usage")
        if isinstance(usage, dict):
            known |= {name: value for name, value in usage.items() if value is not None}
    try:
        return msgspec.convert(known, _Usage) if known else None
    except msgspec.ValidationError:
        return None


def _body_of(call: Call[Any]) -> _Body:
    try:
        return msgspec.json.decode(call.body, type=_Body)
    except NOT_JSON:
        # The server will say what is wrong with it.
        return _Body()


def _retry_s(headers: Headers) -> float:
    seconds = _number(headers.get("retry-after"))
    return SENT_TOO_EARLY_S if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None
