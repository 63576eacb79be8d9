"""The invariants of limits: none is exceeded, and what fits is served."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from antiphon.service.limits.metering import LEASE_MS
from simulation.answers import Answer
from simulation.violation import ViolationError

if TYPE_CHECKING:
    from simulation.world import World

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# Counters count in milliseconds, and decide a little after a request has its moment.
ROUNDING_S = 0.05
# The output of an answer is drawn while it is produced; after its end within this time.
SETTLED_S = 0.5


@dataclass(frozen=True)
class SpendLimit:
    """A limit that was set, in nano-dollars a month; without a workspace it is for everybody."""

    amount: int
    workspace: str | None = None

    def concerns(self, row: sqlite3.Row) -> bool:
        return self.workspace in (None, row["workspace_id"])


async def nothing_is_overspent(world: "World") -> None:
    """No limit is exceeded, but by what a process held that was dead for longer than a lease."""
    for limit in world.limits:
        spent: Counter[str] = Counter()
        for row in world.ledger():
            if limit.concerns(row) and not _given_up(world, row):
                spent[_month(row)] += row["cost"]
        for month, amount in spent.items():
            if amount > limit.amount:
                raise ViolationError("spend", f"{amount} was spent of {limit} in {month}")


def _given_up(world: "World", row: sqlite3.Row) -> bool:
    """Tell whether others might spend what this request held: its process was away for a lease."""
    begun = (row["started_at"] - world.epoch_us) / 1e6
    name = world.served_by(int(row["model"].removeprefix("claude-r")))
    return world.counters is not None and any(
        begin >= begun and end - begin >= LEASE_MS / 1000 - 1
        for server in world.servers
        if server.name == name
        for begin, end in server.absences
    )


def _month(row: sqlite3.Row) -> str:
    return str((EPOCH + timedelta(microseconds=row["started_at"])).strftime("%Y-%m"))


async def what_fits_is_served(world: "World") -> None:
    """Nobody is refused for want of money that was there, and what is left can be spent."""
    rows = world.ledger()
    for answer in world.messages():
        if answer.status == 400 and b"specified API usage limits" in answer.body:
            _check_refusal(world, answer, rows)
    for limit in world.limits:
        await _spend_the_rest(world, limit)


def _check_refusal(world: "World", answer: Answer, rows: Iterable[sqlite3.Row]) -> None:
    """Look whether a limit was so far used up by what had ended that this could not fit."""
    request = answer.request
    assert request is not None
    at = answer.ended_at + world.most_skew.total_seconds()
    ended = [row for row in rows if (row["ended_at"] - world.epoch_us) / 1e6 <= at]
    for limit in world.limits:
        spent = sum(row["cost"] for row in ended if limit.concerns(row))
        if limit.workspace in (None, request.key.workspace) and (
            spent + world.worst(request) > limit.amount
        ):
            return
    raise ViolationError("served", f"{answer.name} would have fitted, and was refused")


async def _spend_the_rest(world: "World", limit: SpendLimit) -> None:
    """Ask for exactly as much as is left, and then for one token."""
    key = next(key for key in world.keys if limit.workspace in (None, key.workspace))
    others = [one for one in world.limits if one.workspace in (None, key.workspace)]
    left = min(world.left_of(one) for one in others)
    fits = world.request(key=key, words=1, max_tokens=1)
    worst = world.worst(fits)
    answer = await world.client().create(fits)
    # Shared counters that have lost their memory are seeded again when somebody notices.
    for _ in range(10):
        if answer.status != 529:
            break
        await asyncio.sleep(5)
        fits = world.request(key=key, words=1, max_tokens=1)
        answer = await world.client().create(fits)
    # For the next limit: until what was spent is in the ledger.
    await asyncio.sleep(1)
    expected = 200 if left >= worst else 400
    if answer.status != expected:
        raise ViolationError("served", f"{left} is left, {worst} was asked: {answer.body!r}")


async def no_limit_lets_in_too_many(world: "World") -> None:
    """In no span of time are more let in than a full bucket, and what came into it meanwhile."""
    if world.most_a_minute is None:
        return
    counter, most = world.most_a_minute
    if counter == "output_tokens":
        _check_output(world.ledger(), most)
        return
    amounts = [
        (row["started_at"] / 1e6, 1 if counter == "requests" else row["input_tokens"])
        for row in world.ledger()
    ]
    for first, (begin, _) in enumerate(amounts):
        drawn = 0
        for end, amount in amounts[first:]:
            drawn += amount
            if drawn > most + (end - begin + ROUNDING_S) * most / 60:
                what = f"{drawn} {counter} in {end - begin:.3f} s of {most} a minute"
                raise ViolationError("rates", what)


def _check_output(rows: Sequence[sqlite3.Row], most: int) -> None:
    """Look whether a request was let in when answers that had ended had used up the bucket.

    How long an answer gets is not known when it begins, so a bucket of output may be in debt. Then
    it lets in nothing.
    """
    times = [(row["started_at"] / 1e6, row["ended_at"] / 1e6) for row in rows]
    for let_in, _ in times:
        drawn = 0
        for (begin, end), row in zip(reversed(times), reversed(rows), strict=True):
            drawn += row["output_tokens"] if end + SETTLED_S <= let_in else 0
            if drawn > most + (let_in - begin + ROUNDING_S) * most / 60:
                what = f"{drawn} output_tokens in {let_in - begin:.3f} s of {most} a minute"
                raise ViolationError("rates", f"{what}, and another request was let in")
