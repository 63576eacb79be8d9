from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from antiphon.core.batches import (
    LIFETIME,
    LIMITS,
    RETENTION,
    BatchState,
    Pace,
    batch_not_found,
    check_batch_params,
    described,
    timestamp,
)
from antiphon.core.errors import ApiError, InvalidRequestError, NotFoundError
from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.messages import CreateMessageParams
from antiphon.wire.money import Money
from support.requests import body_of, user

CREATED = datetime(2026, 9, 2, 10, 0, 0, 120, UTC)
LATER = CREATED + timedelta(minutes=5)
BATCH = BatchState(id="msgbatch_01", created_at=CREATED, expires_at=CREATED + LIFETIME, requests=10)
CANCELING = replace(BATCH, cancel_initiated_at=LATER)
ENDED = replace(BATCH, succeeded=4, errored=3, canceled=2, expired=1, ended_at=LATER)


# ── a request


def params_with(**fields: Any) -> CreateMessageParams:
    body = body_of(user("Hi"), **{"max_tokens": 8, **fields})
    return BodyDecoder(CreateMessageParams).decode(body)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"stream": True}, '"stream=True" is not supported in the Message Batches API'),
        ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
        ({"speed": "fast"}, '"speed" is not supported in the Message Batches API'),
        ({"speed": "standard"}, '"speed" is not supported in the Message Batches API'),
        ({"thread": {}}, '"thread" is not supported in the Message Batches API'),
    ],
)
def test_batch_refuses_what_a_single_request_may_have(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check_batch_params(params_with(**fields))
    assert refusal.value.message == sentence


def test_batch_takes_an_ordinary_request() -> None:
    check_batch_params(params_with(stream=False, max_tokens=1, speed=None))


# ── the life of a batch


def test_limits_grow_with_the_tier() -> None:
    assert [one.queued_requests for one in LIMITS.values()] == [200_000, 300_000, 500_000]
    assert [one.calls_per_minute for one in LIMITS.values()] == [1_000, 2_000, 4_000]


def test_status_follows_cancellation_and_end() -> None:
    assert BATCH.status == "in_progress"
    assert CANCELING.status == "canceling"
    assert ENDED.status == replace(CANCELING, ended_at=LATER).status == "ended"


def test_batch_is_sent_with_counts_that_sum_up() -> None:
    said = described(replace(BATCH, succeeded=4, errored=1), "https://example.com/")
    assert (said.request_counts.processing, said.request_counts.succeeded) == (5, 4)
    assert said.created_at == "2026-09-02T10:00:00.000120Z"
    assert said.expires_at == "2026-09-03T10:00:00.000120Z"
    assert (said.ended_at, said.cancel_initiated_at, said.archived_at) == (None, None, None)
    assert said.results_url is None


def test_ended_batch_names_its_results() -> None:
    said = described(ENDED, "https://example.com")
    assert said.request_counts.processing == 0
    assert said.ended_at == "2026-09-02T10:05:00.000120Z"
    assert said.results_url == "https://example.com/v1/messages/batches/msgbatch_01/results"


def test_batch_says_why_it_waits_until_it_has_ended() -> None:
    assert described(BATCH, "https://example.com", "no money").waits_for == "no money"
    assert described(BATCH, "https://example.com").waits_for is UNSET
    assert described(ENDED, "https://example.com", "no money").waits_for is UNSET


def test_slow_batch_says_why_unless_it_waits_or_has_ended() -> None:
    assert described(BATCH, "https://example.com", None, "held").slowed_by == "held"
    for batch, waits_for, slowed_by in ((BATCH, "no money", "held"), (ENDED, None, "held")):
        assert described(batch, "https://example.com", waits_for, slowed_by).slowed_by is UNSET


def test_batch_says_what_it_has_cost_once_it_has_cost_anything() -> None:
    assert described(BATCH, "https://example.com").cost is UNSET
    charged = replace(BATCH, cost=123_456_789)
    assert described(charged, "https://example.com").cost == Money(amount="12.3456789")


def test_timestamp_is_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 9, 2, 1, tzinfo=east)) == "2026-09-01T23:00:00.000000Z"


def test_waiting_requests_expire_after_a_day() -> None:
    assert BATCH.fate_of_waiting(BATCH.expires_at - timedelta(microseconds=1)) is None
    assert BATCH.fate_of_waiting(BATCH.expires_at) == "expired"


def test_waiting_requests_of_a_canceled_batch_are_canceled() -> None:
    assert CANCELING.fate_of_waiting(LATER) == "canceled"
    assert CANCELING.fate_of_waiting(CANCELING.expires_at) == "canceled"


def refusal(check: Any, *arguments: Any) -> tuple[type[ApiError], str]:
    with pytest.raises(ApiError) as raised:
        check(*arguments)
    return type(raised.value), raised.value.message


def test_only_an_open_batch_can_be_canceled() -> None:
    BATCH.check_cancel()
    CANCELING.check_cancel()
    sentence = "Message Batch msgbatch_01 has ended and cannot be canceled."
    assert refusal(ENDED.check_cancel) == (InvalidRequestError, sentence)


def test_only_an_ended_batch_can_be_deleted() -> None:
    ENDED.check_delete()
    sentence = "In progress batches cannot be deleted. Consider canceling the batch instead."
    assert refusal(BATCH.check_delete) == (InvalidRequestError, sentence)
    assert refusal(CANCELING.check_delete) == (InvalidRequestError, sentence)


def test_results_are_there_from_the_end_until_29_days_after_the_creation() -> None:
    archived_from = CREATED + RETENTION
    ENDED.check_results(archived_from - timedelta(microseconds=1))
    refused = (NotFoundError, "Message Batch msgbatch_01 has no available results.")
    assert refusal(CANCELING.check_results, LATER) == refused
    assert refusal(ENDED.check_results, archived_from) == refused
    assert refusal(replace(ENDED, archived_at=LATER).check_results, LATER) == refused


def test_unknown_batch_is_named() -> None:
    assert batch_not_found("msgbatch_x").message == "Message Batch msgbatch_x not found."
    assert len(batch_not_found("x" * 10_000).message) < 300


# ── pace

BASE_MS = 100.0


def paced(pace: Pace, first_token_ms: float, *, beside_batch: bool, times: int = 5) -> Pace:
    """Observe the same time several times."""
    for _ in range(times):
        pace = pace.observed(first_token_ms, beside_batch=beside_batch)
    return pace


def measured(**fields: Any) -> Pace:
    """Return a pace with a baseline of 100 ms."""
    return paced(Pace(ceiling=16, **fields), BASE_MS, beside_batch=False)


def after(pace: Pace, intervals: int) -> Pace:
    for _ in range(intervals):
        pace = pace.after_interval()
    return pace


def test_window_grows_by_one_an_interval_while_nobody_is_slowed_down() -> None:
    pace = measured(window=4)
    assert pace.after_interval().window == 5
    assert paced(pace, 105.0, beside_batch=True).after_interval().window == 5
    assert paced(pace, 20.0, beside_batch=True).after_interval().window == 5


def test_window_is_halved_when_first_tokens_take_more_than_5_percent_longer() -> None:
    slow = paced(measured(window=9), 105.1, beside_batch=True).after_interval()
    assert slow.window == 4
    assert slow.after_interval().window == 5, "a time is judged once"
    assert paced(measured(), 200.0, beside_batch=True).after_interval().window == 0


def test_window_waits_while_too_few_requests_ran_beside_batch_work() -> None:
    pace = paced(measured(window=4), 500.0, beside_batch=True, times=3)
    assert after(pace, 9).window == 4
    assert after(pace, 10).window == 5
    again = after(pace, 9).observed(500.0, beside_batch=True)
    assert after(again, 9).window == 4
    assert after(again, 9).observed(500.0, beside_batch=True).after_interval().window == 2


def test_one_slow_request_decides_nothing() -> None:
    pace = paced(measured(window=4), 100.0, beside_batch=True)
    assert pace.observed(60_000.0, beside_batch=True).after_interval().window == 5


def test_window_is_halved_without_a_baseline() -> None:
    unknown = paced(Pace(ceiling=16, window=8), 100.0, beside_batch=True)
    assert unknown.after_interval().window == 4
    assert paced(unknown, 100.0, beside_batch=False, times=4).after_interval().window == 4
    assert paced(unknown, 100.0, beside_batch=False).after_interval().window == 9


def test_one_request_is_tried_ten_intervals_after_the_last() -> None:
    pace = measured(window=0)
    assert after(pace, 9).window == 0
    assert after(pace, 10).window == 1
    # What ended late, beside what ran before, does not put it off.
    assert after(paced(pace, 900.0, beside_batch=True), 10).window == 1


observations = st.tuples(st.floats(0, 1e6), st.booleans())
events = st.lists(st.one_of(st.none(), observations), max_size=80)


def reached(happened: list[tuple[float, bool] | None], ceiling: int) -> Pace:
    """Return the pace after observations, and after an interval for each `None`."""
    pace = Pace(ceiling=ceiling)
    for one in happened:
        pace = pace.observed(one[0], beside_batch=one[1]) if one else pace.after_interval()
        assert 0 <= pace.window <= ceiling
        assert len(pace.baseline) <= 33
        assert len(pace.beside) <= 33
    return pace


@given(events, st.integers(1, 20))
def test_window_and_memory_are_bounded(
    happened: list[tuple[float, bool] | None], ceiling: int
) -> None:
    reached(happened, ceiling)


@given(events, st.integers(1, 20))
def test_batches_never_starve(happened: list[tuple[float, bool] | None], ceiling: int) -> None:
    pace = reached(happened, ceiling)
    # New interactive requests, none of them slower beside batch work.
    pace = paced(pace, BASE_MS, beside_batch=False, times=33)
    pace = paced(pace, BASE_MS, beside_batch=True, times=33)
    assert after(pace, 10 + ceiling).window == ceiling


@given(events)
def test_batches_get_a_chance_however_slow_they_make_others(
    happened: list[tuple[float, bool] | None],
) -> None:
    pace = paced(reached(happened, 16), BASE_MS, beside_batch=False, times=33)
    windows = []
    for _ in range(100):
        if pace.window:
            pace = paced(pace, 10 * BASE_MS, beside_batch=True, times=33)
        pace = pace.after_interval()
        windows.append(pace.window)
    assert 8 <= sum(windows[10:]) <= 10


@given(st.integers(1, 15), st.integers(0, 16), st.floats(0.06, 1))
def test_window_converges_to_what_the_engine_can_take(
    capacity: int, window: int, slower: float
) -> None:
    pace = measured(window=window)
    windows = []
    for _ in range(200):
        if pace.window:
            excess = max(0, pace.window - capacity)
            pace = paced(pace, BASE_MS * (1 + slower * excess), beside_batch=True)
        pace = pace.after_interval()
        windows.append(pace.window)
    settled = windows[50:]
    assert max(settled) == capacity + 1
    assert min(settled) == (capacity + 1) // 2
