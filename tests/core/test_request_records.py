from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from antiphon.core.billing.ledger import Closing, Opening, entry_of
from antiphon.core.billing.pricing import Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.prompt_cache import CacheClaim, CachePlan, CachePoint
from antiphon.core.request_records import (
    NO_NOTE,
    BreakpointUse,
    ParkedTime,
    RequestFacts,
    RequestRecord,
    RunNote,
    breakpoint_uses,
    engine_that_answered,
    microseconds,
    phases,
    record_of_entry,
    record_of_run,
)

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ENTRY = entry_of(
    Opening(
        id="req_1",
        started_at=NOON,
        model="claude-opus-5-5",
        served_model="small",
        api_key_id="apikey_1",
        batch_id="msgbatch_1",
        price=Price(input=2, output=3),
    ),
    Closing(
        tokens=TokenCounts(input=5, output=7),
        outcome=Outcome.COMPLETED,
        first_token_at=NOON + timedelta(seconds=2),
        ended_at=NOON + timedelta(seconds=5),
    ),
)


def test_phases_are_told_by_the_first_token() -> None:
    assert phases(ENTRY) == (2_000_000, 3_000_000)
    assert phases(replace(ENTRY, first_token_at=None)) == (None, None)
    # A wait for money is no work on the prompt.
    assert phases(replace(ENTRY, money_us=1_500_000)) == (500_000, 3_000_000)
    assert phases(replace(ENTRY, money_us=9_000_000)) == (0, 3_000_000)


def test_wait_for_money_is_in_the_record_of_an_entry() -> None:
    record = record_of_entry(replace(ENTRY, money_us=1_500_000))
    assert (record.money_us, record.prefill_us) == (1_500_000, 500_000)
    assert record_of_entry(ENTRY).money_us is None


def test_no_time_is_below_zero_when_the_clock_goes_back() -> None:
    assert phases(replace(ENTRY, started_at=NOON + timedelta(1))) == (0, 3_000_000)
    assert microseconds(-1.5) == 0


def test_record_of_an_entry_is_its_facts() -> None:
    assert record_of_entry(ENTRY) == RequestRecord(
        id="req_1",
        ended_at=NOON + timedelta(seconds=5),
        route="/v1/messages",
        status=200,
        api_key_id="apikey_1",
        model="claude-opus-5-5",
        served_model="small",
        batch_id="msgbatch_1",
        duration_us=5_000_000,
        prefill_us=2_000_000,
        decode_us=3_000_000,
        tokens=TokenCounts(input=5, output=7),
        cost=31,
    )


def test_record_of_a_run_has_its_waits_its_engine_and_what_explains_it() -> None:
    facts = RequestFacts(price=Price(input=2, output=3))
    note = RunNote(gate_s=1.5, money_s=0.25, engine_number=2, facts=facts)
    record = record_of_run(ENTRY, note, ["llama", "messages_api"])
    assert record == replace(
        record_of_entry(ENTRY),
        duration_us=6_750_000,
        queue_us=1_500_000,
        money_us=250_000,
        engine="messages_api",
        engine_number=2,
        facts=facts,
    )


def test_time_for_which_a_run_was_parked_is_neither_reading_nor_writing() -> None:
    facts = RequestFacts(parked=ParkedTime(prefill_us=1_500_000, decode_us=250_000))
    record = record_of_run(ENTRY, RunNote(facts=facts), ["llama"])
    assert (record.prefill_us, record.decode_us) == (500_000, 2_750_000)
    assert record.duration_us == 5_000_000
    parked = record.facts.parked
    assert parked is not None
    assert parked.total_us == 1_750_000
    # Two clocks never agree.
    longer = RequestFacts(parked=ParkedTime(prefill_us=2_000_001))
    assert record_of_run(ENTRY, RunNote(facts=longer), ["llama"]).prefill_us == 0
    unread = replace(ENTRY, first_token_at=None)
    assert record_of_run(unread, RunNote(facts=facts), ["llama"]).prefill_us is None


def test_record_of_a_run_does_not_tell_waits_that_it_did_not_come_to() -> None:
    record = record_of_run(ENTRY, NO_NOTE, ["llama"])
    assert record == replace(record_of_entry(ENTRY), engine="llama")


def test_engine_is_open_where_none_of_several_has_begun() -> None:
    assert engine_that_answered(["a", "b"], 0) == (None, None)
    assert engine_that_answered(["a"], 0) == ("a", None)
    assert engine_that_answered(["a", "b"], 1) == ("a", 1)


def test_waits_of_runs_add_up() -> None:
    waits = RunNote(gate_s=1.0).after(RunNote(gate_s=2.0, money_s=3.0))
    assert (waits.gate_s, waits.money_s) == (3.0, 3.0)
    again = RunNote(money_s=1.0, engine_number=2).after(waits)
    assert (again.gate_s, again.money_s, again.engine_number) == (3.0, 4.0, 2)


def test_user_is_recorded_of_requests_without_a_key() -> None:
    with_key = replace(ENTRY, account_id="user_1")
    assert record_of_entry(with_key).account_id is None
    assert record_of_entry(replace(with_key, api_key_id=None)).account_id == "user_1"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INTERRUPTED])
def test_entry_that_is_not_complete_is_an_error(outcome: Outcome) -> None:
    record = record_of_entry(replace(ENTRY, outcome=outcome, error_type="api_error"))
    assert (record.status, record.error_type) == (500, "api_error")


def test_request_without_a_model_that_answers_was_not_admitted() -> None:
    assert record_of_entry(ENTRY).admitted
    refused = RequestRecord(id="req_2", ended_at=NOON, route="/", status=429, duration_us=1)
    assert not refused.admitted


@pytest.mark.parametrize(
    ("key", "status", "of_nobody"),
    [
        ("", 401, True),
        ("", 403, True),
        ("", 429, False),
        ("apikey_1", 403, False),
        ("", 200, False),
    ],
)
def test_request_of_nobody_was_refused_for_its_caller(
    key: str, status: int, *, of_nobody: bool
) -> None:
    record = RequestRecord(
        id="req_2", ended_at=NOON, route="/", status=status, api_key_id=key, duration_us=1
    )
    assert record.of_nobody is of_nobody
    assert not replace(record, account_id="user_1").of_nobody


def point(tokens: int) -> CachePoint:
    return CachePoint(tokens, bytes([tokens]), tokens, "5m")


def test_breakpoints_are_read_written_or_not_kept() -> None:
    plan = CachePlan(9, readable=(point(3),), writable=(point(2), point(3), point(5), point(7)))
    claim = CacheClaim(TokenCounts(), point(3), (point(5),))
    assert [(one.tokens, one.state) for one in breakpoint_uses(plan, claim)] == [
        (2, "read"),
        (3, "read"),
        (5, "written"),
        (7, "kept_none"),
    ]
    nothing = CacheClaim(TokenCounts(), None, ())
    assert breakpoint_uses(replace(plan, writable=(point(2),)), nothing) == (
        BreakpointUse(tokens=2, ttl="5m", state="kept_none"),
    )


def test_without_a_plan_or_a_claim_no_breakpoint_is_told() -> None:
    claim = CacheClaim(TokenCounts(), None, ())
    assert breakpoint_uses(None, claim) == ()
    assert breakpoint_uses(CachePlan(9, writable=(point(2),)), None) == ()
