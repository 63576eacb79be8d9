"""One run: the loop and its time, the servers, what they share, and a record of what happens."""

import asyncio
import hashlib
import logging
import shutil
import sqlite3
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from antiphon.logs import EventRecord
from antiphon.settings import ModelSettings, PriceSettings, Settings
from antiphon.store.database.database import sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.prompt_cache.memory import MemoryCacheIndex
from simulation.answers import Answer, Key, Request
from simulation.batches import SentBatch
from simulation.clients import Client
from simulation.counters import CountersServer
from simulation.engine import EngineRecord
from simulation.faults import Faults
from simulation.limits import SpendLimit
from simulation.loop import SimulatedLoop
from simulation.planted import NOTHING, Planted
from simulation.processes import Life, Server, immortal
from simulation.violation import ViolationError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
API_KEY = "sk-antiphon-key-of-the-simulation"
ADMIN_KEY = "sk-antiphon-admin-key-of-the-simulation"
# Nano-dollars for a token.
INPUT_PRICE, OUTPUT_PRICE = 3_000, 15_000
# How long a run may take to come to rest, and how long it then lies still: longer than a lease.
REST_S, STILL_S = 3600.0, 75.0
# More than a run without a fault of its own has; of an endless one the last are kept.
MOST_LINES = 4000


class World:
    """Everything of one run that outlives a process."""

    def __init__(self, seed: int, loop: SimulatedLoop, folder: Path, template: Path) -> None:
        self.seed = seed
        self.loop = loop
        self.folder = folder
        self._template = template
        self.planted: Planted = NOTHING
        self.faults = Faults(loop.time)
        self.network = self.chance_of("network")
        self.engine = EngineRecord()
        self.counters: CountersServer | None = None
        # Shared by servers that share counters.
        self.cache_index = MemoryCacheIndex(lambda: self.epoch_us // 1000 + int(loop.time() * 1000))
        self.servers: list[Server] = []
        self.lives: list[Life] = []
        self.answers: list[Answer] = []
        self.batches: list[SentBatch] = []
        self.hangs = 0
        # What the service has found that searches the web.
        self.searches = 0
        self.keys = [Key(API_KEY)]
        self.admin_key = ADMIN_KEY
        # When it was known that a key is revoked, in seconds of the run.
        self.revoked: dict[Key, float] = {}
        # Faults of the program that its log or its end tells.
        self.unforeseen: list[str] = []
        self.lines: list[str] = []
        # Where a caller came back when it was told to, and was refused again.
        self.broken_promises: list[str] = []
        self.limits: list[SpendLimit] = []
        # What may be drawn in a minute, of requests or of tokens, where that is watched.
        self.most_a_minute: tuple[str, int] | None = None
        # How far a clock is ahead of the true time at most.
        self.most_skew = timedelta()
        self.input_price, self.output_price = INPUT_PRICE, OUTPUT_PRICE
        self.epoch_us = (NOON - EPOCH) // timedelta(microseconds=1)
        # Lets what was killed run to its end, once nothing of it counts any more.
        self.thawing = False
        self._numbers = 0
        self._asking: list[asyncio.Task[Any]] = []

    def chance_of(self, what: str) -> Random:
        """Make a source of chance of its own, so that one more draw here changes nothing there."""
        return Random(f"{self.seed} {what}")  # noqa: S311 - a run has to come back

    def true_time(self) -> datetime:
        return NOON + timedelta(seconds=self.loop.time())

    def trace(self, event: str, **fields: object) -> None:
        """Keep a line of what happens, for whoever looks at a failure."""
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self.lines.append(f"{self.loop.time():11.4f}  {event}  {told}")
        if len(self.lines) > 2 * MOST_LINES:
            del self.lines[:MOST_LINES]

    def serve(
        self,
        *names: str,
        shared: bool = False,
        workers: int = 0,
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> list[Server]:
        """Start servers: one alone on its data folder, or several on one database and counters.

        A worker looks for batches all the time, which takes a quarter of a small run. So servers
        have none but where there are batches, or where all is to be as it is by default.
        """
        if shared:
            self.counters = CountersServer(self.faults, self.chance_of("counters"), self._ms)
            settings |= {
                "database_url": sqlite_url(self.database),
                "counters_url": "valkey://simulated",
            }
        model = ModelSettings(
            id="scripted",
            engine="scripted",
            aliases=("claude-*",),
            price=PriceSettings(input=Decimal(3), output=Decimal(15)),
            options={"echo": True, "tokens_per_second": 20, **(options or {})},
        )
        self.database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._template, self.database)
        for name in names:
            given = {"data_dir": self.folder / name, "api_key": API_KEY, "admin_key": ADMIN_KEY}
            loaded = Settings.load({**given, "workers": workers, **settings}, environ={})
            server = Server(self, name, loaded, model)
            self.servers.append(server)
            server.start()
        return self.servers

    @property
    def database(self) -> Path:
        """The file of the database: in the folder of the one server, or beside those of several."""
        return self.folder / "one" / "antiphon.db"

    def client(self, place: int = 0) -> Client:
        return Client(self, self.servers[place])

    async def found(self, *workspaces: str) -> None:
        """Make workspaces, each with a key, as an administrator does."""
        for name in workspaces:
            workspace = await self.administer("POST", "/workspaces", {"name": name})
            scope = {"type": "workspace", "workspace_id": workspace["id"]}
            key = await self.administer("POST", "/api_keys", {"name": name, "scope": scope})
            self.keys.append(Key(key["secret"], key["id"], workspace["id"]))

    async def revoke(self, key: Key, at: float) -> None:
        """Revoke a key after some time, and note when that was done."""
        await asyncio.sleep(at)
        await self.administer("POST", f"/api_keys/{key.id}", {"status": "archived"})
        self.revoked[key] = self.loop.time()

    async def administer(self, method: str, path: str, body: Any = None) -> Any:
        """Do as an administrator until it has worked; return the answer."""
        for place in range(1000):
            server = self.servers[place % len(self.servers)]
            if server.life is None or server.life.app is None:
                await asyncio.sleep(0.5)
                continue
            answer = await Client(self, server).administer(method, path, body)
            if answer.status == 200:
                return answer.json
            await asyncio.sleep(0.5)
        raise AssertionError(f"{method} {path} never worked: {answer.status} {answer.body!r}")

    async def limit_spend(self, nano_dollars: int, workspace: str | None = None) -> None:
        """Set a limit for a month: the organization's, or that of a workspace."""
        scope = {"type": "organization"}
        if workspace is not None:
            scope = {"type": "workspace", "workspace_id": workspace}
        cents = f"{nano_dollars // 10**7}.{nano_dollars % 10**7:07}"
        await self.administer("POST", "/spend_limits", {"scope": scope, "amount": cents})
        self.limits.append(SpendLimit(nano_dollars, workspace))

    def request(self, **fields: Any) -> Request:
        """Make the next request: a number of its own, and these fields."""
        self._numbers += 1
        return Request(number=self._numbers, **fields)

    def worst(self, request: Request) -> int:
        """Return the most that a request can cost, in nano-dollars."""
        # All of a prompt with a breakpoint may be written to the cache.
        share = {"5m": 125, "1h": 200}[request.ttl] if request.shared else 100
        of_input = -(-request.input_tokens * INPUT_PRICE * share // 100)
        return of_input + request.max_tokens * OUTPUT_PRICE

    def left_of(self, limit: SpendLimit) -> int:
        """Return what may still be spent, by the ledger: all is over that was asked for."""
        month = {_month_of(server.now()) for server in self.servers}
        return limit.amount - sum(
            row["cost"]
            for row in self.ledger()
            if limit.concerns(row)
            and _month_of(EPOCH + timedelta(microseconds=row["started_at"])) in month
        )

    def messages(self) -> list[Answer]:
        """Return the answers to those who asked for a message."""
        return [answer for answer in self.answers if answer.request is not None]

    def served_by(self, number: int) -> str | None:
        """Return the name of the server that a request was sent to."""
        found = (a.server for a in self.answers if a.request and a.request.number == number)
        return next(found, None)

    def was_killed(self, answer: Answer) -> bool:
        """Tell whether a process of the server that was asked died about when its answer ended."""
        return any(
            server.name == answer.server
            and any(abs(begin - answer.ended_at) < 1 for begin, _ in server.absences)
            for server in self.servers
        )

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let a caller go on by itself; `rest` waits for it."""
        self._asking.append(asyncio.create_task(work))

    async def asked(self) -> None:
        """Wait until everybody who asks has an answer."""
        with _ends("not everybody has an answer"):
            async with asyncio.timeout(REST_S):
                for task in self._asking:
                    await task

    async def set_clock(self, server: Server, at: float, seconds: float) -> None:
        """Set the clock of a machine forwards or backwards, after some time."""
        await asyncio.sleep(at)
        self.turn_clock(server, seconds)

    def turn_clock(self, server: Server, seconds: float) -> None:
        server.skew += timedelta(seconds=seconds)
        self.most_skew = max(self.most_skew, server.skew)
        self.trace("sets its clock", server=server.name, by=seconds)

    async def rest(self) -> None:
        """Let nothing go wrong any more, everybody come to an end, and some time pass."""
        self.faults.end()
        for server in self.servers:
            server.lifespan = immortal
            # Reports do not look into the future: what was done there is to be in the past.
            server.skew = self.most_skew
            if server.life is not None:
                server.life.dies_at = None
        steps = [life.steps for life in self.lives]
        self.trace("comes to rest", steps=steps, writes=self.faults.writes)
        await self.asked()
        with _ends("not every server serves"):
            async with asyncio.timeout(REST_S):
                for server in self.servers:
                    await server.ready()
        await asyncio.sleep(STILL_S)

    def ledger(self) -> list[sqlite3.Row]:
        """Read the ledger past the program, in the order of admission."""
        return self.stored("SELECT * FROM ledger ORDER BY started_at, id")

    def rollups(self, width: int, floor: int) -> list[sqlite3.Row]:
        """Read the roll-ups of a width past the program, as far as they are kept."""
        prompt = "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens"
        return self.stored(
            f"SELECT start, model, sum(requests), sum({prompt}), sum(output_tokens), sum(cost) "  # noqa: S608
            "FROM usage_rollups JOIN usage_groups ON id = group_id "
            f"WHERE width = {width} AND start >= {floor} GROUP BY start, model"
        )

    def stored(self, query: str) -> list[sqlite3.Row]:
        """Read the database past the program."""
        connection = sqlite3.connect(self.database)
        try:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def told(self) -> str:
        """Return a digest of all that callers were told, and when; equal seeds give equal ones."""
        digest = hashlib.sha256()
        for answer in self.answers:
            number = answer.request.number if answer.request else 0
            facts = (number, answer.sent_at, answer.ended_at, answer.ended, answer.status)
            digest.update(repr((facts, sorted(answer.headers.items()))).encode() + answer.body)
        for batch in self.batches:
            digest.update(repr((batch.id, batch.polls, batch.lines)).encode())
        return digest.hexdigest()[:16]

    def _ms(self) -> int:
        return (self.true_time() - EPOCH) // timedelta(milliseconds=1)


@contextmanager
def _ends(otherwise: str) -> Generator[None]:
    """Say what has not ended after all that time."""
    try:
        yield
    except TimeoutError as error:
        raise ViolationError("ends", f"{otherwise} after {REST_S:.0f} s") from error


def _month_of(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month


@contextmanager
def logged(world: World) -> Generator[None]:
    """Keep what the program logs in the world's record, and print nothing."""
    handler = _Record(world)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _Record(logging.Handler):
    """Keeps what is logged. What asyncio says is a task whose fault nobody has looked at."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record, EventRecord):
            self._keep(record)
            return
        self._world.trace(f"{record.name}: {record.getMessage()}")
        if record.name == "asyncio":
            fault = record.exc_info[1] if record.exc_info else None
            self._world.unforeseen.append(f"{self._world.lines[-1]} {fault!r}")

    def _keep(self, record: EventRecord) -> None:
        level, fields = record.levelname.lower(), dict(record.fields)
        fault = fields.pop("exc_info", None)
        self._world.trace(f"{level}: {record.msg}", **fields)
        foreseen = fault is None or isinstance(fault, StoreError)
        if not foreseen or level == "critical":
            self._world.unforeseen.append(f"{self._world.lines[-1]} {fault!r}")
