import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import select

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.price_list import LIST_PRICES
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.service.delivery import ENDED_AT_ONCE, Delivery, Pace, TakeEntries
from antiphon.service.ledger import (
    MOST_KEPT,
    MOST_SAVED_AT_ONCE,
    Ledger,
    Receivers,
    open_ledger,
    saving_to,
    take_over,
)
from antiphon.service.limits.admission import Admission
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import migrate
from antiphon.store.database.tables import ledger as table
from antiphon.store.journal import SLOT_SIZE, JournalError
from support.ledger import an_entry
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEVER_S = 3600
TOKENS = TokenCounts(input=10, cache_read=20, output=7, thinking=2)


class Clock:
    """A clock that moves by a second at each call."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


async def nothing(entries: Sequence[LedgerEntry]) -> None:
    """Accept entries and drop them."""


class FakeReceiver:
    """Records entries and passes them on; while `away`, it refuses them."""

    def __init__(self, behind: TakeEntries = nothing) -> None:
        self._behind = behind
        self.taken: list[list[LedgerEntry]] = []
        self.away = False
        self.news = anyio.Event()

    async def take(self, entries: Sequence[LedgerEntry]) -> None:
        if self.away:
            self.news.set()
            raise StoreError("It is away")
        await self._behind(entries)
        self.taken.append(list(entries))
        self.news.set()

    @property
    def ids(self) -> list[str]:
        return [entry.id for batch in self.taken for entry in batch]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@asynccontextmanager
async def opened(
    folder: Path,
    database: Database,
    *,
    settle: TakeEntries = nothing,
    save: TakeEntries | None = None,
    flush_every_s: float = NEVER_S,
) -> AsyncGenerator[Ledger]:
    """Start as a server does: with the entries that a dead process has left."""
    receivers = Receivers(settle, save or saving_to(database))
    await take_over(folder, receivers)
    async with open_ledger(
        folder, receivers, now=Clock(), entropy=os.urandom, flush_every_s=flush_every_s
    ) as ledger:
        yield ledger


def begin(ledger: Ledger, opening: Opening) -> Admission:
    """Admit a request that nothing limits."""
    return Admission(ledger, opening, rates=(), drawn={}, headers={})


@asynccontextmanager
async def killed(
    folder: Path, database: Database, settle: TakeEntries = nothing
) -> AsyncGenerator[Ledger]:
    """A ledger whose process is killed at the end: what the journal holds then is what is left."""
    kept = folder.with_name("kept")
    async with opened(folder, database, settle=settle) as ledger:
        yield ledger
        shutil.copytree(folder, kept)
    shutil.rmtree(folder)
    kept.rename(folder)


def opening(number: int = 1, model: str = "claude-haiku-5-5") -> Opening:
    return Opening(
        id=f"req_{number}",
        started_at=NOON,
        model=model,
        served_model="small",
        price=LIST_PRICES["claude-haiku-5-5"],
    )


def files(folder: Path, kind: str) -> list[Path]:
    return list(folder.glob(f"*.{kind}"))


async def rows(database: Database) -> dict[str, tuple[str, int, int]]:
    """The outcome, output and cost of each entry of the database."""
    async with database.read() as connection:
        columns = (table.c.id, table.c.outcome, table.c.output_tokens, table.c.cost)
        found = await connection.execute(select(*columns).order_by(table.c.id))
        return {row.id: (row.outcome, row.output_tokens, row.cost) for row in found}


async def test_closed_entry_is_in_the_database_with_its_times_and_its_bill(
    database: Database, folder: Path
) -> None:
    async with opened(folder, database) as ledger:
        entry = begin(ledger, opening())
        entry.prompt(TOKENS)
        entry.produced(3, 0)
        entry.produced(7, 2)
        bill = entry.close(Outcome.COMPLETED, TOKENS, stop_reason="end_turn")
        await ledger.flush()
        async with database.read() as connection:
            row = (await connection.execute(select(table))).one()
    assert bill is not None
    assert (row.started_at, row.stop_reason) == (NOON, "end_turn")
    assert NOON < row.first_token_at < row.ended_at
    assert row.cost == bill.costs.total == 10 * 100 + 20 * 10 + 7 * 500


async def test_open_entry_is_not_delivered(database: Database, folder: Path) -> None:
    async with opened(folder, database) as ledger:
        begin(ledger, opening())
        await ledger.flush()
        assert await rows(database) == {}


async def test_entry_closed_without_counts_is_billed_by_its_live_counters(
    database: Database, folder: Path
) -> None:
    async with opened(folder, database) as ledger:
        entry = begin(ledger, opening())
        entry.prompt(TokenCounts(input=10))
        entry.produced(4, 0)
        entry.close(Outcome.INTERRUPTED)
        refused = begin(ledger, opening(2))
        refused.close(Outcome.FAILED, error_type="overloaded_error")
        await ledger.flush()
        assert await rows(database) == {
            "req_1": ("interrupted", 4, 3000),
            "req_2": ("failed", 0, 0),
        }


async def test_closed_entry_ignores_later_calls(database: Database, folder: Path) -> None:
    async with opened(folder, database) as ledger:
        first = begin(ledger, opening(1))
        first.close(Outcome.COMPLETED, TOKENS)
        await ledger.flush()
        # The next request has the place of the first one.
        second = begin(ledger, opening(2))
        second.produced(5, 0)
        first.prompt(TOKENS)
        first.produced(1000, 0)
        assert first.close(Outcome.FAILED, TOKENS) is None
        second.close(Outcome.INTERRUPTED)
        await ledger.flush()
        assert await rows(database) == {
            "req_1": ("completed", 7, 4700),
            "req_2": ("interrupted", 5, 2500),
        }


async def test_entries_are_delivered_to_the_counters_before_the_database_and_in_order(
    database: Database, folder: Path
) -> None:
    counters, keys = FakeReceiver(), FakeReceiver(saving_to(database))
    async with opened(folder, database, settle=counters.take, save=keys.take) as ledger:
        many = [f"req_{number}" for number in range(MOST_SAVED_AT_ONCE + 5)]
        for number in range(len(many)):
            begin(ledger, opening(number)).close(Outcome.COMPLETED, TOKENS)
        await ledger.flush()
    assert counters.ids == keys.ids == many
    assert [len(batch) for batch in keys.taken] == [MOST_SAVED_AT_ONCE, 5]
    assert list(await rows(database)) == sorted(many)


async def test_what_is_closed_during_a_delivery_waits_for_the_next() -> None:
    taken: list[int] = []

    async def take(entries: Sequence[LedgerEntry]) -> None:
        taken.append(len(entries))
        if len(taken) < 9:
            # As under load: there is always something new.
            delivery.add(3)

    delivery = Delivery("database", lambda _: an_entry(), take, lambda *_: None, Pace(0))
    for number in (1, 2):
        delivery.add(number)
    await delivery.deliver()
    assert taken == [2]
    await delivery.deliver()
    assert taken == [2, 1]


async def test_large_batch_lets_others_run_before_all_its_slots_are_free() -> None:
    done: list[int] = []
    seen: list[int] = []

    async def take(_: Sequence[LedgerEntry]) -> None:
        asyncio.get_running_loop().call_soon(lambda: seen.append(len(done)))

    pace = Pace(0, 3 * ENDED_AT_ONCE)
    delivery = Delivery(
        "database", lambda _: an_entry(), take, lambda number, _: done.append(number), pace
    )
    for number in range(2 * ENDED_AT_ONCE):
        delivery.add(number)
    await delivery.deliver()
    assert done == list(range(2 * ENDED_AT_ONCE))
    assert seen == [ENDED_AT_ONCE]


async def test_closed_entries_are_delivered_without_a_flush(
    database: Database, folder: Path
) -> None:
    counters, keys = FakeReceiver(), FakeReceiver(saving_to(database))
    async with opened(
        folder, database, settle=counters.take, save=keys.take, flush_every_s=0.001
    ) as ledger:
        begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
        with anyio.fail_after(30):
            await counters.news.wait()
            await keys.news.wait()


async def test_flush_at_the_end_leaves_nothing_in_the_journal(
    database: Database, folder: Path
) -> None:
    async with opened(folder, database) as ledger:
        begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
    assert list(await rows(database)) == ["req_1"]
    assert files(folder, "journal") == []


@pytest.mark.parametrize("place", ["counters", "database"])
async def test_delivery_is_repeated_until_its_receiver_is_back(
    database: Database, folder: Path, place: str
) -> None:
    receiver = FakeReceiver(nothing if place == "counters" else saving_to(database))
    receiver.away = True
    away = {"settle" if place == "counters" else "save": receiver.take}
    async with opened(folder, database, **away, flush_every_s=0.001) as ledger:
        begin(ledger, opening(1)).close(Outcome.COMPLETED, TOKENS)
        with anyio.fail_after(30):
            await receiver.news.wait()
            with pytest.raises(StoreError, match="It is away"):
                await ledger.flush()
            begin(ledger, opening(2)).close(Outcome.COMPLETED, TOKENS)
            assert await rows(database) == {}
            receiver.away, receiver.news = False, anyio.Event()
            await receiver.news.wait()
        await ledger.flush()
        assert list(await rows(database)) == ["req_1", "req_2"]
    assert receiver.ids == ["req_1", "req_2"]


async def test_entries_wait_for_a_database_that_is_locked(sqlite_path: Path, folder: Path) -> None:
    other = await open_database(sqlite_url(sqlite_path))
    await migrate(other)
    impatient = await open_database(sqlite_url(sqlite_path), patience_s=0.01)
    async with opened(folder, impatient) as ledger:
        async with other.write():
            begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
            with pytest.raises(StoreError, match="locked by another process"):
                await ledger.flush()
        await ledger.flush()
        assert list(await rows(other)) == ["req_1"]
    await impatient.aclose()
    await other.aclose()


@pytest.mark.parametrize("again_after", range(4))
async def test_ledger_that_is_cancelled_again_while_it_ends_saves_its_last_entries(
    database: Database, folder: Path, again_after: int
) -> None:
    began, may_save = anyio.Event(), anyio.Event()

    async def slow(entries: Sequence[LedgerEntry]) -> None:
        began.set()
        await may_save.wait()
        await saving_to(database)(entries)

    async def serve() -> None:
        async with opened(folder, database, save=slow) as ledger:
            begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
            await anyio.sleep_forever()

    server = asyncio.create_task(serve())
    await anyio.wait_all_tasks_blocked()
    server.cancel()
    for _ in range(again_after):
        await asyncio.sleep(0)
    server.cancel()
    with anyio.fail_after(30):
        await began.wait()
        server.cancel()
        may_save.set()
        with pytest.raises(asyncio.CancelledError):
            await server
    assert list(await rows(database)) == ["req_1"]
    assert files(folder, "journal") == []


async def test_entries_that_the_database_refuses_are_left_to_the_next_start(
    database: Database, folder: Path
) -> None:
    away = FakeReceiver()
    away.away = True
    async with opened(folder, database, save=away.take) as ledger:
        begin(ledger, opening(1)).close(Outcome.COMPLETED, TOKENS)
        begin(ledger, opening(2)).produced(5, 0)
    assert await rows(database) == {}
    async with opened(folder, database):
        assert await rows(database) == {
            "req_1": ("completed", 7, 4700),
            "req_2": ("interrupted", 5, 2500),
        }


async def test_kill_between_the_database_and_the_journal_doubles_nothing(
    database: Database, folder: Path
) -> None:
    counters = FakeReceiver()
    async with killed(folder, database, counters.take) as ledger:
        begin(ledger, opening(1)).close(Outcome.COMPLETED, TOKENS)
        begin(ledger, opening(2)).produced(3, 0)
    # The ledger's end has added the first one, and the journal still has both.
    assert list(await rows(database)) == ["req_1"]
    async with opened(folder, database, settle=counters.take):
        pass
    assert await rows(database) == {
        "req_1": ("completed", 7, 4700),
        "req_2": ("interrupted", 3, 1500),
    }
    assert counters.ids == ["req_1", "req_1", "req_2"]


async def test_start_that_fails_leaves_the_journals_to_the_next_one(
    database: Database, folder: Path
) -> None:
    async with killed(folder, database) as ledger:
        begin(ledger, opening(1)).produced(3, 0)
    away = FakeReceiver()
    away.away = True
    with pytest.raises(StoreError, match="It is away"):
        async with opened(folder, database, save=away.take):
            pass
    async with opened(folder, database):
        assert list(await rows(database)) == ["req_1"]


async def test_damaged_slot_keeps_no_other_entry_from_the_database(
    database: Database, folder: Path
) -> None:
    async with killed(folder, database) as ledger:
        begin(ledger, opening(1)).produced(3, 0)
        begin(ledger, opening(2)).produced(3, 0)
    (path,) = files(folder, "journal")
    with path.open("r+b") as file:
        file.seek(SLOT_SIZE + 700)
        file.write(b"\xff\xff")
    async with opened(folder, database):
        assert list(await rows(database)) == ["req_2"]
    assert files(folder, "damaged") == [path.with_suffix(".damaged")]


def plant_damage(folder: Path, slot: int) -> None:
    """Break the checksum of a slot, as a failing disk or a stray write would."""
    (path,) = files(folder, "journal")
    with path.open("r+b") as file:
        file.seek(slot * SLOT_SIZE + 700)
        file.write(b"\xff\xff")


def close_more_than_memory_keeps(ledger: Ledger) -> list[str]:
    """Close requests of which the last three are only in the journal, and return their ids."""
    for number in range(MOST_KEPT + 3):
        begin(ledger, opening(number)).close(Outcome.COMPLETED, TOKENS)
    return [f"req_{number}" for number in range(MOST_KEPT + 3)]


async def test_slot_that_is_damaged_while_the_database_is_away_stops_no_other(
    database: Database, folder: Path
) -> None:
    receiver, counters = FakeReceiver(saving_to(database)), FakeReceiver()
    receiver.away = True
    async with opened(folder, database, settle=counters.take, save=receiver.take) as ledger:
        ids = close_more_than_memory_keeps(ledger)
        with pytest.raises(StoreError):
            await ledger.flush()
        damaged = MOST_KEPT + 2  # the slot of the last but one: slots are numbered from 1
        plant_damage(folder, damaged)
        receiver.away = False
        with capture_logs() as logs:
            await ledger.flush()
        lost = ids.pop(-2)
        assert sorted(await rows(database)) == sorted(ids)
        # The counters had its bill before it was damaged.
        assert lost in counters.ids
        (path,) = files(folder, "damaged")
        assert logs == [
            {
                "event": "ledger.slot_damaged",
                "log_level": "error",
                "path": str(path),
                "slot": damaged,
            }
        ]
        assert ledger.damaged == [path]
        assert f'"{lost}"'.encode() in path.read_bytes()
        # Deliveries go on, also from that slot.
        begin(ledger, opening(9999)).close(Outcome.COMPLETED, TOKENS)
        await ledger.flush()
        assert receiver.ids[-1] == "req_9999"
    assert files(folder, "journal") == []
    with capture_logs() as logs:
        async with opened(folder, database) as ledger:
            assert ledger.damaged == [path]
    assert [(log["event"], log["path"]) for log in logs] == [
        ("ledger.damaged_file_waits", str(path))
    ]
    async with opened(folder, database) as ledger:
        path.unlink()
        assert ledger.damaged == []


async def test_slot_that_is_damaged_before_the_counters_have_it_is_settled_as_free(
    database: Database, folder: Path
) -> None:
    counters = FakeReceiver()
    counters.away = True
    async with opened(folder, database, settle=counters.take) as ledger:
        ids = close_more_than_memory_keeps(ledger)
        plant_damage(folder, MOST_KEPT + 3)
        counters.away = False
        await ledger.flush()
        # Every hold ends, and only the damaged request costs nothing.
        assert counters.ids == ids
        entries = [entry for batch in counters.taken for entry in batch]
        assert [entry.id for entry in entries if not entry.costs.total] == ids[-1:]
        assert ids[-1] not in await rows(database)
        assert len(await rows(database)) == len(ids) - 1


async def test_damaged_slot_that_cannot_be_copied_stays_in_the_journal(
    database: Database, folder: Path
) -> None:
    receiver = FakeReceiver(saving_to(database))
    receiver.away = True
    async with opened(folder, database, save=receiver.take) as ledger:
        ids = close_more_than_memory_keeps(ledger)
        plant_damage(folder, MOST_KEPT + 1)
        (journal,) = files(folder, "journal")
        in_the_way = journal.with_name(f"{journal.stem}-slots.damaged")
        in_the_way.mkdir()
        receiver.away = False
        with capture_logs() as logs:
            await ledger.flush()
        assert [log["event"] for log in logs] == [
            "ledger.slot_not_set_aside",
            "ledger.slot_damaged",
        ]
        assert logs[1]["path"] == str(journal)
        lost = ids.pop(MOST_KEPT)
        assert sorted(await rows(database)) == sorted(ids)
        assert ledger.damaged == [journal]
    in_the_way.rmdir()
    async with opened(folder, database) as ledger:
        assert ledger.damaged == [journal.with_suffix(".damaged")]
        assert f'"{lost}"'.encode() in ledger.damaged[0].read_bytes()


async def test_defect_that_stops_a_delivery_refuses_requests(
    database: Database, folder: Path
) -> None:
    called = anyio.Event()

    async def broken(entries: Sequence[LedgerEntry]) -> None:
        called.set()
        raise KeyError(entries[0].id)

    async def run() -> None:
        async with opened(folder, database, settle=broken) as ledger:
            begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
            await called.wait()
            await anyio.wait_all_tasks_blocked()
            assert ledger.refused == "The ledger has stopped after a defect: restart the server"
            with pytest.raises(JournalError, match="restart the server"):
                ledger.open(opening(2))

    with pytest.raises(KeyError):
        await run()


async def test_entry_with_a_made_up_model_name_is_recorded(
    database: Database, folder: Path
) -> None:
    async with opened(folder, database) as ledger:
        name = "claude-\x00\n\"'\ud800" + "x" * 100_000
        begin(ledger, opening(1, model=name)).close(Outcome.COMPLETED, TOKENS)
        await ledger.flush()
        assert list(await rows(database)) == ["req_1"]


async def test_exception_of_a_receiver_is_logged_and_loses_no_entry(
    database: Database, folder: Path
) -> None:
    called = anyio.Event()

    async def broken(entries: Sequence[LedgerEntry]) -> None:
        called.set()
        raise KeyError(entries[0].id)

    async def run() -> None:
        async with opened(folder, database, settle=broken) as ledger:
            begin(ledger, opening()).close(Outcome.COMPLETED, TOKENS)
            await called.wait()

    with capture_logs() as logs, pytest.raises(KeyError):
        await run()
    assert [log["event"] for log in logs] == ["ledger.stopped"]
    async with opened(folder, database):
        assert list(await rows(database)) == ["req_1"]


def committed(*numbers: int) -> list[LedgerEntry]:
    """Entries that a worker of batches has committed, as it has them."""
    closing = Closing(tokens=TOKENS, outcome=Outcome.COMPLETED, ended_at=NOON)
    return [entry_of(opening(number), closing) for number in numbers]


async def test_committed_entries_are_settled_and_not_saved(
    folder: Path, database: Database
) -> None:
    counters, saved = FakeReceiver(), FakeReceiver()
    async with opened(folder, database, settle=counters.take, save=saved.take) as ledger:
        await ledger.settle_committed(committed(1, 2))
        assert counters.ids == ["req_1", "req_2"]
        await ledger.settle_committed([])
        await ledger.flush()
    assert saved.taken == []
    assert not files(folder, "journal")


async def test_committed_entries_wait_for_counters_that_are_away(
    folder: Path, database: Database
) -> None:
    counters = FakeReceiver()
    counters.away = True
    async with opened(folder, database, settle=counters.take) as ledger:
        settled = ledger.settle_committed(committed(1))
        await counters.news.wait()
        assert not settled.done()
        counters.away = False
        await settled
    assert counters.ids == ["req_1"]


async def test_end_of_the_ledger_cancels_the_wait_for_a_settlement(
    folder: Path, database: Database
) -> None:
    counters = FakeReceiver()
    counters.away = True
    async with opened(folder, database, settle=counters.take) as ledger:
        settled = ledger.settle_committed(committed(1))
        gone = ledger.settle_committed(committed(2))
        gone.cancel()
    assert settled.cancelled()


async def test_waiter_that_has_left_stops_no_settlement(folder: Path, database: Database) -> None:
    counters = FakeReceiver()
    async with opened(folder, database, settle=counters.take) as ledger:
        ledger.settle_committed(committed(1)).cancel()
        await ledger.settle_committed(committed(2))
    assert counters.ids == ["req_1", "req_2"]


async def test_released_request_is_settled_as_free(folder: Path, database: Database) -> None:
    counters = FakeReceiver()
    async with opened(folder, database, settle=counters.take) as ledger:
        ledger.release("workerreq_1")
        await ledger.flush()
    [[entry]] = counters.taken
    assert (entry.id, entry.costs.total) == ("workerreq_1", 0)
