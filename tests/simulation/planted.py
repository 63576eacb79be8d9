"""Faults that are planted into the platform, each to show that an invariant can fail.

They stand in the place of real parts, at the same seams as the faults of the surroundings. None
of them is in the program: a run with one has to fail, or the invariant sees nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.core.limits.values import Account, Ask, Draw, Level, Limited, Settlement, Verdict
from antiphon.engines.base import Engine, EngineEvent, Prompt, PromptSize, Started, keeps_prefixes
from antiphon.service.batches.group_commit import GroupCommit
from antiphon.store.counters.base import DueSlot
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.seeding import Claim, Seed
from antiphon.store.journal import Journal, JournalSlot
from simulation.counters import RemoteCounters
from simulation.planted_batches import (
    DeafToTheDead,
    MixedResults,
    OwnerlessCommits,
    ToldAgain,
    TwiceSettled,
    TwoTransactions,
    crashes_that_spend_all_tries,
    leases_without_an_end,
)


@dataclass(frozen=True)
class Planted:
    """What is put in the place of the real parts. As it is, nothing."""

    app: Callable[[ASGIApp], ASGIApp] = lambda app: app
    engine: Callable[[Engine], Engine] = lambda engine: engine
    memory: type[MemoryCounters] | None = None
    remote: type[RemoteCounters] = RemoteCounters
    journal: type[Journal] = Journal
    sql: Callable[[str], str] = lambda sql: sql
    commits: type[GroupCommit] = GroupCommit


NOTHING = Planted()


# The ledger and the reports ------------------------------------------------------------------


class ForgetfulLedger:
    """Every third batch of entries is said to be written, and is not."""

    def __init__(self) -> None:
        self._batches = count(1)

    def __call__(self, sql: str) -> str:
        if sql.startswith("INSERT INTO ledger") and next(self._batches) % 3 == 0:
            nothing = " + ?" * sql.count("?")
            return f"DELETE FROM ledger WHERE 0 AND (0{nothing})"  # noqa: S608 - of marks only
        return sql


def reports_without_the_large(sql: str) -> str:
    """Leave what is large out of what is summed up."""
    small = "FROM (SELECT rowid, * FROM ledger WHERE output_tokens < 5) AS ledger"
    return sql.replace("FROM ledger", small) if "sum(" in sql else sql


def rollups_with_one_more(sql: str) -> str:
    """Count the last entry that is there already together with the new ones."""
    return sql.replace("coalesce(max(rowid), 0)", "coalesce(max(rowid), 0) - 1")


class SilentRevocations:
    """A key that is revoked is no news to anybody."""

    def __init__(self) -> None:
        self._revokes = False

    def __call__(self, sql: str) -> str:
        if sql.startswith("UPDATE api_keys SET status"):
            self._revokes = True
        elif self._revokes and sql.startswith("UPDATE revision"):
            self._revokes = False
            return sql.replace("+ ?", "+ 0 * ?")
        # The number of the change is that of another one.
        return sql.replace("INSERT INTO account_changes", "INSERT OR REPLACE INTO account_changes")


class MistakenRevocations:
    """A key that is revoked is told to be another one."""

    def __init__(self) -> None:
        self._revokes = False

    def __call__(self, sql: str) -> str:
        if sql.startswith("UPDATE api_keys SET status"):
            self._revokes = True
        elif self._revokes and sql.startswith("INSERT INTO account_changes"):
            self._revokes = False
            return sql.replace("VALUES (?, ?, ?)", "VALUES (?, ?, 'not ' || ?)")
        return sql


class _SilentSlot(JournalSlot):
    def produced(self, output: int, thinking: int) -> None:
        """Keep nothing until the end."""


class SilentJournal(Journal):
    """What is produced is written down at the end only, and lost if that does not come."""

    def slot(self, number: int) -> JournalSlot:
        slot = super().slot(number)
        return _SilentSlot(number, slot._area)


# The counters --------------------------------------------------------------------------------


class GenerousCounters(MemoryCounters):
    """Nobody looks whether there is money for a request."""

    async def admit(self, ask: Ask) -> Verdict:
        return await super().admit(Ask(ask.id, ask.draws, (), ask.lease_ms, ask.waits))


class CarelessCounters(MemoryCounters):
    """Nobody looks whether there is money for a further round, or for a search of the web."""

    async def admit(self, ask: Ask) -> Verdict:
        holds = () if "+" in ask.id else ask.holds
        return await super().admit(Ask(ask.id, ask.draws, holds, ask.lease_ms, ask.waits))


class DoubleCounters(MemoryCounters):
    """Each settlement is counted twice."""

    async def settle(self, settlement: Settlement) -> None:
        await super().settle(settlement)
        again = Settlement(f"{settlement.id} again", settlement.costs, settlement.corrections)
        await super().settle(again)


class HoldingCounters(MemoryCounters):
    """What was held for a request stays held after its end."""

    async def settle(self, settlement: Settlement) -> None:
        self._tally._reservations.pop(settlement.id, None)
        await super().settle(settlement)


class LossyCounters(MemoryCounters):
    """Every seventh settlement releases what was held, and charges nothing."""

    async def settle(self, settlement: Settlement) -> None:
        self._settlements = getattr(self, "_settlements", 0) + 1
        if self._settlements % 7 == 0:
            settlement = Settlement(settlement.id, {}, settlement.corrections)
        await super().settle(settlement)


class UncorrectedCounters(MemoryCounters):
    """A settlement draws nothing of what was used beyond the draws before it."""

    async def settle(self, settlement: Settlement) -> None:
        await super().settle(Settlement(settlement.id, settlement.costs))


class FreshCounters(MemoryCounters):
    """A server that starts again does not learn what was spent."""

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        del spent
        await super().seed({}, settled)


class HastyCounters(MemoryCounters):
    """Who is refused is told half of the time that it takes."""

    async def admit(self, ask: Ask) -> Verdict:
        verdict = await super().admit(ask)
        if isinstance(verdict, Limited):
            return Limited(verdict.index, verdict.retry_after_ms // 2, verdict.levels)
        return verdict


class LateCounters(MemoryCounters):
    """A retry slot is due later than its client was told."""

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        return await super().add_retry_slot(queue, due_in_ms + 4000, kept_ms)


class LeakyCounters(MemoryCounters):
    """Buckets seem to be full again sooner than they are."""

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        real = await super().levels(draws)
        return tuple(Level(level.remaining, level.full_in_ms * 3 // 4) for level in real)


class SlotlessCounters(MemoryCounters):
    """Retry slots are promised and forgotten."""

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        del queue, kept_ms
        return None


class ForgetfulCounters(RemoteCounters):
    """Counters that are seeded again are told that nothing was spent."""

    async def complete(self, claim: Claim, seed: Seed) -> None:
        await super().complete(claim, Seed({}, seed.settled))


# The answers ---------------------------------------------------------------------------------


class LeakingEngine:
    """Every fourth answer is to the prompt before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._answers = count(1)
        self._before: Prompt | None = None
        self.capabilities = engine.capabilities
        self.ready = True

    async def count_tokens(self, prompt: Prompt) -> int:
        return await self._engine.count_tokens(prompt)

    def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        before, self._before = self._before, prompt
        if next(self._answers) % 4 == 0 and before is not None:
            prompt = before
        return self._engine.generate(prompt)

    async def aclose(self) -> None:
        await self._engine.aclose()


class BrokenEngine(LeakingEngine):
    """Every fourth answer meets a mistake in the program."""

    def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        if next(self._answers) % 4 == 0:
            raise KeyError("a mistake")
        return self._engine.generate(prompt)


class BoastfulEngine(LeakingEngine):
    """It says of each prompt that all of it was reused."""

    async def measure(self, prompt: Prompt) -> PromptSize:
        assert keeps_prefixes(self._engine)
        return await self._engine.measure(prompt)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        async with aclosing(self._engine.generate(prompt)) as events:
            async for event in events:
                if isinstance(event, Started) and event.confirmed is not None:
                    confirmed = replace(event.confirmed, reused=event.input_tokens)
                    yield replace(event, confirmed=confirmed)
                else:
                    yield event


class DeafApp:
    """Nobody hears that a caller hangs up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_until_hung_up() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.sleep(60)
            return message

        await self._app(scope, receive_until_hung_up, send)


class EndlessApp:
    """Every fourth answer lacks its last piece."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut = scope["path"] == "/v1/messages" and next(self._answers) % 4 == 0

        async def send_all_but_the_last(message: Message) -> None:
            if not cut or message["type"] != "http.response.body" or message.get("more_body"):
                await send(message)

        await self._app(scope, receive, send_all_but_the_last)


class CutApp(EndlessApp):
    """Every fourth stream ends in time, without the event that says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut = next(self._answers) % 4 == 0

        async def send_all_but_the_stop(message: Message) -> None:
            body: bytes = message.get("body", b"")
            if cut and b"event: message_stop" in body:
                message = {**message, "body": body[: body.index(b"event: message_stop")]}
            await send(message)

        await self._app(scope, receive, send_all_but_the_stop)


@dataclass(frozen=True)
class Plant:
    """A planted fault, where it is planted, and which invariant has to see it."""

    invariant: str
    scenario: str
    plant: Callable[[], Planted]
    # Of so many seeds, from the first one on, at least one sees it.
    seeds: int = field(default=4, kw_only=True)
    first: int = field(default=1, kw_only=True)


PLANTS: Mapping[str, Plant] = {
    "an engine that says it reuses what it reads": Plant(
        "cached", "cached", lambda: Planted(engine=BoastfulEngine), seeds=12
    ),
    "a ledger that forgets entries": Plant(
        "tokens", "calm", lambda: Planted(sql=ForgetfulLedger())
    ),
    "a journal that forgets what was produced": Plant(
        "tokens", "crash", lambda: Planted(journal=SilentJournal), seeds=12
    ),
    "a report that leaves something out": Plant(
        "reports", "calm", lambda: Planted(sql=reports_without_the_large)
    ),
    "a roll-up that counts an entry twice": Plant(
        "reports", "calm", lambda: Planted(sql=rollups_with_one_more)
    ),
    "a revoked key that nobody hears of": Plant(
        "keys", "revoked_keys", lambda: Planted(sql=SilentRevocations())
    ),
    "a revoked key that is told to be another one": Plant(
        "keys", "revoked_keys", lambda: Planted(sql=MistakenRevocations())
    ),
    "a spend limit that nobody looks at": Plant(
        "spend", "money", lambda: Planted(memory=GenerousCounters)
    ),
    "a round that no money is held for": Plant(
        "spend", "rounds", lambda: Planted(memory=CarelessCounters), seeds=24
    ),
    "a start that forgets what was spent": Plant(
        "spend", "crash", lambda: Planted(memory=FreshCounters), seeds=8, first=7
    ),
    "a settlement that charges nothing": Plant(
        "counters", "calm", lambda: Planted(memory=LossyCounters)
    ),
    "a settlement that counts twice": Plant(
        "served", "money", lambda: Planted(memory=DoubleCounters)
    ),
    "a hold that never ends": Plant("holds", "calm", lambda: Planted(memory=HoldingCounters)),
    "a retry-after that is too short": Plant(
        "retries", "retries", lambda: Planted(memory=HastyCounters)
    ),
    "a retry slot that is due too late": Plant(
        "retries", "retries", lambda: Planted(memory=LateCounters)
    ),
    "a bucket that fills too fast": Plant(
        "rates", "retries", lambda: Planted(memory=LeakyCounters)
    ),
    "a settlement without corrections": Plant(
        "rates", "output_limit", lambda: Planted(memory=UncorrectedCounters)
    ),
    "retry slots that are forgotten": Plant(
        "retries", "retries", lambda: Planted(memory=SlotlessCounters)
    ),
    "counters that forget what was spent": Plant(
        "counters", "counters_forget", lambda: Planted(remote=ForgetfulCounters), seeds=24, first=14
    ),
    "an answer to somebody else": Plant("leaks", "calm", lambda: Planted(engine=LeakingEngine)),
    "an answer without an end": Plant("ends", "calm", lambda: Planted(app=EndlessApp)),
    "a stream without its last event": Plant("ends", "calm", lambda: Planted(app=CutApp)),
    "a hang-up that nobody hears": Plant("stops", "hang_ups", lambda: Planted(app=DeafApp)),
    "a batch's result and its charge in two transactions": Plant(
        "charges", "batches_killed", lambda: Planted(commits=TwoTransactions), seeds=12
    ),
    "a commit without a look at the lease": Plant(
        "batches",
        "batches_taken_over",
        lambda: Planted(sql=leases_without_an_end, commits=OwnerlessCommits),
        seeds=8,
    ),
    "charges of a dead worker that count again": Plant(
        "counters", "batches_killed", lambda: Planted(commits=ToldAgain), seeds=16
    ),
    "a batch's charge that counts twice": Plant(
        "counters", "batches", lambda: Planted(commits=TwiceSettled)
    ),
    "results of a dead worker that nobody takes over": Plant(
        "batches", "batches_killed", lambda: Planted(commits=DeafToTheDead), seeds=16
    ),
    "a result of another request": Plant(
        "results", "batches", lambda: Planted(commits=MixedResults)
    ),
    "a poisonous request that takes others with it": Plant(
        "poison", "batches_poisoned", lambda: Planted(sql=crashes_that_spend_all_tries)
    ),
    "a mistake in the program": Plant("unforeseen", "calm", lambda: Planted(engine=BrokenEngine)),
}
