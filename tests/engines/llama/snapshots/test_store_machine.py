"""Random histories of a store, beside a naive model of what it should hold."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.engines.llama.snapshots.budget import allowed_bytes, usefulness
from antiphon.engines.llama.snapshots.index import Snapshot
from antiphon.engines.llama.snapshots.store import SnapshotLostError
from support.examples import examples
from support.snapshots import Disk, open_store, put, restored

Prefix: TypeAlias = tuple[str, tuple[int, ...]]

BUDGET = 200
MOST = 6
SALTS = st.sampled_from(["a", "b"])
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=5).map(tuple)
SIZES = st.integers(1, 90)
LIFETIMES = st.sampled_from([300.0, 3600.0])
PICKS = st.integers(0, 99)


class Kept:
    """What the model knows of a snapshot."""

    def __init__(self, snapshot: Snapshot, content: bytes) -> None:
        self.snapshot = snapshot
        self.content = content
        self.used_at = snapshot.used_at
        self.lifetime_s = snapshot.record.lifetime_s
        self.damaged = False


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.disk = Disk()
        self.runner = asyncio.Runner()
        self.store = self.runner.run(
            open_store(self.root, self.disk, budget_bytes=BUDGET, most=MOST)
        )
        self.model: dict[Prefix, Kept] = {}
        self.pins: dict[str, ExitStack] = {}
        self.junk: set[str] = set()
        self.count = 0

    def teardown(self) -> None:
        for pin in self.pins.values():
            self.runner.run(self._unpin(pin))
        self.runner.run(self.store.aclose())
        self.runner.close()
        shutil.rmtree(self.root)

    # -- what happens

    @rule(salt=SALTS, tokens=TOKENS, size=SIZES, lifetime_s=LIFETIMES, writes=st.integers(0, 9))
    def save(
        self, salt: str, tokens: tuple[int, ...], size: int, lifetime_s: float, writes: int
    ) -> None:
        """Save a prefix; with 0 or 1 writes left the disk is full in the middle."""
        self.count += 1
        content = bytes([self.count % 256]) * size
        alive = self._alive((salt, tokens))
        self.disk.writes_left = writes
        snapshot = self.runner.run(
            put(self.store, salt, tokens, content, lifetime_s=lifetime_s, read_ms=float(self.count))
        )
        self.disk.writes_left = 1 << 40
        if snapshot is not None:
            assert not alive
            assert writes >= 2
            self.model[salt, tokens] = Kept(snapshot, content)
        self._evicted(size if snapshot is None else 0)
        if snapshot is None and not alive and writes >= 2:
            # Only if all that is not pinned would have been too little. What was cleared while it
            # was pinned takes its place still.
            pinned = [one.size for one in self.store._index._by_name.values() if one.pins]
            assert sum(pinned) + size > self._allowed() or len(pinned) >= MOST

    @rule(salt=SALTS, tokens=TOKENS, size=SIZES, missing=st.integers(1, 5))
    def save_what_llama_cpp_did_not_finish(
        self, salt: str, tokens: tuple[int, ...], size: int, missing: int
    ) -> None:
        content = b"x" * size
        saved = self.runner.run(put(self.store, salt, tokens, content, reported=size + missing))
        assert saved is None
        self._evicted(size + missing)

    @precondition(lambda self: self.model)
    @rule(pick=PICKS)
    def restore(self, pick: int) -> None:
        prefix, kept = self._pick(pick)
        if kept.damaged:
            with pytest.raises(SnapshotLostError):
                self.runner.run(restored(self.store, kept.snapshot))
            del self.model[prefix]
        else:
            assert self.runner.run(restored(self.store, kept.snapshot)) == kept.content

    @precondition(lambda self: self.model)
    @rule(pick=PICKS, lifetime_s=LIFETIMES)
    def renew(self, pick: int, lifetime_s: float) -> None:
        self.disk.now += 1
        prefix, kept = self._pick(pick)
        alive = self._alive(prefix)
        there = (self.store.folder / kept.snapshot.file).exists()
        renewed = self.runner.run(self.store.renew(kept.snapshot, lifetime_s))
        assert renewed == (alive and there)
        if alive and not there:
            del self.model[prefix]
        elif alive:
            kept.used_at = self.disk.now
            kept.lifetime_s = max(kept.lifetime_s, lifetime_s)

    @rule(seconds=st.sampled_from([1, 60, 200, 300, 3600]))
    def wait(self, seconds: int) -> None:
        self.disk.now += seconds

    @precondition(lambda self: self.model)
    @rule(pick=PICKS)
    def pin(self, pick: int) -> None:
        _, kept = self._pick(pick)
        if kept.snapshot.name not in self.pins:
            stack = self.pins[kept.snapshot.name] = ExitStack()
            stack.enter_context(self.store.pinned(kept.snapshot))

    @precondition(lambda self: self.pins)
    @rule(pick=PICKS)
    def unpin(self, pick: int) -> None:
        name = sorted(self.pins)[pick % len(self.pins)]
        self.runner.run(self._unpin(self.pins.pop(name)))

    @precondition(lambda self: self.model)
    @rule(pick=PICKS, damage=st.sampled_from(["bit", "cut", "longer", "gone", "swapped"]))
    def damage(self, pick: int, damage: str) -> None:
        _, kept = self._pick(pick)
        path = self.store.folder / kept.snapshot.file
        if not path.exists():
            return
        content = path.read_bytes()
        match damage:
            case "bit":
                path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            case "cut":
                path.write_bytes(content[:-1])
            case "longer":
                path.write_bytes(content + b"y")
            case "gone":
                path.unlink()
            case _:
                other = [one for one in self._all() if one.snapshot is not kept.snapshot]
                if not other:
                    return
                path.write_bytes(other[0].content)
        kept.damaged = not path.exists() or path.read_bytes() != kept.content

    @rule(suffix=st.sampled_from([".kv", ".part", ".record", ".record.part", ""]))
    def leave_a_foreign_file(self, suffix: str) -> None:
        self.count += 1
        name = f"foreign{self.count}{suffix}"
        (self.store.folder / name).write_bytes(b"\x81" * 64)
        self.junk.add(name)

    @rule(salt=st.sampled_from(["a", "b", None]))
    def clear(self, salt: str | None) -> None:
        chosen = [prefix for prefix in self.model if salt in (None, prefix[0])]
        assert self.runner.run(self.store.clear(salt)) == len(chosen)
        for prefix in chosen:
            del self.model[prefix]

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.store.sweep())
        self.junk.clear()
        self._drop_ended()
        self._evicted(0)
        left = self.store._index._by_name.values()
        assert all(one.ends_at > self.disk.now or one.pins for one in left)

    @rule(free=st.sampled_from([1 << 40, 1500, 900]))
    def change_free_bytes(self, free: int) -> None:
        self.disk.free = free

    @rule()
    def restart(self) -> None:
        for pin in self.pins.values():
            self.runner.run(self._unpin(pin))
        self.pins.clear()
        self.runner.run(self.store.aclose())
        self.store = self.runner.run(
            open_store(self.root, self.disk, budget_bytes=BUDGET, most=MOST)
        )
        self.junk.clear()
        self._drop_ended()
        total = self._bytes(self._all())
        by_prefix = {_prefix(snapshot): snapshot for snapshot in self.store.snapshots()}
        for prefix, kept in list(self.model.items()):
            size = len(kept.content)
            if prefix in by_prefix:
                kept.snapshot = by_prefix[prefix]
            elif kept.damaged:  # its size told at once
                del self.model[prefix]
            else:
                assert total > self._allowed() or size > self._allowed()
                del self.model[prefix]  # evicted by the start
        self._evicted(0)

    # -- what is always true

    @invariant()
    def store_holds_what_the_model_holds(self) -> None:
        alive = {prefix for prefix in self.model if self._alive(prefix)}
        assert {_prefix(snapshot) for snapshot in self.store.snapshots()} == alive
        for prefix in alive:
            kept, snapshot = self.model[prefix], self.model[prefix].snapshot
            assert (snapshot.used_at, snapshot.record.lifetime_s) == (kept.used_at, kept.lifetime_s)
            assert snapshot.token_count == len(prefix[1])

    @invariant()
    def longest_prefix_is_that_of_a_naive_search(self) -> None:
        for salt, tokens in [(salt, (*tokens, 9)) for _, tokens in self.model for salt in "ab"]:
            alive = [prefix for prefix in self.model if self._alive(prefix) and prefix[0] == salt]
            known = [prefix for prefix in alive if tokens[: len(prefix[1])] == prefix[1]]
            longest = max(known, key=lambda prefix: len(prefix[1]), default=None)
            found = self.store.find(salt, tokens)
            assert found is (None if longest is None else self.model[longest].snapshot)

    @invariant()
    def folder_holds_the_snapshots_and_nothing_else(self) -> None:
        self.runner.run(self.store.settle())
        names = {path.name for path in self.store.folder.iterdir()} - self.junk
        used = self.store._index._by_name
        expected = {f"{name}{suffix}" for name in used for suffix in (".kv", ".record")}
        gone = {kept.snapshot.file for kept in self._all() if kept.damaged}
        assert names <= expected
        assert expected - names <= gone | {f"{pin}.kv" for pin in self.pins}
        assert self.store.used_bytes == sum(one.size for one in used.values())
        modes = {path.stat().st_mode & 0o777 for path in self.store.folder.glob("*.record")}
        assert modes <= {0o600, 0o644 if self.junk else 0o600}

    # -- the model

    def _all(self) -> list[Kept]:
        return list(self.model.values())

    def _pick(self, pick: int) -> tuple[Prefix, Kept]:
        prefixes = sorted(self.model)
        prefix = prefixes[pick % len(prefixes)]
        return prefix, self.model[prefix]

    def _alive(self, prefix: Prefix) -> bool:
        kept = self.model.get(prefix)
        return kept is not None and kept.used_at + kept.lifetime_s > self.disk.now

    def _drop_ended(self) -> None:
        for prefix in list(self.model):
            if not self._alive(prefix):
                del self.model[prefix]

    def _bytes(self, kept: object) -> int:
        return sum(one.snapshot.size for one in kept)  # type: ignore[attr-defined]

    def _allowed(self) -> int:
        return allowed_bytes(BUDGET, self.disk.free, 0)

    def _evicted(self, need: int) -> None:
        """Take the evictions of the store over, if they were the right ones."""
        gone = [prefix for prefix, kept in self.model.items() if kept.snapshot.lost]
        evicted = [self.model.pop(prefix).snapshot for prefix in gone]
        assert not any(snapshot.pins for snapshot in evicted)
        kept = [one.snapshot for one in self._all() if not one.snapshot.pins]
        now = self.disk.now
        worth = [usefulness(snapshot, now) for snapshot in evicted]
        newest = f"{self.count}.0"
        others = [usefulness(one, now) for one in kept if str(one.read_ms) != newest]
        assert max(worth, default=0.0) <= min(others, default=float("inf"))
        if evicted:
            # Without the last of them it was still too much.
            last = max(evicted, key=lambda one: (usefulness(one, now), one.size))
            count = len(self.store._index.names) + (1 if need else 0)
            total = self.store.used_bytes + need
            assert total + last.size > self._allowed() or count + 1 > MOST

    async def _unpin(self, pin: ExitStack) -> None:
        pin.close()


def _prefix(snapshot: Snapshot) -> Prefix:
    tokens = memoryview(snapshot.record.tokens).cast("I").tolist()
    return snapshot.salt, tuple(tokens)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=examples(0.5), stateful_step_count=40)
