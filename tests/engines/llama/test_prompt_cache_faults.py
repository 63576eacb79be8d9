"""What goes wrong with kept prefixes costs time, and nothing else."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.prompt import Prompt
from antiphon.engines.base import EngineConfig, EngineError, EngineErrorKind
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from antiphon.engines.llama.server_types import RestoredSlot, SavedSlot
from antiphon.engines.llama.snapshots.files import STATE
from antiphon.engines.llama.snapshots.inventory import kept_prefixes, remove_prefixes
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from support.caching import SLOTS, answered, asked, child_of, fill, opened, settled, text
from support.conversation import eventually
from support.logs import capture_logs
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio

SIDE = Hints(request_class="auxiliary")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(Kind.ATTENTION, tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture
async def engine(weights: Path, tmp_path: Path) -> AsyncIterator[LlamaEngine]:
    async with opened(weights, tmp_path) as engine:
        yield engine


def files_of(engine: LlamaEngine) -> list[Path]:
    store = engine.machine.parts.store
    assert store is not None
    return [path for path in store.folder.iterdir() if path.name.endswith(STATE)]


async def test_changed_file_is_not_restored(engine: LlamaEngine) -> None:
    prompt = asked(text("changed", 200), "What?", marks=[0])
    cold, answer = await answered(engine, prompt)
    await settled(engine)
    (file,) = files_of(engine)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    await fill(engine)
    child = child_of(engine)
    again, same = await answered(engine, prompt)
    assert (again.reused, again.stored, same) == (0, cold.stored, answer)
    assert child_of(engine) is child
    await settled(engine)
    await fill(engine)
    assert (await answered(engine, prompt))[0].reused >= cold.breakpoints[0]


async def test_changed_file_is_noticed_by_a_start_before_a_request(
    weights: Path, tmp_path: Path
) -> None:
    async with opened(weights, tmp_path) as engine:
        await answered(engine, asked(text("changed", 200), "What?", marks=[0]))
        await settled(engine)
        (file,) = files_of(engine)
    file.write_bytes(bytes(file.stat().st_size))
    async with opened(weights, tmp_path) as engine:
        await eventually(lambda: not files_of(engine))


async def test_snapshot_that_a_command_removed_is_saved_again(engine: LlamaEngine) -> None:
    prompt = asked(text("cleared", 200), "What?", marks=[0])
    cold, answer = await answered(engine, prompt)
    await settled(engine)
    store = engine.machine.parts.store
    assert store is not None
    with capture_logs() as logs:
        remove_prefixes(kept_prefixes(store.folder.parent))
        warm, same = await answered(engine, prompt)
        await settled(engine)
    assert (warm.reused >= cold.breakpoints[0], warm.restored, same) == (True, False, answer)
    assert [one.tokens for one in kept_prefixes(store.folder.parent)] == list(cold.breakpoints)
    assert logs == []
    await fill(engine)
    assert (await answered(engine, prompt))[0].restored


async def test_folder_that_was_removed_keeps_prefixes_again(engine: LlamaEngine) -> None:
    prompt = asked(text("removed", 200), "What?", marks=[0])
    cold, answer = await answered(engine, prompt)
    await settled(engine)
    (file,) = files_of(engine)
    shutil.rmtree(file.parents[1])
    await fill(engine)
    assert await answered(engine, prompt) == (cold, answer)
    await settled(engine)
    await fill(engine)
    restored = replace(cold, reused=cold.breakpoints[0], restored=True)
    assert await answered(engine, prompt) == (restored, answer)


@pytest.mark.parametrize("wrong", ["refused", "fewer tokens"])
async def test_child_that_restores_wrongly_is_replaced(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    prompt = asked(text("wrong", 200), "What?", marks=[0])
    _, answer = await answered(engine, prompt)
    await settled(engine)
    await fill(engine)
    child = child_of(engine)
    restore = engine.machine.client.restore_slot

    async def restored(slot: int, file: str) -> RestoredSlot:
        done = await restore(slot, file)
        if wrong == "refused":
            raise EngineError(EngineErrorKind.FAILED, "llama.cpp refused with status 400")
        return RestoredSlot(done.n_restored - 1, done.n_read)

    with monkeypatch.context() as patched:
        patched.setattr(engine.machine.client, "restore_slot", restored)
        again, same = await answered(engine, prompt)
    assert (again.reused, same) == (0, answer)
    assert child_of(engine) is not child
    await settled(engine)
    await fill(engine)
    assert (await answered(engine, prompt))[0].reused >= again.breakpoints[0]


async def test_slot_that_holds_less_than_is_known_is_counted_and_read_again(
    engine: LlamaEngine,
) -> None:
    system = text("erased", 200)
    # An answer of no tokens leaves nothing behind the prompt, which the next one begins with.
    await answered(engine, asked(system, "What?", marks=[0], tokens=0))
    await settled(engine)
    assert mismatches(engine) == 0
    # As if llama.cpp had forgotten them.
    for slot in range(SLOTS):
        await engine.machine.client.erase_slot(slot)
    # It begins with all that the slot is known to hold.
    again, _ = await answered(engine, asked(system, "What?", "So.", "More?", marks=[0]))
    assert (again.reused, mismatches(engine)) == (0, 1)


def mismatches(engine: LlamaEngine) -> int:
    return engine.machine.snapshot_report().mismatches


async def test_file_that_is_not_whole_is_not_found_again(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: llama.cpp writes less than it says."""
    save = engine.machine.client.save_slot

    async def saved(slot: int, file: str) -> SavedSlot:
        done = await save(slot, file)
        store = engine.machine.parts.store
        assert store is not None
        path = store.folder / file
        path.write_bytes(path.read_bytes()[:-9])
        return done

    monkeypatch.setattr(engine.machine.client, "save_slot", saved)
    prompt = asked(text("cut", 200), "What?", marks=[0])
    _, answer = await answered(engine, prompt)
    await settled(engine)
    await fill(engine)
    again, same = await answered(engine, prompt)
    assert (again.reused, same) == (0, answer)


async def test_slot_that_cannot_be_saved_is_answered_all_the_same(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(slot: int, file: str) -> SavedSlot:
        raise EngineError(EngineErrorKind.FAILED, f"no space for {file} of slot {slot}")

    monkeypatch.setattr(engine.machine.client, "save_slot", refused)
    prompt = asked(text("unsaved", 200), "What?", marks=[0])
    first, answer = await answered(engine, prompt)
    # The slot holds it, and this model goes back to it.
    assert first.stored == {first.breakpoints[0]}
    warm, same = await answered(engine, prompt)
    assert (warm.reused >= first.breakpoints[0], same) == (True, answer)


async def test_budget_of_less_than_a_prefix_keeps_none(weights: Path, tmp_path: Path) -> None:
    prompt = asked(text("budget", 200), "What?", marks=[0])
    async with opened(weights, tmp_path, snapshot_bytes=1000) as engine:
        await answered(engine, prompt)
        await settled(engine)
        assert files_of(engine) == []
        await fill(engine)
        assert (await answered(engine, prompt))[0].reused == 0


async def test_name_that_cannot_be_written_costs_no_snapshot(weights: Path, tmp_path: Path) -> None:
    prompt = asked(text("named", 200), "What?", marks=[0])
    async with opened(weights, tmp_path) as engine:
        await answered(engine, prompt)
        await settled(engine)
        (file,) = files_of(engine)
        name = file.parent.with_suffix(".model")
    name.unlink()
    name.mkdir()
    async with opened(weights, tmp_path) as engine:
        assert files_of(engine) == [file]
        again, _ = await answered(engine, prompt)
        assert again.reused >= again.breakpoints[0]


async def test_side_request_evicts_no_prefix(weights: Path, tmp_path: Path) -> None:
    async with opened(weights, tmp_path) as engine:
        await answered(engine, asked(text("one", 200), "?", marks=[0]))
        await settled(engine)
        size = sum(file.stat().st_size for file in files_of(engine))
    async with opened(weights, tmp_path, snapshot_bytes=size * 3 // 2) as engine:
        kept = files_of(engine)
        side = replace(asked(text("side", 200), "?", marks=[0]), hints=SIDE)
        await answered(engine, side)
        await settled(engine)
        assert files_of(engine) == kept
        await answered(engine, replace(side, hints=NO_HINTS))
        await settled(engine)
        (other,) = files_of(engine)
        assert [other] != kept


async def test_request_does_not_wait_for_a_side_request_in_line(
    weights: Path, tmp_path: Path
) -> None:
    system = text("side in line", 200)
    ended: list[str] = []
    async with opened(weights, tmp_path, slots=1) as engine:
        line = engine.machine._pool._line

        async def one(name: str, prompt: Prompt) -> None:
            await answered(engine, prompt)
            ended.append(name)

        side = replace(asked(system, "Side?", marks=[0]), hints=SIDE)
        async with engine.machine.completions(RenderedPrompt([2, 3, 4]), "busy"):
            first = asyncio.create_task(one("side", side))
            await eventually(lambda: len(line._waiting) == 1)
            second = asyncio.create_task(one("main", asked(system, "Main?", marks=[0])))
            await eventually(lambda: len(line._first) == 1)
        await asyncio.gather(first, second)
    assert ended == ["main", "side"]


async def test_second_engine_on_one_folder_keeps_prefixes_in_its_slots(
    engine: LlamaEngine, weights: Path, tmp_path: Path
) -> None:
    prompt = asked(text("second", 200), "What?", marks=[0])
    async with opened(weights, tmp_path) as second:
        assert second.machine.parts.store is None
        cold, answer = await answered(second, prompt)
        warm, same = await answered(second, prompt)
        assert (cold.reused, warm.reused >= cold.breakpoints[0], same) == (0, True, answer)
        await fill(second)
        assert (await answered(second, prompt))[0].reused == 0
    assert engine.ready


async def test_slots_of_a_server_by_url_are_not_shared_by_workspaces(
    engine: LlamaEngine,
) -> None:
    """Its slots may not be erased, so they are read afresh."""
    child = child_of(engine)
    key = engine.machine.client._session.api_key
    options = {"url": child.address, "api_key": key}
    remote = await open_llama(EngineConfig("tiny", None, options, cache_minimum_tokens=100))
    try:
        system = text("remote", 200)
        one, answer = await answered(remote, asked(system, "What?", marks=[0], salt="one"))
        two, same = await answered(remote, asked(system, "What?", marks=[0], salt="two"))
        assert (one.reused, two.reused, same) == (0, 0, answer)
        for salt in ("three", "four"):
            other, _ = await answered(remote, asked(system, "Who?", marks=[0], salt=salt))
            assert other.reused == 0
        again, _ = await answered(remote, asked(system, "Who else?", marks=[0], salt="four"))
        assert again.reused >= one.breakpoints[0]
    finally:
        await remote.aclose()


async def test_slot_that_could_not_be_erased_stays_another_workspaces(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = text("not erased", 200)

    async def away(slot: int) -> int:
        raise EngineError(EngineErrorKind.FAILED, f"slot {slot} was not erased")

    async with opened(weights, tmp_path, slots=1) as engine:
        await answered(engine, asked(system, "What?", salt="one"))
        with monkeypatch.context() as patched:
            patched.setattr(engine.machine.client, "erase_slot", away)
            with pytest.raises(EngineError):
                await answered(engine, asked(system, "What?", salt="two"))
        other, _ = await answered(engine, asked(system, "What?", marks=[0], salt="two"))
        assert other.reused == 0


async def test_slot_of_a_request_that_never_ran_stays_another_workspaces(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server by URL a slot is read afresh, and only if a request gets there."""
    child = child_of(engine)
    key = engine.machine.client._session.api_key
    options = {"url": child.address, "api_key": key}
    remote = await open_llama(EngineConfig("tiny", None, options, cache_minimum_tokens=100))

    def broken(*_: object) -> None:
        raise EngineError(EngineErrorKind.OVERLOADED, "away")

    try:
        system = text("never ran", 200)
        for salt in ("one", "three"):
            await answered(remote, asked(system, "What?", salt=salt))
        for _ in range(SLOTS):
            with monkeypatch.context() as patched:
                patched.setattr(remote.machine.client, "complete", broken)
                with pytest.raises(EngineError):
                    await answered(remote, asked(system, "What?", salt="two"))
        other, _ = await answered(remote, asked(system, "What?", marks=[0], salt="two"))
        assert other.reused == 0
    finally:
        await remote.aclose()


async def test_prefixes_are_not_shared_when_the_child_ends_in_between(engine: LlamaEngine) -> None:
    """The slot of the next child is that of the prompt that runs on in it."""
    system = text("between", 300)
    running = asyncio.create_task(answered(engine, asked(system, "What?", marks=[0], tokens=300)))
    await asyncio.sleep(0.1)
    child = child_of(engine)
    child.kill()
    await asyncio.gather(running, return_exceptions=True)
    await eventually(lambda: engine.ready and child_of(engine) is not child)
    for salt in ("two", "three", "four"):
        other, _ = await answered(engine, asked(system, "What?", marks=[0], salt=salt))
        assert other.reused == 0
