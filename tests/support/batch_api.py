"""The batches of a server, as far as a flow of the SDK sees them: no network, no waiting."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from antiphon.sdk.call import Answer, Call, result_of
from antiphon.sdk.errors import APIConnectionError, APIError
from antiphon.sdk.exchange import Pause, status_error
from antiphon.sdk.flow import END, Ask, Emit, Flow, FlowStep, NextRow, ReadLines, Work
from antiphon.transport.base import Headers

RESULT = {"type": "succeeded", "message": {"id": "msg_1", "model": "m", "content": []}}
CREATED = "2026-11-30T00:00:{:02}+00:00"
EPOCH = 1_795_996_800.0
"""The moment of `CREATED` at 0 seconds, in seconds from the epoch."""


def failure(status: int, kind: str = "api_error", message: str = "no") -> APIError:
    envelope = {"type": "error", "error": {"type": kind, "message": message}}
    return status_error(status, Headers(), json.dumps(envelope).encode())


@dataclass
class FakeBatch:
    requests: list[dict[str, Any]]
    created: float
    polls: int = 0
    canceled: bool = False

    @property
    def has_ended(self) -> bool:
        return self.canceled or self.polls >= 2


@dataclass
class BatchApi:
    """Batches end at their second poll. `faults` are raised one by one, `None` lets a call pass.

    `lost` are the numbers of creates whose answers are lost. `charged` counts each custom id that
    was answered.
    """

    keeps_keys: bool = True
    faults: list[APIError | None] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    answer: Callable[[str, int], dict[str, Any]] = lambda _id, _number: RESULT
    batches: dict[str, FakeBatch] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    charged: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    creates: int = 0
    time: float = 0.0
    cut_results_after: int | None = None

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return EPOCH + self.time

    def run(self, call: Call[Any]) -> Any:
        self.calls.append(f"{call.method} {call.path}")
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        steps = call.path.removeprefix("/v1/messages/batches").strip("/").split("/")
        found = self._found(call, steps)
        body = json.dumps(found).encode()
        return result_of(call, Answer(status=200, headers=Headers(), body=body))

    def _found(self, call: Call[Any], steps: list[str]) -> dict[str, Any]:
        if steps == [""]:
            if call.method == "POST":
                return self._shown(self._create(call))
            shown = [self._shown(batch_id) for batch_id in reversed(self.batches)]
            return {"data": shown, "has_more": False}
        batch_id = steps[0]
        if batch_id not in self.batches:
            raise failure(404, "not_found_error")
        batch = self.batches[batch_id]
        if steps[1:] == ["cancel"]:
            batch.canceled = True
        else:
            batch.polls += 1
        return self._shown(batch_id)

    def _create(self, call: Call[Any]) -> str:
        self.creates += 1
        key = dict(call.headers)["idempotency-key"]
        batch_id = self.keys.get(key)
        if batch_id is None:
            batch_id = f"msgbatch_{len(self.batches)}"
            requests = json.loads(call.body)["requests"]
            self.batches[batch_id] = FakeBatch(requests, self.time)
            for request in requests:
                self.charged[request["custom_id"]] += 1
            if self.keeps_keys:
                self.keys[key] = batch_id
        else:
            assert json.loads(call.body)["requests"] == self.batches[batch_id].requests
        if self.creates in self.lost:
            raise APIConnectionError("lost")
        return batch_id

    def _shown(self, batch_id: str) -> dict[str, Any]:
        batch = self.batches[batch_id]
        count = len(batch.requests)
        counts = {"succeeded": count} if batch.has_ended else {"processing": count}
        return {
            "id": batch_id,
            "processing_status": "ended" if batch.has_ended else "in_progress",
            "request_counts": counts,
            "created_at": CREATED.format(int(batch.created) % 60),
        }

    def lines(self, call: Call[Any]) -> list[bytes]:
        batch_id = call.path.split("/")[-2]
        number = int(batch_id.rpartition("_")[2])
        lines = []
        for request in reversed(self.batches[batch_id].requests):
            custom_id = request["custom_id"]
            result = self.answer(custom_id, number)
            lines.append(json.dumps({"custom_id": custom_id, "result": result}).encode())
        return lines


class Driven:
    """Drives a flow on a `BatchApi`; `emitted` is what it has emitted so far."""

    def __init__(self, api: BatchApi, flow: Flow[Any], rows: list[Any] | None = None) -> None:
        self._api, self._flow, self._rows = api, flow, iter(rows or [])
        self.emitted: list[Any] = []
        self.returned: Any = None
        self.pauses: list[float] = []

    def run(self, steps: int | None = None, stop: BaseException | None = None) -> Any:
        """Do so many steps and drop the flow, as a killed program does; or throw `stop`; or all."""
        answer: Any = None
        error: BaseException | None = None
        done = 0
        while True:
            if steps is not None and done == steps:
                if stop is None:
                    return None
                error, stop, steps = stop, None, None
            done += 1
            try:
                step = self._flow.send(answer) if error is None else self._flow.throw(error)
            except StopIteration as ended:
                self.returned = ended.value
                return ended.value
            answer = error = None
            try:
                answer = self._do(step)
            except Exception as caught:  # noqa: BLE001 - as a driver
                error = caught

    def _do(self, step: FlowStep) -> Any:
        match step:
            case Ask(call):
                return self._api.run(call)
            case ReadLines(call, take):
                self._read(call, take)
            case Work(do):
                return do()
            case NextRow():
                return next(self._rows, END)
            case Emit(value):
                self.emitted.append(value)
            case Pause(seconds):
                self.pauses.append(seconds)
                self._api.time += seconds
        return None

    def _read(self, call: Call[Any], take: Callable[[bytes], object]) -> None:
        self._api.calls.append(f"{call.method} {call.path}")
        if self._api.faults and (fault := self._api.faults.pop(0)) is not None:
            raise fault
        cut, self._api.cut_results_after = self._api.cut_results_after, None
        for number, line in enumerate(self._api.lines(call)):
            if number == cut:
                raise APIConnectionError("lost")
            take(line)
