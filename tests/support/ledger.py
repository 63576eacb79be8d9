"""Made-up entries of the ledger."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from sqlalchemy import delete

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.price_list import LIST_PRICES, price_for
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.ids import ID_ENTROPY, workspace_id
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.rollup_tables import usage_groups, usage_rollups
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import add_entries, find_entries

# A Wednesday, in a week that begins in another month.
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)

# The id of the default workspace if every random byte is zero.
DEFAULT_WORKSPACE = workspace_id(bytes(ID_ENTROPY))
WORKSPACES = (None, DEFAULT_WORKSPACE, "wrkspc_a", "wrkspc_b")
KEYS = (None, "apikey_1", "apikey_2")
SEARCH_PRICE = 10_000_000
MODELS = ("claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-5-20250929", "small")


def an_entry(
    number: int = 1, at: datetime = NOON, searches: int = 0, **fields: object
) -> LedgerEntry:
    """Return the entry of a request that began at this time; `fields` go into its opening.

    A search of the web costs a cent.
    """
    values = {"model": "claude-opus-5-5", "served_model": "small", **fields}
    price = price_for(str(values["model"]), "small", None)
    opening = Opening(
        id=f"req_{number}", started_at=at, price=price, search_price=SEARCH_PRICE, **values
    )
    tokens = TokenCounts(
        input=10, cache_write_5m=3, cache_write_1h=2, cache_read=100, output=7, thinking=4
    )
    closing = Closing(
        tokens=tokens,
        outcome=Outcome.COMPLETED,
        ended_at=at + timedelta(1),
        web_searches=searches,
    )
    return entry_of(opening, closing)


async def find_entry(connection: AsyncConnection, entry_id: str) -> LedgerEntry | None:
    """Read an entry back from the database."""
    return next(iter(await find_entries(connection, [entry_id])), None)


async def rewrite(connection: AsyncConnection, entries: Sequence[LedgerEntry]) -> None:
    """Make these the only entries, with their roll-ups."""
    for table in (ledger, usage_rollups, usage_groups):
        await connection.execute(delete(table))
    await add_entries(connection, entries)


def moments(start: datetime, span: timedelta) -> st.SearchStrategy[datetime]:
    """Draw a microsecond of a span; the first and the last are more likely."""
    last = span // timedelta(microseconds=1) - 1
    micros = st.integers(0, last) | st.sampled_from([0, last])
    return micros.map(lambda micros: start + timedelta(microseconds=micros))


counts = st.integers(0, 300_000) | st.just(0)
tokens = st.builds(
    TokenCounts,
    input=counts,
    cache_write_5m=counts,
    cache_write_1h=counts,
    cache_read=counts,
    output=counts,
    thinking=counts,
)


@st.composite
def ledgers(
    draw: st.DrawFn, start: datetime, span: timedelta, size: int = 30
) -> Sequence[LedgerEntry]:
    """Draw the entries of a ledger whose requests all began within a span."""
    entries = []
    for number in range(draw(st.integers(0, size))):
        model = draw(st.sampled_from(MODELS))
        at = draw(moments(start, span))
        opening = Opening(
            id=f"req_{number}",
            started_at=at,
            model=model,
            served_model="small",
            api_key_id=draw(st.sampled_from(KEYS)),
            workspace_id=draw(st.sampled_from(WORKSPACES)),
            account_id=draw(st.sampled_from([None, "user_1"])),
            service_account_id=draw(st.sampled_from([None, "svac_1"])),
            service_tier=draw(st.sampled_from(["standard", "batch"])),
            inference_geo=draw(st.sampled_from(["not_available", "us"])),
            price=LIST_PRICES.get(model) or price_for(model, "small", None),
            search_price=SEARCH_PRICE,
        )
        outcome = draw(st.sampled_from(Outcome))
        searches = draw(st.sampled_from([0, 0, 1, 3]))
        closing = Closing(tokens=draw(tokens), outcome=outcome, ended_at=at, web_searches=searches)
        entries.append(entry_of(opening, closing))
    return entries
