import errno
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.price_list import LIST_PRICES
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.store.journal import (
    SEGMENT_SLOTS,
    SLOT_SIZE,
    Journal,
    JournalError,
    damaged_files,
    dead_journals,
    ended_entries,
)
from support.examples import examples

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROMPT = TokenCounts(input=10, cache_write_5m=20, cache_write_1h=30, cache_read=40)
CLOSING = Closing(
    tokens=TokenCounts(input=10, output=7, thinking=3),
    outcome=Outcome.COMPLETED,
    ended_at=NOON + timedelta(seconds=3),
    first_token_at=NOON + timedelta(seconds=1),
    stop_reason="end_turn",
)


def opening(number: int = 1, model: str = "claude-haiku-5-5") -> Opening:
    return Opening(
        id=f"req_{number}",
        started_at=NOON,
        model=model,
        served_model="small",
        api_key_id="apikey_1",
        price=LIST_PRICES["claude-haiku-5-5"],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Journal:
    return Journal.create(folder, "one")


def left(folder: Path) -> list[LedgerEntry | None]:
    """Return the entries in the journals of dead processes, as the next process reads them."""
    journals = dead_journals(folder)
    try:
        return [entry for journal in journals for entry in journal.entries()]
    finally:
        for journal in journals:
            journal.close()


def test_closed_request_is_read_back_with_its_end_and_its_price(
    journal: Journal, folder: Path
) -> None:
    slot = journal.open(opening())
    slot.prompt(PROMPT)
    slot.close(CLOSING)
    assert slot.entry() == entry_of(opening(), CLOSING)
    journal.close()
    assert left(folder) == [entry_of(opening(), CLOSING)]


def test_request_without_an_end_is_interrupted_with_its_live_counters(
    journal: Journal, folder: Path
) -> None:
    slot = journal.open(opening())
    slot.prompt(PROMPT)
    slot.first_token(NOON + timedelta(seconds=2))
    slot.produced(5, 4)
    slot.produced(9, 4)
    journal.tick(NOON + timedelta(seconds=60))
    journal.close()
    (entry,) = left(folder)
    assert entry is not None
    assert entry.outcome is Outcome.INTERRUPTED
    assert entry.tokens == TokenCounts(
        input=10, cache_write_5m=20, cache_write_1h=30, cache_read=40, output=9, thinking=4
    )
    assert entry.costs.total == 10 * 100 + 20 * 125 + 30 * 200 + 40 * 10 + 9 * 500
    assert entry.first_token_at == NOON + timedelta(seconds=2)
    assert entry.ended_at == NOON + timedelta(seconds=60)


def test_searches_of_the_web_are_due_also_without_an_end(journal: Journal, folder: Path) -> None:
    slot = journal.open(replace(opening(), search_price=5))
    slot.searched(1)
    slot.searched(2)
    assert slot.searches == 2
    journal.close()
    (entry,) = left(folder)
    assert entry is not None
    assert (entry.web_searches, entry.costs.web_search, entry.costs.total) == (2, 10, 10)


def test_request_without_counts_costs_nothing(journal: Journal, folder: Path) -> None:
    journal.open(opening())
    journal.close()
    (entry,) = left(folder)
    assert entry is not None
    assert (entry.costs.total, entry.ended_at, entry.first_token_at) == (0, NOON, None)


def test_request_in_a_used_slot_has_nothing_of_the_one_before(
    journal: Journal, folder: Path
) -> None:
    first = journal.open(opening(1, model="claude-" + "x" * 200))
    first.prompt(PROMPT)
    first.first_token(NOON)
    first.produced(5, 5)
    first.close(CLOSING)
    journal.free(first.number)
    assert journal.open(opening(2)).number == first.number
    journal.close()
    (entry,) = left(folder)
    assert entry is not None
    assert (entry.id, entry.outcome, entry.tokens) == ("req_2", Outcome.INTERRUPTED, TokenCounts())
    assert (entry.model, entry.first_token_at) == ("claude-haiku-5-5", None)


def test_journal_of_a_living_process_is_not_taken_over(journal: Journal, folder: Path) -> None:
    journal.open(opening())
    assert dead_journals(folder) == []


def test_journal_that_is_taken_over_is_not_taken_twice(journal: Journal, folder: Path) -> None:
    journal.open(opening())
    journal.close()
    (taken,) = dead_journals(folder)
    assert dead_journals(folder) == []
    taken.remove()
    taken.close()
    assert dead_journals(folder) == []


def test_idle_journal_leaves_no_file(journal: Journal, folder: Path) -> None:
    slot = journal.open(opening())
    assert not journal.idle
    slot.close(CLOSING)
    journal.free(slot.number)
    assert journal.idle
    journal.close()
    assert list(folder.glob("*.journal")) == []


def test_journal_and_its_folder_are_for_their_owner_alone(journal: Journal, folder: Path) -> None:
    assert journal.idle
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "one.journal").stat().st_mode & 0o777 == 0o600


def test_journal_grows_and_forgets_nothing(journal: Journal, folder: Path) -> None:
    many = 5 * SEGMENT_SLOTS
    for number in range(many):
        journal.open(opening(number)).produced(number, 0)
    journal.close()
    found = {entry.id: entry.tokens.output for entry in left(folder) if entry}
    assert found == {f"req_{number}": number for number in range(many)}


def read_bytes() -> int:
    """Return how many bytes this process has asked the system for."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="counts by the kernel")
def test_each_page_of_a_dead_journal_is_read_once(journal: Journal, folder: Path) -> None:
    for number in range(3 * SEGMENT_SLOTS):
        journal.open(opening(number))
    journal.close()
    (dead,) = dead_journals(folder)
    before, size = read_bytes(), dead.path.stat().st_size
    entries = dead.entries()
    assert next(entries) is not None
    # They are read one by one, so that a long journal needs no memory.
    assert read_bytes() - before < size / 10
    assert len(list(entries)) == 3 * SEGMENT_SLOTS - 1
    assert read_bytes() - before <= size + 10_000
    dead.close()


def test_memory_that_a_burst_has_needed_is_given_back_with_nothing_lost(
    journal: Journal, folder: Path
) -> None:
    slots = [journal.open(opening(number)) for number in range(4 * SEGMENT_SLOTS)]
    before = mapped_kb(folder)
    journal.let_go()
    if before:  # it is known only on Linux
        assert mapped_kb(folder) < before / 2
    for slot in slots:
        slot.close(CLOSING)
    assert [slot.entry().id for slot in slots] == [f"req_{n}" for n in range(len(slots))]


def mapped_kb(folder: Path) -> int:
    """How much of the files in a folder this process has in its memory."""
    smaps = Path("/proc/self/smaps")
    found, ours = 0, False
    for line in smaps.read_text().splitlines() if smaps.exists() else ():
        name, *fields = line.split()
        if not name.endswith(":"):
            ours = str(folder) in line
        elif ours and name == "Rss:":
            found += int(fields[0])
    return found


def test_request_that_fits_into_no_slot_is_refused_and_leaves_no_trace(
    journal: Journal, folder: Path
) -> None:
    with pytest.raises(ValueError, match="fits into no slot"):
        journal.open(replace(opening(), served_model="x" * SLOT_SIZE))
    assert journal.idle
    slot = journal.open(opening())
    with pytest.raises(ValueError, match="fits into no slot"):
        slot.close(
            Closing(tokens=PROMPT, outcome=Outcome.FAILED, ended_at=NOON, error_type="x" * 600)
        )
    slot.close(CLOSING)
    journal.close()
    assert left(folder) == [entry_of(opening(), CLOSING)]


def test_file_without_a_header_has_no_entries(folder: Path) -> None:
    folder.mkdir()
    (folder / "killed.journal").touch()
    (folder / "killed-later.journal").write_bytes(bytes(SLOT_SIZE * 3))
    assert left(folder) == []


def test_journal_of_another_release_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir()
    path = folder / "newer.journal"
    path.write_bytes(bytes(SLOT_SIZE - 19) + b"antiphon journal 2\n")
    with pytest.raises(JournalError, match="no journal of this release"):
        dead_journals(folder)
    assert path.exists()


def test_error_names_the_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"The journals in .*/x cannot be read: Not a dir"):
        dead_journals(tmp_path / "file/x")
    with pytest.raises(JournalError, match=r"The journal .* cannot be made: Not a directory"):
        Journal.create(tmp_path / "file/x", "one")


FULL = """
import resource, signal, sys
from pathlib import Path
from antiphon.store.journal import Journal, JournalError
from store.test_journal import opening, SLOT_SIZE, SEGMENT_SLOTS
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (SLOT_SIZE * SEGMENT_SLOTS,) * 2)
journal = Journal.create(Path(sys.argv[1]), "full")
for number in range(SEGMENT_SLOTS):
    try:
        journal.open(opening(number))
    except JournalError as error:
        print(number, error)
"""


def test_full_disk_refuses_the_next_request_and_keeps_the_others(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, folder],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"255 The journal cannot grow: {os.strerror(errno.EFBIG)}\n"
    assert len(left(folder)) == SEGMENT_SLOTS - 1


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def test_damaged_end_is_an_interruption_with_the_live_counters(
    journal: Journal, folder: Path
) -> None:
    slot = journal.open(opening())
    slot.produced(5, 0)
    slot.close(CLOSING)
    journal.close()
    damage(folder / "one.journal", slot.number * SLOT_SIZE + 130)
    (entry,) = left(folder)
    assert entry is not None
    assert (entry.outcome, entry.tokens.output) == (Outcome.INTERRUPTED, 5)


def test_damaged_request_is_told_apart_and_its_file_put_aside(
    journal: Journal, folder: Path
) -> None:
    slot = journal.open(opening(1))
    journal.open(opening(2))
    journal.close()
    damage(folder / "one.journal", slot.number * SLOT_SIZE + 700)
    (dead,) = dead_journals(folder)
    found = list(dead.entries())
    dead.put_aside()
    dead.close()
    assert [entry and entry.id for entry in found] == [None, "req_2"]
    assert [path.name for path in folder.glob("one.*")] == ["one.damaged"]
    assert dead_journals(folder) == []


def plant(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


@pytest.mark.parametrize("word", [8 * 3, 8 * 4 - SLOT_SIZE], ids=["first token", "clock"])
def test_moment_of_no_calendar_costs_no_entry(word: int, journal: Journal, folder: Path) -> None:
    slot = journal.open(opening())
    slot.produced(5, 0)
    journal.close()
    # The clock is in the first slot of the file, before that of the request.
    assert slot.number == 1
    plant(folder / "one.journal", SLOT_SIZE + word, b"\xff" * 8)
    for (entry,) in (left(folder), list(ended_entries(folder))):
        assert entry is not None
        assert (entry.id, entry.tokens.output, entry.ended_at) == ("req_1", 5, NOON)
        assert entry.first_token_at is None


def test_damaged_slots_are_kept_in_one_file_and_their_slots_used_again(
    journal: Journal, folder: Path
) -> None:
    pages = []
    for number in range(3):
        slot = journal.open(opening(number))
        plant(folder / "one.journal", slot.number * SLOT_SIZE + 700, b"\xff\xff")
        with pytest.raises(ValueError, match="damaged"):
            slot.entry()
        pages.append(slot.page)
        path = journal.set_aside(slot.number)
    assert path.read_bytes() == b"".join(pages)
    assert path.stat().st_mode & 0o777 == 0o600
    assert damaged_files(folder) == [path]
    journal.close()
    assert left(folder) == []
    assert damaged_files(folder) == [path]


def test_page_that_does_not_fit_on_the_disk_leaves_no_part_and_stays_in_its_slot(
    journal: Journal, folder: Path
) -> None:
    slot = journal.open(opening())
    path = folder / "one-slots.damaged"
    path.touch()
    limit = 4 * 1024 * 1024
    os.truncate(path, limit - SLOT_SIZE // 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            journal.set_aside(slot.number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == limit - SLOT_SIZE // 2
    assert slot.entry().id == "req_1"
    assert not journal.idle


@settings(max_examples=examples(2))
@given(st.data())
def test_slot_reads_as_interrupted_with_its_counts_until_it_is_closed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(0, 3), max_size=20))
    journal = Journal.create(tmp_path_factory.mktemp("journal"), "one")
    output = 0
    slot = journal.open(opening())
    for step in steps:
        output += step
        slot.produced(output, output // 2)
        entry = slot.entry(NOON)
        assert (entry.tokens.output, entry.outcome) == (output, Outcome.INTERRUPTED)
    slot.close(CLOSING)
    assert slot.entry(NOON) == entry_of(opening(), CLOSING)
    journal.free(slot.number)
    journal.close()
