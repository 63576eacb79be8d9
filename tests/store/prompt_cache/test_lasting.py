"""Entries that outlive the process that wrote them."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt_cache import CacheEntry
from antiphon.store.prompt_cache.entry_log import (
    CURRENT,
    HEADER,
    HOUR_MS,
    PREVIOUS,
    SIZE,
    EntryLog,
    encoded,
)
from antiphon.store.prompt_cache.lasting import LastingCacheIndex
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000
KEYS = [bytes([number]) * 32 for number in range(6)]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def entry(tokens: int = 600, ttl: Any = "5m", lives_ms: int = 300_000) -> CacheEntry:
    return CacheEntry(tokens, ttl, NOW + lives_ms)


async def test_entries_are_found_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    index = await LastingCacheIndex.open(tmp_path / "cache", clock)
    first = {KEYS[0]: entry(), KEYS[1]: entry(900, "1h", HOUR_MS)}
    await index.store(first)
    clock.now += 1000
    await index.refresh(KEYS[0], clock.now)
    await index.refresh(KEYS[5], clock.now)
    expected = (await index.find(KEYS)).entries
    await index.aclose()
    clock.now += 1000
    again = await LastingCacheIndex.open(tmp_path / "cache", clock)
    assert (await again.find(KEYS)).entries == expected
    assert expected[KEYS[0]].expires_at == NOW + 301_000
    await again.aclose()
    clock.now += 300_000
    last = await LastingCacheIndex.open(tmp_path / "cache", clock)
    assert (await last.find(KEYS)).entries == {KEYS[1]: first[KEYS[1]]}
    await last.aclose()


async def test_crash_keeps_what_was_written(tmp_path: Path) -> None:
    index = await LastingCacheIndex.open(tmp_path, Clock())
    await index.store({KEYS[0]: entry()})
    while index._writing is not None:
        await index._writing
    # Half of a record, as of a write that was cut off.
    with (tmp_path / CURRENT).open("ab") as file:
        file.write(encoded({KEYS[1]: entry()})[: SIZE // 2])
    again = await LastingCacheIndex.open(tmp_path, Clock())
    assert (await again.find(KEYS)).entries == {KEYS[0]: entry()}
    await again.aclose()
    await index.aclose()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    log = EntryLog(tmp_path / "cache")
    log.open(NOW)
    log.close()
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / CURRENT).stat().st_mode & 0o777 == 0o600


def test_old_records_go_with_their_file(tmp_path: Path) -> None:
    log = EntryLog(tmp_path)
    log.open(NOW)
    for hour in range(4):
        now = NOW + hour * HOUR_MS
        log.append(encoded({KEYS[hour]: CacheEntry(600, "1h", now + HOUR_MS)}), now)
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {CURRENT: len(HEADER) + SIZE, PREVIOUS: len(HEADER) + SIZE}
    again = EntryLog(tmp_path)
    assert set(again.open(NOW + 3 * HOUR_MS)) == {KEYS[3]}
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == [CURRENT]


@pytest.mark.parametrize("name", [CURRENT, PREVIOUS])
@given(data=st.binary(max_size=4 * SIZE), begins=st.booleans())
def test_damaged_file_is_no_obstacle(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes, begins: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    (folder / name).write_bytes((HEADER if begins else b"") + data)
    log = EntryLog(folder)
    assert log.open(NOW) == {}
    log.append(encoded({KEYS[0]: entry()}), NOW)
    log.close()
    again = EntryLog(folder)
    assert again.open(NOW) == {KEYS[0]: entry()}
    again.close()


def test_changed_record_ends_its_file(tmp_path: Path) -> None:
    log = EntryLog(tmp_path)
    log.open(NOW)
    log.append(encoded({key: entry() for key in KEYS[:3]}), NOW)
    log.close()
    content = bytearray((tmp_path / CURRENT).read_bytes())
    content[len(HEADER) + SIZE + 3] ^= 1
    (tmp_path / CURRENT).write_bytes(bytes(content))
    again = EntryLog(tmp_path)
    assert set(again.open(NOW)) == {KEYS[0]}
    again.close()


@pytest.mark.parametrize("name", [CURRENT, PREVIOUS, f"{CURRENT}.new"])
@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing", "endless link"])
async def test_what_is_no_file_is_replaced(tmp_path: Path, name: str, kind: str) -> None:
    folder, other = tmp_path / "cache", tmp_path / "other"
    folder.mkdir()
    other.write_bytes(HEADER + encoded({KEYS[1]: entry()}))
    before = other.read_bytes()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        targets = {"link": other, "link to nothing": tmp_path / "none"}
        (folder / name).symlink_to(targets.get(kind, Path("/dev/zero")))
    # To open a pipe waits for its other end, in a thread that nothing ends.
    opening = asyncio.create_task(LastingCacheIndex.open(folder, Clock()))
    done, _ = await asyncio.wait([opening], timeout=10)
    if not done:
        _let_go(folder / name)
    assert done
    index = opening.result()
    await index.store({KEYS[0]: entry()})
    await index.aclose()
    again = await LastingCacheIndex.open(folder, Clock())
    assert (await again.find(KEYS)).entries == {KEYS[0]: entry()}
    await again.aclose()
    assert other.read_bytes() == before
    assert not (tmp_path / "none").exists()


def _let_go(pipe: Path) -> None:
    """Open the other end of a pipe, so that whoever waits for it goes on."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def test_start_finds_the_entries_that_were_noted_last(tmp_path: Path) -> None:
    log = EntryLog(tmp_path)
    log.open(NOW)
    log.append(encoded({key: entry() for key in KEYS}), NOW)
    # Read again, so it is not the oldest any more.
    log.append(encoded({KEYS[0]: entry()}), NOW)
    log.close()
    again = EntryLog(tmp_path, most_entries=3)
    assert list(again.open(NOW)) == [KEYS[4], KEYS[5], KEYS[0]]
    again.close()
    assert (tmp_path / CURRENT).stat().st_size == len(HEADER) + 3 * SIZE


@pytest.mark.parametrize("short", [True, False])
async def test_full_disk_costs_the_log_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    index = await LastingCacheIndex.open(tmp_path, Clock())
    await index.store({KEYS[0]: entry()})
    while index._writing is not None:
        await index._writing
    write = os.write

    def full(file: int, data: bytes) -> int:
        if short:
            return write(file, data[:7])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(os, "write", full)
        await index.store({KEYS[1]: entry()})
        while index._writing is not None:
            await index._writing
    await index.store({KEYS[2]: entry()})
    assert set((await index.find(KEYS)).entries) == set(KEYS[:3])
    await index.aclose()
    assert [line["event"] for line in logs] == ["the next start will know no cached prompts"]
    again = await LastingCacheIndex.open(tmp_path, Clock())
    assert (await again.find(KEYS)).entries == {KEYS[0]: entry()}
    await again.aclose()


async def test_folder_that_cannot_be_made_costs_the_log(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with capture_logs() as logs:
        index = await LastingCacheIndex.open(tmp_path / "cache", Clock())
    await index.store({KEYS[0]: entry()})
    assert (await index.find(KEYS)).entries == {KEYS[0]: entry()}
    await index.aclose()
    assert len(logs) == 1
