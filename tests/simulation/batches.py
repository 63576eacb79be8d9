"""Batches in a run: who sends them, what was told of them, and what has to hold afterwards."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antiphon.engines.scripted_prompt import tokens
from antiphon.store.batches.rows import COUNTS, RowState
from antiphon.store.batches.workers import TRIES_ALONE
from simulation.answers import Answer, Key, Request, tag
from simulation.violation import ViolationError

if TYPE_CHECKING:
    from simulation.world import World

PATH = "/v1/messages/batches"
POLL_S = 2.0
# A process that ends meanwhile leaves calls without answers.
TRIES = 1000
ALL_COUNTS = ("processing", *COUNTS)
_NAMED = re.compile(r"request (\d{5})")
_FORMS = {
    "succeeded": {"type", "message"},
    "errored": {"type", "error"},
    "canceled": {"type"},
    "expired": {"type"},
}


@dataclass
class SentBatch:
    """A batch that somebody sends: its requests, and what its caller was told.

    `stops_after_s`: the caller cancels it so long after its creation. `polls` are the counts that
    it was told, `ended` is the batch as it was told at its end, and `lines` are its results.
    """

    number: int
    key: Key
    requests: list[Request]
    stops_after_s: float | None = None
    is_deleted: bool = False
    id: str = ""
    polls: list[dict[str, int]] = field(default_factory=list)
    ended: dict[str, Any] | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"batch {self.number} ({self.id})"

    @property
    def body(self) -> dict[str, Any]:
        return {"requests": [_batch_request(request) for request in self.requests]}


def _batch_request(request: Request) -> dict[str, Any]:
    params = {name: value for name, value in request.body.items() if name != "stream"}
    return {"custom_id": custom_id(request), "params": params}


def custom_id(request: Request) -> str:
    return f"r{request.number}"


async def process(world: "World", batch: SentBatch) -> None:
    """Send a batch, poll it until its end, and read its results; the caller stays to the end."""
    repeat = {"idempotency-key": f"batch {batch.number}"}
    batch.id = (await _done(world, batch, "POST", "", body=batch.body, headers=repeat)).json["id"]
    begun = world.loop.time()
    while batch.ended is None:
        await asyncio.sleep(POLL_S)
        if batch.stops_after_s is not None and world.loop.time() - begun > batch.stops_after_s:
            batch.stops_after_s = None
            # It may have ended meanwhile: then this is refused.
            await _done(world, batch, "POST", f"/{batch.id}/cancel", accepts=(200, 400))
        told = (await _done(world, batch, "GET", f"/{batch.id}")).json
        batch.polls.append(told["request_counts"])
        if told["processing_status"] == "ended":
            batch.ended = told
    read = await _done(world, batch, "GET", f"/{batch.id}/results")
    batch.lines = [json.loads(line) for line in read.body.splitlines()]
    if batch.is_deleted:
        # A repetition, whose first answer was lost, finds nothing.
        await _done(world, batch, "DELETE", f"/{batch.id}", accepts=(200, 404))


async def _done(
    world: "World",
    batch: SentBatch,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    accepts: tuple[int, ...] = (200,),
) -> Answer:
    """Call again, on one server or another, until there is a whole answer that is accepted."""
    for place in range(TRIES):
        client = world.client((batch.number + place) % len(world.servers))
        answer = await client.call(method, PATH + path, batch.key.secret, body, headers)
        if answer.ended == "whole" and answer.status in accepts:
            return answer
        if answer.ended == "whole" and answer.status not in (529, 500):
            break
        await asyncio.sleep(0.5)
    raise ViolationError("batches", f"{method} {path} of {batch.name}: {answer.body!r}")


# Invariants ----------------------------------------------------------------------------------


async def every_request_has_one_result(world: "World") -> None:
    """Every request of a batch has one result: in the database, in the counts, and as told."""
    stored = {row["id"]: row for row in world.stored("SELECT * FROM message_batches WHERE ready")}
    for batch in world.batches:
        row = stored.pop(batch.id, None)
        if batch.ended is None:
            raise ViolationError("batches", f"{batch.name} has not ended")
        _check_polls(batch)
        _check_lines(batch)
        if row is None and not batch.is_deleted:
            raise ViolationError("batches", f"{batch.name} is gone")
        if row is not None:
            _check_rows(world, batch, row)
    if stored:
        raise ViolationError("batches", f"there are batches that nobody has sent: {list(stored)}")


def _check_polls(batch: SentBatch) -> None:
    before: dict[str, int] = dict.fromkeys(COUNTS, 0)
    for told in batch.polls:
        fell = any(told[name] < before[name] for name in COUNTS)
        if fell or sum(told[name] for name in ALL_COUNTS) != len(batch.requests):
            raise ViolationError("batches", f"{batch.name} told {told} after {before}")
        before = told
    if before["processing"]:
        raise ViolationError("batches", f"{batch.name} has ended with {before}")


def _check_lines(batch: SentBatch) -> None:
    told = Counter(line["custom_id"] for line in batch.lines)
    if told != Counter(custom_id(request) for request in batch.requests):
        raise ViolationError("batches", f"{batch.name} has results for {told}")
    for line in batch.lines:
        _check_form(batch, line)
    kinds = Counter(line["result"]["type"] for line in batch.lines)
    if kinds != +Counter({name: batch.polls[-1][name] for name in COUNTS}):
        raise ViolationError("batches", f"{batch.name} counts {batch.polls[-1]}, has {kinds}")


def _check_form(batch: SentBatch, line: Mapping[str, Any]) -> None:
    result = line["result"]
    right = set(line) == {"custom_id", "result"} and set(result) == _FORMS[result["type"]]
    if result["type"] == "errored":
        error = result["error"]
        right = right and error["type"] == "error" and {"type", "message"} <= set(error["error"])
    elif result["type"] == "succeeded":
        message = result["message"]
        right = right and (message["type"], message["role"]) == ("message", "assistant")
        right = right and message["usage"]["service_tier"] == "batch"
    if not right:
        raise ViolationError("batches", f"{batch.name} has a result of another form: {line}")


def _check_rows(world: "World", batch: SentBatch, row: Mapping[str, Any]) -> None:
    query = f"SELECT * FROM batch_requests WHERE batch_id = '{batch.id}'"  # noqa: S608 - of the program
    rows = world.stored(query)
    states = Counter(RowState(one["state"]).name.lower() for one in rows)
    counted = +Counter({name: row[name] for name in COUNTS})
    if row["deleted_at"] is None and states != counted:
        raise ViolationError("batches", f"{batch.name} counts {counted}, has {states}")
    for one in rows:
        if one["worker"] is not None or one["params"] is not None:
            what = f"request {one['number']} of {batch.name} belongs to {one['worker']}"
            raise ViolationError("batches", f"{what}, or has params still")


async def each_success_is_charged_once(world: "World") -> None:
    """Each succeeded request has one entry of what was told and made; all others cost nothing."""
    rows: dict[str, list[Any]] = {}
    for row in world.ledger():
        if row["batch_id"] is not None:
            rows.setdefault(f"{row['batch_id']} {row['model']}", []).append(row)
    for batch in world.batches:
        requests = {custom_id(request): request for request in batch.requests}
        for line in batch.lines:
            request = requests[line["custom_id"]]
            entries = rows.pop(f"{batch.id} {request.model}", [])
            _check_entries(world, batch, request, line["result"], entries)
    if rows:
        raise ViolationError("charges", f"the ledger has requests without a result: {list(rows)}")


def _check_entries(
    world: "World", batch: SentBatch, request: Request, result: Any, entries: list[Any]
) -> None:
    what = f"request {request.number} of {batch.name}, which {result['type']},"
    if result["type"] != "succeeded":
        if len(entries) > 1 or any(row["cost"] for row in entries):
            raise ViolationError("charges", f"{what} is charged")
        return
    if len(entries) != 1:
        raise ViolationError("charges", f"{what} has {len(entries)} entries")
    (row,), message = entries, result["message"]
    usage, made = message["usage"], world.engine.of(request.number)
    told = (usage["input_tokens"], usage["output_tokens"])
    if told != (row["input_tokens"], row["output_tokens"]) or told[0] != made.read:
        raise ViolationError("charges", f"{what} told {told}, and the ledger {tuple(row)}")
    # It may be run again after a crash, and then has made more.
    if made.output < told[1] or (made.times == 1 and made.output != told[1]):
        raise ViolationError("charges", f"{what} told {told}, and the engine made {made}")
    whole = message["stop_reason"] != "max_tokens"
    text = "".join(block["text"] for block in message["content"])
    if len(tokens(text)) + whole != told[1]:
        raise ViolationError("charges", f"{what} is charged {told[1]} tokens for {text!r}")
    cost = (told[0] * world.input_price + told[1] * world.output_price) // 2
    if (row["cost"], row["service_tier"], row["outcome"]) != (cost, "batch", "completed"):
        raise ViolationError("charges", f"{what} costs {row['cost']}, not {cost}")
    if row["workspace_id"] != request.key.workspace:
        raise ViolationError("charges", f"{what} is charged to {row['workspace_id']}")


async def only_poison_is_given_up(world: "World") -> None:
    """Requests that nothing is wrong with have no error, whatever ends the processes beside them.

    One may be in hand whenever a process ends, also when it is tried alone. The first two ends only
    make requests suspected. From then on each sixth one excuses a request, unless poison was it.
    """
    ends = sum(server.kills for server in world.servers) + world.hangs
    while_alone = min(ends - world.engine.kills, max(0, ends - 2))
    given_up = [
        f"{line['custom_id']} of {batch.name}"
        for batch in world.batches
        for line in batch.lines
        if line["result"]["type"] == "errored"
        and not any(custom_id(one) == line["custom_id"] and one.wrong for one in batch.requests)
    ]
    if len(given_up) > while_alone // TRIES_ALONE:
        raise ViolationError("poison", f"{given_up} have errors, after {ends} ends of processes")


async def results_are_for_their_workspace(world: "World") -> None:
    """Nothing of one key is in the results of another, and each result is of its own request."""
    tags = {tag(key): key for key in world.keys}
    for batch in world.batches:
        for line in batch.lines:
            text = json.dumps(line["result"])
            for secret, key in tags.items():
                if key != batch.key and secret in text:
                    raise ViolationError("results", f"{batch.name} has what {key.id} has sent")
            other = next(
                (n for n in _NAMED.findall(text) if f"r{int(n)}" != line["custom_id"]), None
            )
            if other is not None:
                raise ViolationError("results", f"{batch.name} has {other} as {line['custom_id']}")
