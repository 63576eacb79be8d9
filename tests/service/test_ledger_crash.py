"""Nothing is lost and nothing doubled by `kill -9`, whenever it comes."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from sqlalchemy import select

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.service.ledger import Receivers, saving_to, take_over
from antiphon.store.database.database import Database
from antiphon.store.database.tables import ledger

pytestmark = pytest.mark.anyio

TESTS = Path(__file__).parents[1]
PATIENCE_S = 60
LIVES = 24


@dataclass
class Announced:
    """What a process has said of its requests before it was killed."""

    tokens: dict[str, tuple[int, int]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def hear(self, line: str) -> None:
        words = line.split()
        if words[1:] == ["closed"]:
            self.closed.add(words[0])
        elif words != ["ready"]:
            self.tokens[words[0]] = (int(words[1]), int(words[2]))


class Process:
    """A ledger in a process of its own."""

    def __init__(self, url: str, folder: Path, seed: int, name: str) -> None:
        self.announced = Announced()
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.ledger_stress", url, folder, str(seed), name],
            cwd=TESTS,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                assert line.endswith("\n")
                self.announced.hear(line)
                self._ready.set()
        self._ready.set()

    def ready(self) -> None:
        assert self._ready.wait(PATIENCE_S)
        assert self._process.poll() is None

    def kill(self) -> Announced:
        os.kill(self._process.pid, signal.SIGKILL)
        assert self._process.wait(PATIENCE_S) == -signal.SIGKILL
        self._reader.join(PATIENCE_S)
        return self.announced


@contextmanager
def killed_at_the_end(*processes: Process) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()


async def taken_over(database: Database, folder: Path) -> None:
    """Take the journals of the dead over, as the next start does."""

    async def settle(entries: Sequence[LedgerEntry]) -> None:
        """Count nothing."""

    await take_over(folder, Receivers(settle, saving_to(database)))


async def check(database: Database, announced: list[Announced]) -> None:
    async with database.read() as connection:
        rows = (await connection.execute(select(ledger))).mappings().all()
    entries = {row["id"]: row for row in rows}
    assert len(entries) == len(rows)
    tokens = {key: told for each in announced for key, told in each.tokens.items()}
    closed = {key for each in announced for key in each.closed}
    assert tokens.keys() <= entries.keys(), "a request is lost"
    assert len(entries.keys() - tokens.keys()) <= 100 * len(announced)
    for key, (prompt, output) in tokens.items():
        row = entries[key]
        assert row["input_tokens"] + row["cache_read_tokens"] == prompt
        if key in closed:
            assert (row["outcome"], row["output_tokens"]) == ("completed", output)
        # The next tokens may have been written down, and the process killed before it said so.
        assert output <= row["output_tokens"] <= output + 3
        assert row["cost"] == (
            row["input_tokens"] * 100 + row["cache_read_tokens"] * 10 + row["output_tokens"] * 500
        )
    for key in entries.keys() - tokens.keys():
        assert entries[key]["outcome"] == "interrupted"


# Beside one kill for each store (tests/end_to_end/test_killed.py) and the simulated ones.
@pytest.mark.soak
async def test_no_request_is_lost_or_doubled_by_kills_at_random_moments(
    url: str, database: Database, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, no secrets
    folder = tmp_path / "journal"
    announced = []
    for life in range(LIVES):
        process = await anyio.to_thread.run_sync(Process, url, folder, life, f"life{life}")
        with killed_at_the_end(process):
            await anyio.to_thread.run_sync(process.ready)
            # The moment is what is tested, so here time is waited for.
            await anyio.sleep(chance.uniform(0, 0.15))
        announced.append(process.announced)
    await taken_over(database, folder)
    await check(database, announced)
    assert sum(len(each.closed) for each in announced) > 100
    assert list(folder.glob("*.journal")) == []


async def test_two_processes_at_once_keep_their_own_journals(
    url: str, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    one, other = (Process(url, folder, seed, f"process{seed}") for seed in (1, 2))
    with killed_at_the_end(one, other):
        await anyio.to_thread.run_sync(one.ready)
        await anyio.to_thread.run_sync(other.ready)
        # While both live, nothing of theirs is taken over.
        await taken_over(database, folder)
        await anyio.sleep(0.2)
        assert len(list(folder.glob("*.journal"))) == 2
    await taken_over(database, folder)
    await check(database, [one.announced, other.announced])
