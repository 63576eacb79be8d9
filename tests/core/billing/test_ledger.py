from datetime import UTC, datetime, timedelta

from antiphon.core.billing.ledger import Closing, Opening, entry_of, recorded_name
from antiphon.core.billing.pricing import Price
from antiphon.core.billing.usage import Costs, Outcome, TokenCounts

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_entry_has_all_facts_of_the_request_and_its_cost() -> None:
    opening = Opening(
        id="req_1",
        started_at=NOON,
        model="claude-haiku-5-5",
        served_model="smollm2",
        api_key_id="apikey_1",
        workspace_id="wrkspc_1",
        account_id="user_1",
        service_account_id="svac_1",
        batch_id="msgbatch_1",
        service_tier="batch",
        inference_geo="us",
        price=Price(input=3, output=10),
        search_price=1000,
    )
    closing = Closing(
        tokens=TokenCounts(input=3, cache_read=200_000, output=7),
        outcome=Outcome.COMPLETED,
        ended_at=NOON + timedelta(seconds=2),
        first_token_at=NOON + timedelta(seconds=1),
        stop_reason="end_turn",
        web_searches=2,
    )
    entry = entry_of(opening, closing)
    # A search costs the same in a batch.
    assert entry.costs == Costs(input=5, output=35, web_search=2000)
    assert entry.costs.total == 2040
    assert entry.uncached_cost == 200_003 * 3 // 2 + 1
    assert entry.context_window == "200k-1M"
    for part in (opening, closing):
        for field in set(part.__struct_fields__) - {"price", "search_price"}:
            assert getattr(entry, field) == getattr(part, field)


def test_valid_model_name_is_recorded_unchanged() -> None:
    assert recorded_name("claude-opus-5-5") == "claude-opus-5-5"


def test_unprintable_or_long_name_is_recorded_as_a_harmless_one() -> None:
    assert (
        recorded_name("claude-\x00\n\ud800" + "x" * 500) == "claude-\ufffd\ufffd\ufffd" + "x" * 246
    )


def test_opening_records_a_made_up_name_as_a_harmless_one() -> None:
    opening = Opening(id="req_1", started_at=NOON, model="claude-\x00", served_model="m")
    assert opening.model == "claude-\ufffd"


def test_out_of_range_token_counts_are_clamped() -> None:
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="m")
    closing = Closing(
        tokens=TokenCounts(input=-5, output=10**30, cache_read=7),
        outcome=Outcome.FAILED,
        ended_at=NOON,
    )
    assert entry_of(opening, closing).tokens == TokenCounts(output=10**9, cache_read=7)
