"""What has to hold after every run, whatever went wrong in it. docs/reliability.md lists them.

Each invariant is a function of a world that has come to rest, and raises `ViolationError`.
`INVARIANTS` names them all; tests/simulation/test_planted.py shows of each that it can fail.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from antiphon.core.billing.rollups import WIDTHS
from antiphon.core.limits.spend import AccountState
from antiphon.core.limits.values import Account
from antiphon.service.limits.seeding import SpentTotals
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.tally import Tally
from antiphon.store.rollups import stored_width
from simulation.answers import Answer, Key, Told, tag, told_by
from simulation.batches import (
    each_success_is_charged_once,
    every_request_has_one_result,
    only_poison_is_given_up,
    results_are_for_their_workspace,
)
from simulation.engine import Produced
from simulation.limits import no_limit_lets_in_too_many, nothing_is_overspent, what_fits_is_served
from simulation.rounds import SEARCH_PRICE
from simulation.violation import ViolationError

if TYPE_CHECKING:
    from simulation.world import World

FIRST_ERROR = 400
# Hang-ups are looked for every 50 ms, from the second look on.
STOPS_S = 0.3
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


async def every_answer_ends(world: "World") -> None:
    """No answer is without an end: whole, or an error, or an error event at its end."""
    for answer in world.answers:
        if answer.ended in ("refused", "left"):
            continue
        if answer.ended == "broken":
            # Only a process that died may leave an answer without its end.
            if not world.was_killed(answer):
                raise ViolationError("ends", f"{answer.name} broke off, and no process died")
            continue
        if answer.ended != "whole":
            raise ViolationError("ends", f"{answer.name} has not ended")
        if answer.streams:
            told = told_by(answer)
            if not told.complete and not told.failed:
                raise ViolationError("ends", f"{answer.name} is whole, and has no last event")
        else:
            json.loads(answer.body)
    for server in world.servers:
        if server.life is not None and server.life.calls:
            raise ViolationError("ends", f"{server.name} still answers, and nobody listens")


async def engine_stops_for_nobody(world: "World") -> None:
    """An engine that nobody listens to any more stops soon."""
    for answer in world.messages():
        request = answer.request
        if request is None or answer.ended != "left":
            continue
        late = world.engine.of(request.number).last_at - answer.ended_at
        if late > STOPS_S:
            raise ViolationError("stops", f"the engine went on for {late:.3f} s: {answer.name}")


async def tokens_are_the_same_everywhere(world: "World") -> None:
    """Each token is told, recorded, reported and produced alike, and paid once."""
    rows = _by_number(world)
    for answer in world.messages():
        request = answer.request
        assert request is not None
        _check_tokens(answer, rows.pop(request.number, None), world.engine.of(request.number))
    searches = sum(row["web_searches"] or 0 for row in world.ledger())
    if searches > world.searches:
        raise ViolationError("tokens", f"{searches} searches are paid, {world.searches} were made")
    if rows:
        raise ViolationError("tokens", f"the ledger has requests that nobody made: {list(rows)}")


def _by_number(world: "World") -> dict[int, sqlite3.Row]:
    found: dict[int, sqlite3.Row] = {}
    for row in world.ledger():
        if row["batch_id"] is not None:
            continue
        number = int(row["model"].removeprefix("claude-r"))
        if number in found:
            raise ViolationError("tokens", f"request {number} is in the ledger twice")
        found[number] = row
        cost = cost_of(row, world.input_price, world.output_price)
        if row["cost"] != cost:
            raise ViolationError("tokens", f"request {number} is paid {row['cost']}, not {cost}")
    return found


def cost_of(row: sqlite3.Row, input_price: int, output_price: int) -> int:
    """Return the cost of a request: writes and reads of the cache by their share of the input."""
    tenths = (
        ("input_tokens", 100),
        ("cache_write_5m_tokens", 125),
        ("cache_write_1h_tokens", 200),
        ("cache_read_tokens", 10),
    )
    of_input = sum(row[name] * share for name, share in tenths) * input_price // 100
    searches = (row["web_searches"] or 0) * SEARCH_PRICE
    return int(of_input + row["output_tokens"] * output_price + searches)


def prompt_of(row: sqlite3.Row) -> int:
    """Return all tokens of the prompt of a request."""
    names = ("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
    return sum(row[name] for name in names)


def _check_tokens(answer: Answer, row: sqlite3.Row | None, produced: Produced) -> None:
    if produced.times > 1:
        raise ViolationError("tokens", f"{answer.name} was generated {produced.times} times")
    if row is None:
        if answer.status == 200 or produced.times:
            raise ViolationError("tokens", f"{answer.name} is not in the ledger")
        return
    read = max(produced.read, answer.input_tokens)
    if row["output_tokens"] > produced.output or prompt_of(row) > read:
        raise ViolationError("tokens", f"{answer.name} is billed more than the engine did")
    if answer.status >= FIRST_ERROR and (row["cost"] or row["outcome"] != "failed"):
        raise ViolationError("tokens", f"{answer.name} failed, and is paid {row['cost']}")
    if answer.status == 200:
        _check_told(answer, told_by(answer), row, produced)


def _check_told(answer: Answer, told: Told, row: sqlite3.Row, produced: Produced) -> None:
    recorded = (prompt_of(row), row["output_tokens"])
    if told.complete:
        facts = (told.input, told.output)
        made = (produced.read, produced.output)
        if told.searches != (row["web_searches"] or 0):
            what = f"told {told.searches} searches, paid are {row['web_searches']}"
            raise ViolationError("tokens", f"{answer.name} {what}")
        if facts != recorded or facts != made:
            what = f"{answer.name} told {facts}, ledger {recorded}, engine {made}"
            raise ViolationError("tokens", what)
        # The process may be killed between the last byte and the end of the entry.
        if row["outcome"] not in ("completed", "interrupted"):
            raise ViolationError("tokens", f"{answer.name} is recorded as {row['outcome']}")
    elif told.received > recorded[1] or not _is_of(told.input, recorded[0], produced):
        what = f"{answer.name} received {told.received}, is billed {recorded[1]}"
        raise ViolationError("tokens", what)


def _is_of(told: int, recorded: int, produced: Produced) -> bool:
    """Tell whether a prompt that was told at the start is the recorded one; of rounds the first."""
    return not told or told == recorded or (produced.rounds > 0 and told < recorded)


async def cached_tokens_are_real(world: "World") -> None:
    """No request is told or billed a read that its engine did not have, or nobody had written.

    An entry is written by a request of the same workspace whose answer had begun before, or in an
    earlier round of the same answer.
    """
    rows = {int(row["model"].removeprefix("claude-r")): row for row in world.ledger()}
    requests = {one.request.number: one.request for one in world.messages() if one.request}
    for answer in world.messages():
        request = answer.request
        assert request is not None
        row, produced = rows.get(request.number), world.engine.of(request.number)
        told = told_by(answer).read if answer.status == 200 else 0
        read = max(told, row["cache_read_tokens"] if row else 0)
        if read > produced.reused:
            raise ViolationError("cached", f"{answer.name} read {read} of {produced.reused}")
        if read and not any(
            other.shared == request.shared
            and other.key.workspace == request.key.workspace
            and (begun := world.engine.of(other.number).begun_at) is not None
            and begun <= produced.started_at
            for other in requests.values()
            # A further round reads what the first one has written.
            if other.number != request.number or produced.rounds
        ):
            raise ViolationError("cached", f"{answer.name} read what nobody of its own has written")


async def reports_are_the_ledger(world: "World") -> None:
    """What an administrator is reported is the ledger, by request and in sum."""
    ledger = world.ledger()
    first = min((row["started_at"] for row in ledger), default=world.epoch_us)
    since = EPOCH + timedelta(microseconds=first)
    start = since.strftime("%Y-%m-%dT00:00:00Z")
    path = f"/usage_report/messages?starting_at={start}&group_by[]=model&bucket_width=1d&limit=31"
    usage: Counter[str] = Counter()
    for line in await _lines(world, path):
        read = line["uncached_input_tokens"] + line["cache_read_input_tokens"]
        usage[line["model"]] += line["output_tokens"] + read + sum(line["cache_creation"].values())
    recorded = Counter({row["model"]: row["output_tokens"] + prompt_of(row) for row in ledger})
    if usage != +recorded:
        wrong = {
            name: (usage[name], recorded[name]) for name in (usage - recorded) | (recorded - usage)
        }
        raise ViolationError("reports", f"reported and recorded differ: {wrong}")
    path = f"/cost_report?starting_at={start}&limit=31"
    cents = sum(_nano_dollars(line["amount"]) for line in await _lines(world, path))
    cost = sum(row["cost"] for row in ledger)
    if cents != cost:
        raise ViolationError("reports", f"reported is {cents}, recorded {cost}")
    floors = {row["width"]: row["start"] for row in world.stored("SELECT * FROM usage_floors")}
    for width in WIDTHS:
        span, floor = stored_width(width), floors.get(stored_width(width), 0)
        kept = {(row["start"], row["model"]): tuple(row)[2:] for row in world.rollups(span, floor)}
        exact = _rolled_up([row for row in ledger if row["started_at"] >= floor], span)
        if kept != exact:
            wrong = dict(kept.items() ^ exact.items())
            raise ViolationError("reports", f"roll-ups of {width} and ledger differ: {wrong}")


def _rolled_up(ledger: list[sqlite3.Row], span: int) -> dict[tuple[int, str], tuple[int, ...]]:
    """Add up the ledger as roll-ups do, by the start of each bucket and the model."""
    found: dict[tuple[int, str], tuple[int, ...]] = {}
    for row in ledger:
        at = row["started_at"] // span * span, row["model"]
        facts = (1, prompt_of(row), row["output_tokens"], row["cost"])
        found[at] = tuple(map(sum, zip(found.get(at, (0,) * 4), facts, strict=True)))
    return found


async def _lines(world: "World", path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = ""
    while True:
        report = await world.administer("GET", path + page)
        found += [line for bucket in report["data"] for line in bucket["results"]]
        if not report["has_more"]:
            return found
        page = f"&page={report['next_page']}"


def _nano_dollars(cents: str) -> int:
    whole, _, part = cents.partition(".")
    return int(whole) * 10**7 + int(part.ljust(7, "0") or 0)


async def every_hold_ends(world: "World") -> None:
    """Whatever was set aside for a request is released: money, journal slots, its place."""
    for name, account in accounts_of(world).items():
        if account.held:
            holders = _holders(world, name) or "no reservation"
            raise ViolationError("holds", f"{account.held} is still held on {name} by {holders}")
    for server in world.servers:
        platform = server.life.platform if server.life else None
        if platform is None:
            raise ViolationError("holds", f"{server.name} does not serve")
        await platform.ledger.flush()
        if not platform.ledger._journal.idle:
            raise ViolationError("holds", f"the journal of {server.name} is not empty")
        if running := platform.admitter._metering._running:
            still = ", ".join(_request_with(world, name) for name in running)
            raise ViolationError("holds", f"{server.name} has requests that run for ever: {still}")
        model = platform.models.find("scripted")
        room = server.settings.limits.concurrent_requests
        if model.gate._free != room or model.gate.waiting:
            raise ViolationError("holds", f"{model.gate._free} of {room} may come in")
        lane = model.gate.batches.lane
        if lane.running or lane.waiting:
            raise ViolationError("holds", f"{lane.running} of batches run, {lane.waiting} wait")
        left = [path.name for path in server.settings.data_dir.glob("journal/*.damaged")]
        if left:
            raise ViolationError("holds", f"{left} was put aside, and there was no power cut")


async def counters_are_the_ledger(world: "World") -> None:
    """The counters know of every account what the ledger says, so limits are about the truth."""
    known = accounts_of(world)
    for server in world.servers:
        platform = server.life.platform if server.life else None
        if platform is None:
            raise ViolationError("counters", f"{server.name} does not serve")
        seed = await SpentTotals(platform.database, server.now, with_settled=False)()
        for name, amount in seed.spent.items():
            counted = known[name].spent if name in known else 0
            if counted != amount:
                raise ViolationError("counters", f"{name} has {counted}, the ledger {amount}")


def accounts_of(world: "World") -> Mapping[Account, AccountState]:
    """Return the accounts of the counters, as they are now."""
    if world.counters is not None:
        world.counters.tally._expire(world.counters.clock())
    return _tally_of(world)._accounts


def _tally_of(world: "World") -> Tally:
    if world.counters is not None:
        return world.counters.tally
    platform = world.servers[0].life.platform if world.servers[0].life else None
    if platform is None or not isinstance(platform.admitter._counters, MemoryCounters):
        raise ViolationError("holds", "the server does not serve")
    return platform.admitter._counters._tally


def _holders(world: "World", account: Account) -> str:
    """Name the reservations with a hold on an account, each with its request."""
    reservations = _tally_of(world)._reservations.items()
    return ", ".join(
        _request_with(world, name)
        for name, reservation in reservations
        if any(hold.account == account for hold in reservation.holds)
    )


def _request_with(world: "World", request_id: str) -> str:
    """Return an id with the name of its request, if a caller was told the id."""
    told = (one for one in world.answers if one.headers.get("request-id") == request_id)
    return next((f"{request_id} ({answer.name})" for answer in told), request_id)


async def nothing_leaks(world: "World") -> None:
    """Nothing of one key or workspace is in the answer to another."""
    tags = {tag(key): key for key in world.keys}
    for answer in world.messages():
        request = answer.request
        assert request is not None
        text = told_by(answer).text if answer.status == 200 else answer.body.decode()
        for secret, key in tags.items():
            if key != request.key and secret in text:
                raise ViolationError("leaks", f"{answer.name} contains what {key.id} has sent")
        _check_headers(answer, request.key)


def _check_headers(answer: Answer, key: Key) -> None:
    told = answer.headers.get("anthropic-workspace-id")
    if key.workspace is not None and told not in (None, key.workspace):
        raise ViolationError("leaks", f"{answer.name} names the workspace {told}")


async def revoked_keys_are_refused(world: "World") -> None:
    """Who asks after a key was revoked is refused, on every server."""
    for answer in world.messages():
        request = answer.request
        revoked_at = world.revoked.get(request.key) if request else None
        if revoked_at is not None and answer.sent_at > revoked_at and answer.status not in (0, 401):
            raise ViolationError("keys", f"{answer.name} used a key revoked at {revoked_at:.3f}")


async def retries_succeed(world: "World") -> None:
    """Who comes back when it was told to is served."""
    for promise in world.broken_promises:
        raise ViolationError("retries", promise)


async def nothing_unforeseen(world: "World") -> None:
    """No fault of the surroundings ends a task of the server, or is an error that nobody named."""
    for line in world.unforeseen:
        raise ViolationError("unforeseen", line)


Invariant = Callable[["World"], Awaitable[None]]

# In this order: the later ones ask more of the server.
INVARIANTS: Mapping[str, Invariant] = {
    "unforeseen": nothing_unforeseen,
    "ends": every_answer_ends,
    "stops": engine_stops_for_nobody,
    "leaks": nothing_leaks,
    "keys": revoked_keys_are_refused,
    "tokens": tokens_are_the_same_everywhere,
    "batches": every_request_has_one_result,
    "results": results_are_for_their_workspace,
    "charges": each_success_is_charged_once,
    "poison": only_poison_is_given_up,
    "cached": cached_tokens_are_real,
    "reports": reports_are_the_ledger,
    "rates": no_limit_lets_in_too_many,
    "retries": retries_succeed,
    "holds": every_hold_ends,
    "spend": nothing_is_overspent,
    "served": what_fits_is_served,
    "counters": counters_are_the_ledger,
}


async def check(world: "World") -> None:
    """Check every invariant. Raises `ViolationError` for the first that does not hold."""
    for invariant in INVARIANTS.values():
        await invariant(world)
