from typing import Any

import pytest

from antiphon.sdk.batches.types import MessageBatch
from antiphon.sdk.batches.waiting import Waiting, WaitTimeoutError, wait_for_batch
from antiphon.sdk.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    NotFoundError,
    OverloadedError,
)
from support.batch_api import BatchApi, Driven, FakeBatch, failure

WAITING = Waiting(first_pause=1, longest_pause=10, patience=100)
LOST = APIConnectionError("lost")


def waiting(
    faults: list[APIError | None], how: Waiting = WAITING, **more: Any
) -> tuple[BatchApi, Driven]:
    api = BatchApi(faults=faults, batches={"msgbatch_0": FakeBatch([{}], 0)})
    flow = wait_for_batch(
        "msgbatch_0",
        how=how,
        progress=more.get("progress"),
        cancel_on_interrupt=more.get("cancel_on_interrupt", False),
        now=api.now,
        options={},
    )
    return api, Driven(api, flow)


def test_wait_returns_the_ended_batch() -> None:
    told: list[MessageBatch] = []
    _, driven = waiting([], progress=told.append)
    assert driven.run().has_ended
    assert driven.pauses == [1]
    assert [batch.request_counts.processing for batch in told] == [1, 0]


def test_lost_connections_and_errors_that_pass_are_waited_out() -> None:
    _, driven = waiting([LOST, failure(500), failure(529), None, LOST])
    assert driven.run().has_ended
    assert driven.pauses == [1, 1.5, 2.25, 3.375, 5.0625]


def test_pauses_grow_up_to_a_bound() -> None:
    _, driven = waiting([None, *[LOST] * 12])
    driven.run()
    assert max(driven.pauses) == 10


def test_patience_counts_the_time_in_a_row() -> None:
    _, driven = waiting([None, *[failure(529)] * 30])
    with pytest.raises(OverloadedError):
        driven.run()
    assert 100 <= sum(driven.pauses) <= 115
    away: list[APIError | None] = [failure(529)] * 8
    _, driven = waiting([*away, None, *away])
    assert driven.run().has_ended


def test_a_server_that_has_not_answered_once_is_given_up_sooner() -> None:
    _, driven = waiting([LOST] * 300, Waiting(first_pause=1, longest_pause=10, patience=1000))
    with pytest.raises(APIConnectionError):
        driven.run()
    assert 60 <= sum(driven.pauses) <= 70


def test_new_batch_may_be_unknown_for_a_while() -> None:
    _, driven = waiting([failure(404)] * 3)
    assert driven.run().has_ended


def test_batch_that_does_not_appear_is_not_there() -> None:
    _, driven = waiting([failure(404)] * 30)
    with pytest.raises(NotFoundError):
        driven.run()
    assert 60 <= sum(driven.pauses) <= 70


def test_batch_that_disappears_was_deleted() -> None:
    _, driven = waiting([None, failure(404)])
    with pytest.raises(NotFoundError):
        driven.run()


def test_what_does_not_pass_is_raised_at_once() -> None:
    _, driven = waiting([failure(401)])
    with pytest.raises(AuthenticationError):
        driven.run()
    assert driven.pauses == []


def test_timeout_says_how_the_batch_was() -> None:
    api, driven = waiting([], Waiting(first_pause=2, timeout=1))
    api.batches["msgbatch_0"].polls = -5
    with pytest.raises(WaitTimeoutError) as error:
        driven.run()
    assert error.value.batch is not None
    assert not error.value.batch.has_ended
    assert driven.pauses == [1]


@pytest.mark.parametrize("wanted", [True, False])
def test_interrupt_cancels_if_wanted(wanted: bool) -> None:
    api, driven = waiting([], cancel_on_interrupt=wanted)
    with pytest.raises(KeyboardInterrupt) as error:
        driven.run(2, KeyboardInterrupt())
    assert api.batches["msgbatch_0"].canceled is wanted
    assert bool(getattr(error.value, "__notes__", [])) is wanted


def test_batch_that_could_not_be_cancelled_is_told() -> None:
    api, driven = waiting([], cancel_on_interrupt=True)
    api.faults = [None, LOST]
    with pytest.raises(KeyboardInterrupt) as error:
        driven.run(2, KeyboardInterrupt())
    assert "not cancelled" in error.value.__notes__[0]


def test_an_error_is_no_interrupt() -> None:
    api, driven = waiting([None, failure(401)], cancel_on_interrupt=True)
    with pytest.raises(AuthenticationError):
        driven.run()
    assert not api.batches["msgbatch_0"].canceled


def test_pauses_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="first_pause"):
        Waiting(first_pause=0)
