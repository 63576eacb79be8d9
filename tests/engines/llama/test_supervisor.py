import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind, EngineStartError
from antiphon.engines.llama.supervisor import Clockwork, Supervisor, pause_after
from antiphon.engines.states import EngineFailure
from support.conversation import eventually

pytestmark = pytest.mark.anyio


class FakeChild:
    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def kill(self) -> None:
        if not self._end.done():
            self._end.set_result(-9)

    async def aclose(self) -> None:
        self.closed = True
        self.kill()


class ChildStarter:
    """Starts fake children for a supervisor, and records its pauses instead of sleeping."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.broken_starts = 0
        self.healthy = True
        self.time = 0.0
        self.pauses: list[float] = []

    async def start(self) -> FakeChild:
        if self.broken_starts:
            self.broken_starts -= 1
            raise EngineStartError("out of order")
        self.children.append(FakeChild(f"http://child/{len(self.children)}"))
        return self.children[-1]

    async def is_healthy(self, address: str) -> bool:
        return self.healthy or address != "http://child/0"

    async def sleep(self, seconds: float) -> None:
        if seconds != 5.0:  # a pause between starts, not one between health checks
            self.pauses.append(seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def supervisor(self, wait_s: float = 5.0) -> AsyncIterator[Supervisor]:
        clockwork = Clockwork(now=lambda: self.time, sleep=self.sleep)
        supervisor = Supervisor(self.start, self.is_healthy, wait_s, clockwork)
        await supervisor.open()
        try:
            yield supervisor
        finally:
            await supervisor.aclose()


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_after(n) for n in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert pause_after(10) == pause_after(10_000) == 30.0


async def test_crashed_child_is_replaced() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        assert await supervisor.address() == "http://child/0"
        starter.children[0].kill()
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)
        assert await supervisor.address() == "http://child/1"


async def test_pauses_grow_while_starts_fail() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        starter.broken_starts = 3
        starter.children[0].kill()
        await eventually(lambda: len(starter.children) == 2)
        assert await supervisor.address() == "http://child/1"
        assert starter.pauses == [0.1, 0.2, 0.4, 0.8]


async def test_pause_after_a_stable_minute_is_short_again() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        for crash in (1, 2, 3):
            starter.children[-1].kill()
            await eventually(lambda: supervisor.ready and len(starter.children) == crash + 1)  # noqa: B023 - called before the next crash
        starter.time += 61
        starter.children[-1].kill()
        await eventually(lambda: len(starter.children) == 5)
    assert starter.pauses == [0.1, 0.2, 0.4, 0.1]


async def test_child_that_does_not_answer_is_killed_and_replaced() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        starter.healthy = False
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)


async def test_request_that_waited_for_a_restart_is_overloaded() -> None:
    starter = ChildStarter()
    async with starter.supervisor(wait_s=0.05) as supervisor:
        starter.broken_starts = 1_000_000
        starter.children[0].kill()
        await eventually(lambda: not supervisor.ready)
        with pytest.raises(EngineError, match="restarting") as caught:
            await supervisor.address()
        assert caught.value.kind is EngineErrorKind.OVERLOADED


async def test_closing_closes_the_child() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        assert supervisor.ready
    assert starter.children[0].closed
    assert not supervisor.ready


async def test_failed_first_start_is_not_repeated() -> None:
    starter = ChildStarter()
    starter.broken_starts = 1
    with pytest.raises(EngineStartError, match="out of order"):
        async with starter.supervisor():
            pass


async def test_silent_child_that_answers_a_health_check_goes_on() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        await supervisor.suspect("http://child/0")
        assert supervisor.ready
        assert len(starter.children) == 1


async def test_silent_child_that_answers_no_health_check_is_replaced() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        starter.healthy = False
        await supervisor.suspect("http://child/0")
        assert not supervisor.ready
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)


async def test_child_that_is_ended_is_replaced_and_a_later_one_is_not() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        supervisor.end("http://child/0", "it was silent")
        assert (supervisor.ready, supervisor.generation) == (False, 0)
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)
        assert supervisor.generation == 1
        supervisor.end("http://child/0", "it was silent")
        await supervisor.suspect("http://child/0")
        assert supervisor.ready


async def test_supervisor_tells_why_the_last_child_ended_and_how_long_ago() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        assert supervisor.failure is None
        starter.children[0].kill()
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)
        starter.time += 12.0
        assert supervisor.failure == EngineFailure("llama.cpp ended with exit code -9", 12.0)
        # The end that follows is no news: it was ended, and for this reason.
        supervisor.end("http://child/1", "it was silent")
        await eventually(lambda: len(starter.children) == 3 and supervisor.ready)
        assert supervisor.failure == EngineFailure("it was silent", 0.0)
        starter.broken_starts = 1
        starter.children[2].kill()
        await eventually(lambda: len(starter.children) == 4 and supervisor.ready)
        assert supervisor.failure == EngineFailure("llama.cpp does not start: out of order", 0.0)


async def test_child_that_does_not_answer_is_the_reason_of_its_end() -> None:
    starter = ChildStarter()
    async with starter.supervisor() as supervisor:
        starter.healthy = False
        await eventually(lambda: len(starter.children) == 2 and supervisor.ready)
        assert supervisor.failure is not None
        assert supervisor.failure.reason == "llama.cpp does not answer and is restarted"
