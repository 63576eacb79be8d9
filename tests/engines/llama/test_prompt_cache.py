"""What the engine reuses of prompts and keeps of them, on each kind of memory."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.hints import OF_BATCH, Hints
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.llama.prompt_slot import CHECKPOINT_GAP
from antiphon.engines.llama.steering import BATCH_PORTION
from antiphon.engines.token.machine import CompletionRequest
from support.caching import MINIMUM, answered, asked, child_of, fill, opened, settled, text
from support.conversation import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LlamaEngine]:
    async with opened(weights, tmp_path_factory.mktemp("state")) as engine:
        yield engine


async def test_marked_prefix_is_read_once(engine: LlamaEngine) -> None:
    system = text("once", 200)
    cold, _ = await answered(engine, asked(system, "What?", marks=[0]))
    (size,) = cold.breakpoints
    assert size >= MINIMUM
    assert (cold.reused, cold.stored) == (0, {size})
    warm, _ = await answered(engine, asked(system, "Who else?", marks=[0]))
    assert (warm.reused >= size, warm.stored) == (True, {size})


async def test_engine_tells_of_its_snapshots(engine: LlamaEngine) -> None:
    cold, _ = await answered(engine, asked(text("told", 200), "What?", marks=[0], salt="told"))
    await settled(engine)
    report = engine.snapshot_report()
    assert report is not None
    (kept,) = [one for one in report.snapshots if one.salt == "told"]
    assert kept.tokens == cold.breakpoints[0]
    assert 0 < kept.size < report.limit_bytes
    assert kept.ends_at - kept.used_at == 300


async def test_prompt_of_a_batch_is_read_in_portions(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes before it waits for one portion at most; answer and claims stay the same."""
    read: list[list[int]] = []
    complete = LlamaClient.complete

    def noted(client: LlamaClient, request: CompletionRequest, *rest: Any) -> Any:
        read.append(request.tokens)
        return complete(client, request, *rest)

    monkeypatch.setattr(LlamaClient, "complete", noted)
    system = text("portions", 200)
    prompt = asked(system, text("question", 100), marks=[0], tokens=12)
    whole = list(await engine.tokens_of(prompt))

    def ends() -> list[int]:
        """Return the ends of the portions; snapshots of others may be checked meanwhile."""
        return [len(one) for one in read if whole[: len(one)] == one]

    cold, answer = await answered(engine, replace(prompt, hints=OF_BATCH))
    assert ends()[-1] > MINIMUM + BATCH_PORTION
    if engine.machine.parts.rewinds:
        assert max(end - start for start, end in pairwise(ends())) <= BATCH_PORTION
        # A slot may hold the few tokens with which all prompts begin.
        assert ends()[0] < 2 * BATCH_PORTION
    assert (cold.reused < MINIMUM, cold.stored) == (True, set(cold.breakpoints))
    await settled(engine)
    await fill(engine)
    read.clear()
    warm, again = await answered(engine, prompt)
    assert (again, warm.reused) == (answer, cold.breakpoints[0])
    assert len(ends()) == 1


async def test_portions_of_several_prompts_are_read_one_after_the_other(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, most = 0, 0
    complete = LlamaClient.complete

    async def noted(client: LlamaClient, request: CompletionRequest, *rest: Any) -> Any:
        nonlocal reading, most
        portions = request.max_tokens == 0
        reading += portions
        most = max(most, reading)
        try:
            async for piece in complete(client, request, *rest):
                yield piece
        finally:
            reading -= portions

    monkeypatch.setattr(LlamaClient, "complete", noted)
    prompts = [replace(asked(text(f"at once {n}", 200)), hints=OF_BATCH) for n in range(3)]
    await asyncio.gather(*(answered(engine, prompt) for prompt in prompts))
    assert most == int(engine.machine.parts.rewinds)


async def test_prefix_is_restored_where_no_slot_holds_it(engine: LlamaEngine) -> None:
    prompt = asked(text("restored", 200), "What?", marks=[0])
    cold, answer = await answered(engine, prompt)
    await settled(engine)
    await fill(engine)
    restored, again = await answered(engine, prompt)
    assert restored == replace(cold, reused=cold.breakpoints[0], restored=True)
    assert again == answer


async def test_each_breakpoint_has_its_prefix(engine: LlamaEngine) -> None:
    talk = (text("each", 150), text("first", 100), "An.", text("second", 100))
    cold, _ = await answered(engine, asked(*talk, marks=[0, 1, 3]))
    assert cold.stored == set(cold.breakpoints)
    await settled(engine)
    for shared in (1, 2):
        await fill(engine)
        other = (*talk[:shared], *(text(f"other {n}", 20) for n in range(4 - shared)))
        warm, _ = await answered(engine, asked(*other, marks=[0, 1]))
        assert warm.reused == cold.breakpoints[shared - 1]


async def test_answer_is_the_same_cold_in_a_slot_and_restored(
    engine: LlamaEngine, weights: Path, tmp_path: Path
) -> None:
    prompts = [asked(text("same", 200), question, marks=[0, 1], tokens=12)
               for question in ("What?", "In the den?")]  # fmt: skip
    kept = []
    for prompt in prompts:
        kept.append((await answered(engine, prompt))[1])
        kept.append((await answered(engine, prompt))[1])
        await settled(engine)
        await fill(engine)
        kept.append((await answered(engine, prompt))[1])
    async with opened(weights, tmp_path, snapshot_bytes=0, slots=1) as other:
        cold = []
        for prompt in prompts:
            await fill(other)
            cold += [(await answered(other, replace(prompt, breakpoints=())))[1]] * 3
    assert kept == cold


async def test_workspaces_share_nothing(engine: LlamaEngine) -> None:
    system = text("shared", 200)
    one, answer = await answered(engine, asked(system, "What?", marks=[0], salt="one"))
    await settled(engine)
    other, same = await answered(engine, asked(system, "What?", marks=[0], salt="two"))
    assert (one.reused, other.reused) == (0, 0)
    assert same == answer
    # Neither did it take the slot's prefix for its own.
    again, _ = await answered(engine, asked(system, "What?", marks=[0], salt="one"))
    assert again.reused >= one.breakpoints[0]


async def test_prefix_below_the_minimum_is_not_kept(engine: LlamaEngine) -> None:
    short, _ = await answered(engine, asked(text("short", 30), "What?", marks=[0]))
    assert short.breakpoints[0] < MINIMUM
    assert short.stored == set()


async def test_prompts_that_arrive_together_read_their_prefix_once(engine: LlamaEngine) -> None:
    system = text("together", 300)
    before = engine.machine.parts.tokens_read
    results = await asyncio.gather(
        *(answered(engine, asked(system, text(f"q {n}", 12), marks=[0])) for n in range(6))
    )
    size = results[0][0].breakpoints[0]
    assert sum(one.reused >= size for one, _ in results) == 5
    prompts = [asked(system, text(f"q {n}", 12)) for n in range(6)]
    behind = sum([await engine.count_tokens(prompt) - size for prompt in prompts])
    assert engine.machine.parts.tokens_read - before <= size + behind + 6 * CHECKPOINT_GAP


async def test_prefixes_outlive_the_child(engine: LlamaEngine) -> None:
    prompt = asked(text("child", 200), "What?", marks=[0])
    cold, answer = await answered(engine, prompt)
    await settled(engine)
    child = child_of(engine)
    child.kill()
    await eventually(lambda: engine.ready and child_of(engine) is not child)
    warm, again = await answered(engine, prompt)
    assert (warm.reused, again) == (cold.breakpoints[0], answer)


async def test_prefixes_outlive_the_engine(weights: Path, tmp_path: Path) -> None:
    prompt = asked(text("engine", 200), "What?", marks=[0])
    async with opened(weights, tmp_path) as engine:
        cold, answer = await answered(engine, prompt)
    async with opened(weights, tmp_path) as engine:
        warm, again = await answered(engine, prompt)
    assert (warm.reused, again) == (cold.breakpoints[0], answer)


async def test_unmarked_prompt_goes_on_in_the_slot_of_its_conversation(engine: LlamaEngine) -> None:
    await fill(engine)
    talk = [text("unmarked", 200), "What?"]
    read = []
    for _ in range(3):
        before = engine.machine.parts.tokens_read
        await answered(engine, asked(*talk, tokens=1))
        read.append(engine.machine.parts.tokens_read - before)
        talk += ["An.", text(f"more {len(talk)}", 5)]
    assert read[0] > 400
    assert max(read[1:]) < 100


async def test_held_slot_is_not_displaced_by_side_requests(engine: LlamaEngine) -> None:
    await fill(engine)
    session = Hints(session_id="s", request_class="main")
    talk = (text("held", 200), "What?")
    await answered(engine, replace(asked(*talk, tokens=1), hints=session))
    side = Hints(session_id="s", request_class="auxiliary")
    for number in range(3):
        await answered(engine, replace(asked(text(f"side {number}", 150), "?"), hints=side))
    before = engine.machine.parts.tokens_read
    await answered(engine, replace(asked(*talk, "An.", "Who?"), hints=session))
    assert engine.machine.parts.tokens_read - before < 100


async def test_context_that_was_compacted_is_dropped(engine: LlamaEngine) -> None:
    store = engine.machine.parts.store
    assert store is not None
    system = text("system of s", 120)
    session = Hints(session_id="compacted")
    long = asked(system, text("long talk", 150), marks=[0, 1])
    await answered(engine, replace(long, hints=session))
    await answered(engine, asked(text("another's", 120), "?", marks=[0]))
    await settled(engine)
    before = len(store.snapshots())
    compacted = replace(session, was_compacted=True)
    await answered(engine, replace(asked(system, "In short.", marks=[0]), hints=compacted))
    await settled(engine)
    # That of the talk is gone; the one of the system prompt, and others', are there.
    assert len(store.snapshots()) == before - 1
    again, _ = await answered(engine, asked(system, "What?", marks=[0]))
    assert again.reused >= again.breakpoints[0]


async def test_cancelled_prompt_leaves_its_slot_to_others(engine: LlamaEngine) -> None:
    prompt = asked(text("cancelled", 400), "What?", marks=[0], tokens=200)
    for pause_s in (0.0, 0.005, 0.02, 0.05):
        task = asyncio.create_task(answered(engine, prompt))
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await settled(engine)
    warm, answer = await answered(engine, replace(prompt, max_tokens=4))
    await settled(engine)
    await fill(engine)
    again, same = await answered(engine, replace(prompt, max_tokens=4))
    assert warm.stored == again.stored == {again.breakpoints[0]}
    assert again.reused >= again.breakpoints[0]
    assert answer == same


async def test_random_conversations_are_claimed_as_they_are_reused(engine: LlamaEngine) -> None:
    """Every claim is at most what llama.cpp has reused, and every stored prefix can be read."""
    random = Random("conversations")  # noqa: S311 - prompts, no secrets
    systems = [text(f"system {n}", 130) for n in range(3)]
    stored: dict[tuple[str, str], int] = {}

    async def one(number: int) -> None:
        system, salt = random.choice(systems), random.choice(["one", "two"])
        lengths = [random.randrange(1, 60) for _ in range(random.randrange(1, 4))]
        turns = [text(f"{number} {n}", length) for n, length in enumerate(lengths)]
        marks = [0] if random.random() < 0.8 else []
        # Of two that begin at once, one reads the prefix, and may be the last to end.
        before = stored.get((system, salt), 0)
        confirmed, _ = await answered(engine, asked(system, *turns, marks=marks, salt=salt))
        if marks:
            (size,) = confirmed.breakpoints
            assert confirmed.stored == {size}
            assert confirmed.reused >= before
            stored[system, salt] = size

    for start in range(0, 24, 3):
        await asyncio.gather(*(one(start + n) for n in range(3)))
        if start % 9 == 6:
            await settled(engine)


async def test_nothing_reused_was_claimed_wrongly(engine: LlamaEngine) -> None:
    """Runs last: all tests of the engine count."""
    assert engine.machine.parts.mismatches == 0
