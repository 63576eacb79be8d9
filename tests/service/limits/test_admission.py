import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from antiphon.core.billing.ledger import LedgerEntry, Opening
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.rate_limits import LimitType, applied
from antiphon.core.limits.values import Draw, Scope
from antiphon.service.ledger import Ledger, Receivers, open_ledger
from antiphon.service.limits.admission import Admission, draw_together
from antiphon.service.limits.records import RecordsInMemory

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = {LimitType.REQUESTS: 10, LimitType.INPUT: 1000, LimitType.OUTPUT: 500}
RATES = applied([(Scope.ORGANIZATION, "o", LIMITS)], "m")
REQUESTS, INPUT, OUTPUT = (one.bucket for one in RATES.limits)


async def nothing(entries: Sequence[LedgerEntry]) -> None:
    """Take entries, and do nothing with them."""


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncGenerator[Ledger]:
    receivers = Receivers(nothing, nothing)
    async with open_ledger(tmp_path, receivers, now=lambda: NOON, entropy=os.urandom) as ledger:
        yield ledger


def admitted(ledger: Ledger, number: int = 1) -> Admission:
    opening = Opening(id=f"req_{number}", started_at=NOON, model="m", served_model="m")
    drawn = {LimitType.REQUESTS: 1, LimitType.INPUT: 100}
    return Admission(ledger, opening, RATES, drawn, {})


async def test_new_admission_has_drawn_its_amounts(ledger: Ledger) -> None:
    assert admitted(ledger).undrawn() == ()


async def test_produced_output_is_drawn_once(ledger: Ledger) -> None:
    admission = admitted(ledger)
    admission.produced(3, 0)
    admission.produced(7, 2)
    assert admission.undrawn() == (Draw(OUTPUT, 500, 7),)
    admission.mark_drawn()
    assert admission.undrawn() == ()
    admission.produced(9, 2)
    assert admission.undrawn() == (Draw(OUTPUT, 500, 2),)


async def test_prompt_corrects_the_input_and_leaves_out_cache_reads(ledger: Ledger) -> None:
    admission = admitted(ledger)
    admission.prompt(TokenCounts(input=20, cache_write_5m=5, cache_read=60))
    assert admission.undrawn() == (Draw(INPUT, 1000, -75),)


async def test_failed_request_gives_its_tokens_back_and_not_itself(ledger: Ledger) -> None:
    admission = admitted(ledger)
    admission.produced(7, 0)
    admission.mark_drawn()
    admission.close(Outcome.FAILED, TokenCounts())
    assert admission.undrawn() == (Draw(INPUT, 1000, -100), Draw(OUTPUT, 500, -7))


async def test_closed_admission_ignores_later_calls(ledger: Ledger) -> None:
    admission = admitted(ledger)
    bill = admission.close(Outcome.INTERRUPTED, TokenCounts(input=100, output=3))
    assert bill is not None
    assert bill.tokens.output == 3
    admission.produced(1000, 0)
    admission.prompt(TokenCounts(input=1000))
    assert admission.close(Outcome.COMPLETED) is None
    assert admission.undrawn() == (Draw(OUTPUT, 500, 3),)


async def test_draws_of_several_requests_are_added_up_by_bucket(ledger: Ledger) -> None:
    admissions = [admitted(ledger, number) for number in range(3)]
    admissions[0].produced(3, 0)
    admissions[1].produced(4, 0)
    admissions[1].prompt(TokenCounts(input=90))
    assert set(draw_together(admissions)) == {Draw(OUTPUT, 500, 7), Draw(INPUT, 1000, -10)}
    assert draw_together(admissions) == ()


async def test_first_token_is_noted_once_with_the_time_since_the_admission() -> None:
    times = (NOON + timedelta(seconds=1.5 * number) for number in count())
    noted: list[float] = []
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="m")
    records = RecordsInMemory(lambda: next(times))
    records.now()
    admission = Admission(records, opening, RATES, {}, {}, note_first_token=noted.append)
    admission.produced(1, 0)
    admission.produced(2, 0)
    assert noted == [1.5]


async def test_wait_for_money_is_no_part_of_the_time_to_the_first_token() -> None:
    noted: list[float] = []
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="m", money_us=4_000_000)
    records = RecordsInMemory(lambda: NOON + timedelta(seconds=5))
    admission = Admission(records, opening, RATES, {}, {}, note_first_token=noted.append)
    admission.produced(1, 0)
    assert noted == [1.0]


def test_admission_in_memory_is_billed_for_what_its_record_has() -> None:
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="m", batch_id="b")
    admission = Admission(RecordsInMemory(lambda: NOON), opening, (), {}, {})
    admission.prompt(TokenCounts(input=20, cache_read=5))
    admission.produced(7, 2)
    bill = admission.close(Outcome.INTERRUPTED)
    assert bill is not None
    assert bill.tokens == TokenCounts(input=20, cache_read=5, output=7, thinking=2)
    assert (bill.id, bill.batch_id, bill.first_token_at) == ("req_1", "b", NOON)
