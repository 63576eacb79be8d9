from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import antiphon
from antiphon.sdk.call import Answer, Call, Timeout
from antiphon.sdk.exchange import (
    Conditions,
    Opened,
    Outcome,
    Pause,
    Send,
    exchange,
    may_pass,
    pause_before_retry,
)
from antiphon.transport.base import (
    ConnectError,
    Headers,
    HttpRequest,
    TransportError,
    TransportTimeout,
)
from support.sdk import FakeClock

EPOCH = 1_800_000_000.0
REQUEST = HttpRequest(method="POST", url="http://a", headers=(("x-api-key", "k"),), body=b"{}")
CALL: Call[Any] = Call(method="POST", path="/v1/messages", decode=lambda answer: answer)


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=Headers(names.items()), body=body)


class Watcher:
    """Notes the attempts that it sees, and asks for waits before them."""

    def __init__(self, *waits: float) -> None:
        self.waits = list(waits)
        self.seen: list[tuple[int, Outcome]] = []

    def before(self, _call: Call[Any], _attempt: int) -> float:
        return self.waits.pop(0) if self.waits else 0.0

    def after(self, _call: Call[Any], attempt: int, outcome: Outcome) -> None:
        self.seen.append((attempt, outcome))


def drive(
    outcomes: Sequence[Outcome],
    *,
    max_retries: int = 2,
    total: float | None = 600.0,
    seconds: float = 0.0,
    observers: Sequence[Watcher] = (),
    streamed: bool = False,
    sent: list[Send] | None = None,
) -> tuple[Answer | Opened, list[float]]:
    """Run an exchange on a clock of its own; return what it ends with, and its pauses."""
    clock, pauses, left = FakeClock(), list[float](), list(outcomes)
    steps = exchange(
        CALL,
        REQUEST,
        Conditions(
            timeout=Timeout(total=total, connect=5.0),
            max_retries=max_retries,
            observers=observers,
            now=clock,
            wall=lambda: EPOCH,
            draw=lambda: 0.0,
        ),
        streamed=streamed,
    )
    outcome: Outcome | None = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as ended:
            return ended.value, pauses
        except antiphon.APIError as error:
            error.__dict__["pauses"] = pauses
            raise
        outcome = None
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            clock.sleep(step.seconds)
        else:
            if sent is not None:
                sent.append(step)
            clock.sleep(seconds)
            outcome = left.pop(0)


GONE = ConnectError("connection refused")


def test_good_answer_ends_the_exchange() -> None:
    good = answer()
    assert drive([good]) == (good, [])
    opened = Opened(200, Headers())
    assert drive([opened], streamed=True) == (opened, [])


@pytest.mark.parametrize("first", [GONE, TransportTimeout("late"), answer(529), answer(429)])
def test_what_may_pass_is_sent_again(first: Outcome) -> None:
    good, sent = answer(), list[Send]()
    assert drive([first, good], sent=sent)[0] == replace(good, retries=1)
    assert sent[0].request is REQUEST
    again = (*REQUEST.headers, ("x-stainless-retry-count", "1"))
    assert sent[1].request == replace(REQUEST, headers=again)


@pytest.mark.parametrize(
    ("status", "passes"),
    [
        *((status, False) for status in (400, 401, 402, 403, 404, 405, 412, 413, 422, 431, 499)),
        *((status, True) for status in (408, 409, 429, 500, 502, 503, 504, 529, 599)),
    ],
)
def test_status_says_whether_a_call_is_repeated(status: int, *, passes: bool) -> None:
    assert may_pass(answer(status)) is passes
    # The server's own word comes first.
    assert may_pass(answer(status, x_should_retry="true"))
    assert not may_pass(answer(status, x_should_retry="false"))
    assert may_pass(answer(status, x_should_retry="perhaps")) is passes


def test_connection_that_was_not_made_is_repeated() -> None:
    assert may_pass(GONE)


@given(st.integers(0, 2000), st.floats(0, 1))
def test_pause_doubles_up_to_eight_seconds_less_a_quarter(retries: int, drawn: float) -> None:
    pause = pause_before_retry(answer(500), retries, wall=lambda: EPOCH, draw=lambda: drawn)
    longest = min(0.5 * 2 ** min(retries, 50), 8.0)
    assert 0.75 * longest <= pause <= longest


@given(st.floats(0.001, 4e6))
def test_pause_that_the_server_asks_for_counts(seconds: float) -> None:
    def pause(**headers: str) -> float:
        return pause_before_retry(answer(429, **headers), 0, wall=lambda: EPOCH, draw=lambda: 0.0)

    assert pause(retry_after=str(seconds)) == seconds
    assert pause(retry_after_ms=str(seconds)) == seconds / 1000
    assert pause(retry_after_ms=str(seconds), retry_after="7") == seconds / 1000
    assert pause(retry_after_ms="soon", retry_after="7") == 7


@pytest.mark.parametrize(
    "said", ["0", "-1", "soon", "", "nan", "inf", "Mon, 99 Jan 2026 1:1:1 GMT"]
)
def test_pause_that_is_none_is_not_taken(said: str) -> None:
    pause = pause_before_retry(
        answer(429, retry_after=said), 0, wall=lambda: EPOCH, draw=lambda: 0.0
    )
    assert pause == 0.5


def test_pause_until_a_date_is_taken() -> None:
    then = datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=40)
    said = answer(503, retry_after=format_datetime(then, usegmt=True))
    assert pause_before_retry(said, 0, wall=lambda: EPOCH, draw=lambda: 0.0) == 40


@given(st.integers(0, 5), st.integers(0, 6))
def test_call_is_sent_at_most_once_more_than_it_is_repeated(retries: int, failures: int) -> None:
    watcher = Watcher()
    outcomes = [*[answer(500)] * failures, answer()]
    try:
        ended, pauses = drive(outcomes, max_retries=retries, observers=[watcher])
    except antiphon.InternalServerError as error:
        assert failures > retries
        assert error.retries == retries  # noqa: PT017 - whether it is raised is the question
        assert len(watcher.seen) == retries + 1
    else:
        assert failures <= retries
        assert ended.status == 200
        assert len(pauses) == failures
    assert [attempt for attempt, _ in watcher.seen] == list(range(len(watcher.seen)))


def test_total_bounds_each_wait_for_an_answer() -> None:
    sent: list[Send] = []
    drive([answer(500, retry_after="10"), answer()], total=60.0, seconds=20.0, sent=sent)
    assert [(step.connect_timeout, step.timeout) for step in sent] == [(5.0, 60.0), (5.0, 30.0)]
    sent.clear()
    drive([answer()], total=None, sent=sent)
    assert sent[0].timeout is None


@pytest.mark.parametrize("streamed", [False, True])
def test_call_that_is_sent_on_is_not_followed(streamed: bool) -> None:
    headers = Headers([("location", "http://user:s3cret@other/v1")])
    sent_on = Opened(307, headers) if streamed else replace(answer(307), headers=headers)
    with pytest.raises(antiphon.APIConnectionError) as caught:
        drive([sent_on], streamed=streamed)
    assert str(caught.value) == (
        "POST /v1/messages: the server sends on with 307 to 'http://***@other/v1'; give that "
        "address as `base_url`"
    )


def test_wait_that_ends_too_late_is_not_begun() -> None:
    with pytest.raises(antiphon.RateLimitError) as caught:
        drive([answer(429, retry_after="100")], total=60.0)
    assert caught.value.__dict__["pauses"] == []
    assert caught.value.__notes__ == [
        "Not repeated: the wait of 100 s ends after the 60 s that the call may take (`timeout`)."
    ]


@pytest.mark.parametrize("said", ["1000000000", "1e300"])
def test_wait_of_years_is_not_begun_by_a_call_without_bounds(said: str) -> None:
    with pytest.raises(antiphon.RateLimitError) as caught:
        drive([answer(429, retry_after=said)], total=None)
    assert caught.value.__dict__["pauses"] == []
    assert "the server asks for a wait of" in caught.value.__notes__[0]
    assert drive([answer(429, retry_after="86400"), answer()], total=None)[1] == [86400.0]


def test_observer_may_delay_a_call_several_times() -> None:
    first, second = Watcher(1.0, 2.0), Watcher(0.0, 3.0)
    _, pauses = drive([answer(500), answer()], observers=[first, second])
    # The second one asks before the second attempt; between them is the retry's own pause.
    assert pauses == [1.0, 2.0, 0.5, 3.0]


def test_wait_of_an_observer_takes_no_time_of_the_call() -> None:
    outcomes = [answer(500), answer()]
    _, pauses = drive(outcomes, total=60.0, observers=[Watcher(90.0, 0.0)])
    assert pauses == [90.0, 0.5]


def test_lost_connection_is_told_with_its_cause() -> None:
    with pytest.raises(antiphon.APIConnectionError) as caught:
        drive([GONE] * 3)
    assert str(caught.value) == "POST /v1/messages: connection refused after 3 attempts"
    assert caught.value.__cause__ is GONE
    assert not isinstance(caught.value, antiphon.APITimeoutError)
    late = TransportTimeout("no answer in 5 s")
    with pytest.raises(antiphon.APITimeoutError, match=r"no answer in 5 s$"):
        drive([late], max_retries=0)


def test_transport_errors_are_outcomes_like_answers() -> None:
    watcher = Watcher()
    drive([GONE, answer()], observers=[watcher])
    assert isinstance(watcher.seen[0][1], TransportError)
