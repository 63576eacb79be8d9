"""The pace of a model is judged once a second, and its lane hears when more may run."""

import asyncio

import pytest

from antiphon.core.batches import MOST_TIMES
from antiphon.service.batches.pace import EVERY_S, ModelPace

pytestmark = pytest.mark.anyio


class Seconds:
    """Lets so many seconds pass, and then no more."""

    def __init__(self, number: int) -> None:
        self.pauses: list[float] = []
        self.over = asyncio.Event()
        self._number = number

    async def sleep(self, seconds: float) -> None:
        if len(self.pauses) == self._number:
            self.over.set()
            await asyncio.Event().wait()
        self.pauses.append(seconds)


async def judged(pace: ModelPace, seconds: Seconds) -> list[int]:
    """Let the pace run for its seconds, and return the windows of which the lane has heard."""
    heard: list[int] = []
    running = asyncio.create_task(pace.run(lambda: heard.append(pace.window())))
    async with asyncio.timeout(20):
        await seconds.over.wait()
    running.cancel()
    return heard


async def test_pace_without_interactive_requests_widens_each_second_to_its_ceiling() -> None:
    seconds = Seconds(5)
    pace = ModelPace(4, seconds.sleep)
    assert pace.window() == 1
    # At the ceiling nothing changes, and nothing is told.
    assert await judged(pace, seconds) == [2, 3, 4]
    assert seconds.pauses == [EVERY_S] * 5
    assert pace.window() == 4


@pytest.mark.parametrize(
    ("alone_s", "beside_s", "window", "heard"), [(0.1, 0.2, 1, []), (0.1, 0.104, 3, [3])]
)
async def test_first_tokens_beside_batches_are_compared_with_those_without(
    alone_s: float, beside_s: float, window: int, heard: list[int]
) -> None:
    seconds = Seconds(1)
    pace = ModelPace(64, seconds.sleep)
    await judged(pace, seconds)
    assert pace.window() == 2
    for _ in range(9):
        pace.note_first_token(alone_s, beside_batches=False)
        pace.note_first_token(beside_s, beside_batches=True)
    again = Seconds(1)
    pace._sleep = again.sleep
    assert await judged(pace, again) == heard
    assert pace.window() == window


async def test_times_that_count_are_the_last_of_each_kind() -> None:
    seconds = Seconds(1)
    pace = ModelPace(64, seconds.sleep)
    for beside_s in [0.5] * 200 + [0.1] * MOST_TIMES:
        pace.note_first_token(beside_s, beside_batches=True)
        pace.note_first_token(0.1, beside_batches=False)
    assert await judged(pace, seconds) == [2]
