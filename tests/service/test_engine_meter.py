"""What requests tell of an engine: how fast it reads and writes, and when it failed."""

from datetime import timedelta

import pytest

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.pricing import FREE
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.speeds import SPAN_S
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.states import EngineSpeeds, RequestFailure
from antiphon.service.engine_meter import EngineMeter
from support.ledger import NOON

TOKENS = TokenCounts(input=60, cache_write_5m=30, cache_write_1h=10, cache_read=1000, output=21)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def an_entry(
    tokens: TokenCounts = TOKENS, outcome: Outcome = Outcome.COMPLETED, batch: str | None = None
) -> LedgerEntry:
    """Return the entry of a request: two seconds to its first token, four from there to its end."""
    opening = Opening(
        id="req_1", started_at=NOON, price=FREE, model="m", served_model="m", batch_id=batch
    )
    first, end = NOON + timedelta(seconds=2), NOON + timedelta(seconds=6)
    closing = Closing(tokens=tokens, outcome=outcome, first_token_at=first, ended_at=end)
    return entry_of(opening, closing)


def test_speeds_are_those_of_computed_prompts_and_of_tokens_behind_the_first() -> None:
    meter = EngineMeter(1, Clock())
    assert meter.speeds(0) == EngineSpeeds()
    meter.note(0, an_entry(), 0.0)
    assert meter.speeds(0) == EngineSpeeds(prefill=50.0, decode=5.0)


def test_latest_speed_of_answers_is_told_when_nothing_was_measured_lately() -> None:
    clock = Clock()
    meter = EngineMeter(1, clock)
    assert meter.latest_decode(0) is None
    meter.note(0, an_entry(), 0.0)
    clock.now += 10 * SPAN_S
    assert (meter.speeds(0).decode, meter.latest_decode(0)) == (None, 5.0)


def test_wait_for_money_is_not_the_engines() -> None:
    meter = EngineMeter(1, Clock())
    meter.note(0, an_entry(), 1.0)
    assert meter.speeds(0).prefill == 100.0


def test_each_engine_of_several_has_its_own_speed() -> None:
    meter = EngineMeter(2, Clock())
    meter.note(2, an_entry(), 0.0)
    assert meter.speeds(0) == EngineSpeeds()
    assert meter.speeds(1).prefill == 50.0
    # Before its first token, it is open which of them answers.
    meter.note(0, an_entry(), 0.0)
    assert meter.speeds(0) == EngineSpeeds()


def test_requests_of_batches_say_nothing_of_the_speed() -> None:
    meter = EngineMeter(1, Clock())
    meter.note(0, an_entry(batch="msgbatch_1"), 0.0)
    assert meter.speeds(0) == EngineSpeeds()


def test_broken_answer_says_how_its_prompt_was_read_alone() -> None:
    meter = EngineMeter(1, Clock())
    meter.note(0, an_entry(outcome=Outcome.INTERRUPTED), 0.0)
    assert meter.speeds(0) == EngineSpeeds(prefill=50.0)


@pytest.mark.parametrize("kind", [EngineErrorKind.TIMEOUT, EngineErrorKind.OVERLOADED])
def test_last_failure_is_told_by_its_kind(kind: EngineErrorKind) -> None:
    clock = Clock()
    meter = EngineMeter(1, clock)
    meter.note_error(EngineError(EngineErrorKind.FAILED, "it said: a secret"))
    meter.note_error(EngineError(kind, "too slow"))
    clock.now += 30
    assert meter.failure == RequestFailure(kind, 30.0)


def test_fault_of_a_request_is_no_failure_of_the_engine() -> None:
    meter = EngineMeter(1, Clock())
    for error in (None, ValueError(), EngineError(EngineErrorKind.UNSUPPORTED, "no images")):
        meter.note_error(error)
    assert meter.failure is None
