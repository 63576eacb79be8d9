"""Servers that live, die at any step, and are started again on what they have left."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from antiphon.engines.base import Engine, EngineConfig
from antiphon.server.app import build_app
from antiphon.service.accounting import ServerCounters, open_counters
from antiphon.service.batches.opening import open_batches
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import ModelSettings, Settings, SettingsError
from antiphon.store.counters.base import CountersError
from antiphon.store.counters.fallback import FallbackCounters
from antiphon.store.database.database import open_database
from antiphon.store.database.errors import StoreError
from antiphon.store.prompt_cache.base import CacheIndex
from antiphon.store.prompt_cache.memory import MemoryCacheIndex
from simulation.engine import open_recorded
from simulation.loop import OWNER
from simulation.rounds import SimulatedSearch
from simulation.storage import Storage

if TYPE_CHECKING:
    from simulation.clients import Call
    from simulation.world import World

# How long a server that ended waits before it is started again, in seconds.
DOWN_S = (0.05, 20.0)
# What a server says when it cannot start.
CANNOT_START = (StoreError, CountersError, SettingsError, OSError)

# Tells after how many steps, or commits of requests of batches, a life is killed.
Lifespan = Callable[[int], int | None]


def immortal(number: int) -> int | None:
    """Kill no life."""
    del number
    return None


class Server:
    """One server: a data folder and settings, and the process that serves from them now."""

    def __init__(self, world: "World", name: str, settings: Settings, model: ModelSettings) -> None:
        self.world = world
        self.name = name
        self.settings = settings
        self.model = model
        # How far its clock is from the true time.
        self.skew = timedelta()
        self.lifespan: Lifespan = immortal
        self.last_commit: Lifespan = immortal
        self.down_s = DOWN_S
        self.life: Life | None = None
        self.lives = 0
        self.kills = 0
        # From when to when no process was there, in seconds of the run.
        self.absences: list[tuple[float, float]] = []
        self.away_since: float | None = None
        self._supervisor: asyncio.Task[None] | None = None

    def is_back(self) -> None:
        """Note that a process serves: all that the one before had left is known now."""
        if self.away_since is not None:
            self.absences.append((self.away_since, self.world.loop.time()))
            self.away_since = None

    def now(self) -> datetime:
        """Return the time of day, as this machine has it."""
        return self.world.true_time() + self.skew

    def start(self) -> None:
        """Serve from now on, and start again whenever the process ends."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def ready(self) -> "Life":
        """Return the process once it serves."""
        while self.life is None or self.life.app is None:  # noqa: ASYNC110 - a kill may come
            await asyncio.sleep(0.05)
        return self.life

    async def end(self) -> None:
        """Stop the process as a signal does, and start no other."""
        if self._supervisor is not None:
            self._supervisor.cancel()
        if self.life is not None:
            await self.life.stop()

    async def _supervise(self) -> None:
        chance = self.world.chance_of(f"supervisor of {self.name}")
        while True:
            self.lives += 1
            self.life = Life(self, self.lives)
            self.world.lives.append(self.life)
            self.life.begin()
            await self.life.over.wait()
            self.kills += self.life.killed
            self.away_since = self.away_since or self.world.loop.time()
            await asyncio.sleep(chance.uniform(*self.down_s))


class Life:
    """One process, from its start to its end. It owns whatever runs in its context."""

    def __init__(self, server: Server, number: int) -> None:
        self.server = server
        self.number = number
        self.alive = True
        self.killed = False
        self.steps = 0
        self.dies_at = server.lifespan(number)
        self.commits = 0
        self.last_commit = server.last_commit(number)
        self.over = asyncio.Event()
        self.platform: Platform | None = None
        self.app: ASGIApp | None = None
        self.failure: BaseException | None = None
        self.calls: set[Call] = set()
        self._world = server.world
        self._stopping = asyncio.Event()
        self._hangs = False
        self._parked: list[Callable[[], object]] = []
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self._storage = Storage(
            self._world.loop,
            self._world.faults,
            self._world.planted,
            server.name,
            server.settings.data_dir,
            committed=self._committed,
        )
        self._entropy = Random(f"{self._world.seed} {server.name} {number}")  # noqa: S311 - no secrets

    def may_step(self) -> bool:
        if not self.alive:
            return self._world.thawing
        if self._hangs:
            return False
        self.steps += 1
        if self.steps == self.dies_at:
            self.kill()
            return False
        return True

    def _committed(self) -> None:
        self.commits += 1
        if self.commits == self.last_commit:
            self.kill()

    def park(self, step: Callable[[], object]) -> None:
        self._parked.append(step)

    def thaw(self) -> None:
        """Go on where the process was killed, so that it can be cancelled and forgotten."""
        self._hangs = False
        steps, self._parked = self._parked, []
        for step in steps:
            self._world.loop.call_soon(step)

    async def hang(self, seconds: float) -> None:
        """Take no step for some time, as a process that is stopped or swapped out, then go on."""
        if self.alive:
            self._hangs = True
            self._world.hangs += 1
            self._world.trace("hangs", server=self.server.name, seconds=seconds)
            await asyncio.sleep(seconds)
            if self.alive:
                self.thaw()

    def begin(self) -> None:
        self._world.trace("starts", server=self.server.name, life=self.number)
        task = self.spawn(self._run())
        # Not as one of its own steps: it has ended by then.
        task.add_done_callback(self._ended, context=Context())

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Let a coroutine be a task of this process."""
        return self._world.loop.create_task(work, context=self._context.copy())

    def kill(self) -> None:
        """End the process as `kill -9` does: at this step, and nothing of it runs any more."""
        if not self.alive:
            return
        self.alive, self.killed, self.app = False, True, None
        self._world.trace("is killed", server=self.server.name, step=self.steps)
        self._storage.end()
        for call in tuple(self.calls):
            call.break_off()
        self.over.set()

    async def stop(self) -> None:
        """End the process as a signal to stop does: what runs may finish, then it is cut off."""
        if not self.alive:
            return
        if self.platform is not None:
            self.platform.stopping.set()
        self.app = None
        grace = self._world.loop.time() + self.server.settings.shutdown_grace_s
        while self.calls and self._world.loop.time() < grace and self.alive:  # noqa: ASYNC110 - a kill may come
            await asyncio.sleep(0.1)
        for call in tuple(self.calls):
            call.cancel()
        self._stopping.set()
        await self.over.wait()

    async def _run(self) -> None:
        async with self._built() as platform:
            await platform.models.open()
            if self.server.settings.web.search is not None:
                search = SimulatedSearch(self._world, f"{self.server.name} {self.number}")
                platform.messages._server_tools._web._backend = search  # type: ignore[assignment]
            self.platform = platform
            self.app = self._world.planted.app(build_app(platform))
            self.server.is_back()
            await self._stopping.wait()

    def _built(self) -> Any:
        server, storage = self.server, self._storage
        at, began = server.now(), self._world.loop.time()

        def clock() -> int:
            passed = timedelta(seconds=self._world.loop.time() - began)
            return int((at + passed).timestamp() * 1000)

        return build_platform(
            server.settings,
            [ModelSource(server.model)],
            entropy=self._entropy.randbytes,
            now=server.now,
            clock=clock,
            open_engine=self._open_engine,
            open_database=partial(open_database, connect=storage.connect),
            open_counters=self._open_counters,
            open_cache_index=self._open_cache_index,
            create_journal=storage.create_journal,
            open_batches=partial(open_batches, commits=self._world.planted.commits),
        )

    async def _open_engine(self, name: str, config: EngineConfig) -> Engine:
        del name
        return self._world.planted.engine(await open_recorded(config, self._world.engine))

    @asynccontextmanager
    async def _open_counters(
        self, settings: Settings, organization: str, clock: Callable[[], int]
    ) -> AsyncGenerator[ServerCounters]:
        if self._world.counters is not None:
            remote = self._world.planted.remote(self._world.counters, self.server.name)
            counters = FallbackCounters(remote)
            try:
                await counters.open()
                yield counters
            finally:
                await counters.aclose()
        elif self._world.planted.memory is not None:
            yield self._world.planted.memory(clock)
        else:
            async with open_counters(settings, organization, clock) as own:
                yield own

    @asynccontextmanager
    async def _open_cache_index(
        self, settings: Settings, organization: str, clock: Callable[[], int]
    ) -> AsyncGenerator[CacheIndex]:
        del settings, organization
        shared = self._world.counters is not None
        yield self._world.cache_index if shared else MemoryCacheIndex(clock)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not self.alive:
            return
        self.alive, self.app = False, None
        self.failure = None if task.cancelled() else task.exception()
        if self.failure is not None:
            self._world.trace("does not start", server=self.server.name, reason=str(self.failure))
            if not isinstance(self.failure, CANNOT_START):
                self._world.unforeseen.append(repr(self.failure))
        self._storage.end()
        for call in tuple(self.calls):
            call.break_off()
        self.over.set()
