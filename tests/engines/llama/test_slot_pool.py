import asyncio
from collections.abc import Sequence

import pytest

from antiphon.engines.llama.slot_pool import MOST_PASSED, Line, SlotPool
from antiphon.engines.llama.slots import SlotChoice, SlotState

pytestmark = pytest.mark.anyio


class Now:
    """A clock and a number of children, which tests set."""

    def __init__(self) -> None:
        self.time = 0.0
        self.generation = 0


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def pool(now: Now) -> SlotPool:
    return SlotPool(2, lambda: now.generation, lambda: now.time)


def first_free(states: Sequence[SlotState]) -> SlotChoice | None:
    free = [state for state in states if not state.busy]
    return SlotChoice(slot=free[0].id, reused=0, erase=False, restore=False) if free else None


async def test_slot_holds_what_its_prompt_has_noted(pool: SlotPool, now: Now) -> None:
    now.time = 3.0
    async with pool.taken(first_free) as taken:
        assert pool.states()[0].busy
        assert pool.busy
        taken.holds("salt", b"tokens..")
    assert not pool.busy
    assert pool.states()[0] == SlotState(id=0, salt="salt", tokens=b"tokens..", used_at=3.0)
    assert pool.states()[1] == SlotState(id=1)


async def test_slots_of_a_new_child_are_empty(pool: SlotPool, now: Now) -> None:
    async with pool.taken(first_free) as taken:
        taken.holds("salt", b"tokens..")
    now.generation = 1
    assert pool.states() == [SlotState(id=0), SlotState(id=1)]


async def test_slot_whose_child_ended_meanwhile_is_its_workspaces(pool: SlotPool, now: Now) -> None:
    async with pool.taken(first_free) as taken:
        taken.holds("salt", b"tokens..")
        now.generation = 1
    assert pool.states()[0] == SlotState(id=0, salt="salt")


async def test_held_slot_is_kept_for_its_time(pool: SlotPool, now: Now) -> None:
    async with pool.taken(first_free) as taken:
        taken.held_s = 5.0
        taken.holds("salt", b"tokens..")
    assert pool.states()[0].kept
    now.time = 5.0
    assert not pool.states()[0].kept


async def test_slot_is_free_after_a_failure(pool: SlotPool) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match="failed"):
            async with pool.taken(first_free):
                raise RuntimeError("failed")
    assert not any(state.busy for state in pool.states())


async def enter(line: Line, names: list[str], name: str, *, waits: bool = False) -> None:
    async with line.place(waits=waits):
        names.append(name)


async def test_line_keeps_its_order_and_lets_others_pass_those_that_wait() -> None:
    line, names = Line(1), list[str]()
    async with line.place(waits=False):
        tasks = [
            asyncio.create_task(enter(line, names, name, waits=name.startswith("side")))
            for name in ("side 1", "one", "side 2", "two", "three")
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert names == ["one", "two", "three", "side 1", "side 2"]


async def test_only_so_many_pass_one_that_waits() -> None:
    line, names = Line(1), list[str]()
    async with line.place(waits=False):
        tasks = [asyncio.create_task(enter(line, names, "side", waits=True))]
        tasks += [asyncio.create_task(enter(line, names, str(n))) for n in range(MOST_PASSED + 3)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert names.index("side") == MOST_PASSED


async def test_cancelled_prompts_keep_no_place() -> None:
    line, names = Line(1), list[str]()
    async with line.place(waits=False):
        tasks = [asyncio.create_task(enter(line, names, str(n))) for n in range(4)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
    # The place came to the second one just now, and it is cancelled in the same moment.
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert names == ["3"]
    async with asyncio.timeout(1), line.place(waits=True):
        pass
