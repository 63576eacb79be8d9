import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import antiphon
from antiphon.core.limits.buckets import Bucket, decide, level, take
from antiphon.core.limits.values import Draw, Granted
from antiphon.sdk.call import Answer, Call
from antiphon.sdk.exchange import Opened, Outcome
from antiphon.sdk.limiter import Limiter, LimiterTimeoutError, read_limits
from antiphon.sdk.pacing import INPUT, OUTPUT, REQUESTS
from antiphon.sdk.stream_end import StreamEnd
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.events import RawMessageDeltaEvent, RawMessageStartEvent
from antiphon.transport.base import ConnectionLost, Headers
from support.sdk import FakeClock, Reply, ScriptedTransport, message_json

BYTES_OF_TOKEN = 4


def call_of(text: str = "Hi", model: str = "m", path: str = "/v1/messages") -> Call[Any]:
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    return Call(
        method="POST", path=path, decode=lambda answer: answer, body=json.dumps(body).encode()
    )


@dataclass
class Clock:
    time: float = 0.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Server:
    """Refuses as Antiphon does, with the same buckets; and counts how often."""

    limits: dict[str, int]
    tells: bool = True
    buckets: dict[str, Bucket] = field(default_factory=dict)
    refusals: int = 0
    answers: int = 0

    def draws(self, tokens: int) -> tuple[Draw, ...]:
        amounts = {REQUESTS: 1, INPUT: tokens, OUTPUT: 0}
        return tuple(
            Draw(kind, limit, amounts[kind], kind == OUTPUT) for kind, limit in self.limits.items()
        )

    def answer(self, call: Call[Any], output: int, now: float) -> Answer:
        at, tokens = round(now * 1000), -(-len(call.body) // BYTES_OF_TOKEN)
        verdict, changed = decide(self.draws(tokens), self.buckets, at)
        self.buckets.update(changed)
        if not isinstance(verdict, Granted):
            self.refusals += 1
            wait = -(-verdict.retry_after_ms // 1000)
            return self._told(429, {"retry-after": str(wait)}, {}, at)
        self.answers += 1
        if OUTPUT in self.limits:
            draw = Draw(OUTPUT, self.limits[OUTPUT], output)
            self.buckets[OUTPUT] = take(self.buckets.get(OUTPUT), draw, at)
        usage = {"input_tokens": tokens, "output_tokens": output}
        return self._told(200, {}, {"usage": usage}, at)

    def _told(self, status: int, more: dict[str, str], body: dict[str, Any], at: int) -> Answer:
        headers = dict(more)
        if self.tells:
            for kind, limit in self.limits.items():
                left = level(self.buckets.get(kind), limit, at).remaining
                headers[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
                headers[f"anthropic-ratelimit-{kind}-remaining"] = str(left)
        return Answer(
            status=status, headers=Headers(headers.items()), body=json.dumps(body).encode()
        )


class Race:
    """Many tasks before one server, in simulated time, with requests that travel unevenly."""

    def __init__(self, limiters: list[Limiter], clock: Clock, server: Server, seed: int) -> None:
        self._limiters, self._clock, self._server = limiters, clock, server
        self._chance = random.Random(seed)  # noqa: S311 - a failure has to come back
        self._due: list[tuple[float, int, Iterator[float]]] = []
        self._number = 0
        self.order: list[int] = []

    def run(self, tasks: int, longest: int = 50) -> float:
        """Run so many tasks; return when the last one has its answer."""
        for number in range(tasks):
            self._push(0.0, self._task(number, longest))
        while self._due:
            at, _, task = heapq.heappop(self._due)
            self._clock.time = max(self._clock.time, at)
            for wait in task:
                self._push(self._clock.time + wait, task)
                break
        return self._clock.time

    def _push(self, at: float, task: Iterator[float]) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, task))

    def _task(self, number: int, longest: int) -> Iterator[float]:
        limiter = self._limiters[number % len(self._limiters)]
        call = call_of("x" * self._chance.randint(1, longest))
        while True:
            while (wait := limiter.before(call, 0)) > 0:
                yield wait
            yield self._chance.uniform(0.001, 0.8)
            answer = self._server.answer(call, self._chance.randint(1, 60), self._clock())
            if answer.status == 200:
                self.order.append(number)
            yield self._chance.uniform(0.001, 3.0)
            limiter.after(call, 0, answer)
            if answer.status == 200:
                return


def race(
    limits: dict[str, int], tasks: int, seed: int = 1, *, said: bool = False, **how: Any
) -> tuple[Server, float]:
    clock, server = Clock(), Server(limits)
    names = {
        REQUESTS: "requests_per_minute",
        INPUT: "input_tokens_per_minute",
        OUTPUT: "output_tokens_per_minute",
    }
    numbers: dict[str, Any] = {names[kind]: limit for kind, limit in limits.items()} if said else {}
    limiter = Limiter(now=clock, **numbers, **how)
    took = Race([limiter], clock, server, seed).run(tasks)
    assert server.answers == tasks
    return server, took


@pytest.mark.parametrize("said", [True, False])
def test_a_thousand_tasks_finish_without_a_refusal(said: bool) -> None:
    server, took = race({REQUESTS: 100}, 1000, said=said)
    assert server.refusals == 0
    # Nine minutes are what the limit itself takes.
    assert 530 < took < 560


@pytest.mark.parametrize("limit", [{INPUT: 3000}, {OUTPUT: 3000}, {REQUESTS: 60, INPUT: 3000}])
def test_limits_of_tokens_are_kept_as_well(limit: dict[str, int]) -> None:
    server, _ = race(limit, 300, said=True)
    assert server.refusals == 0


@settings(max_examples=25, deadline=None)
@given(
    requests=st.integers(1, 300),
    tokens=st.integers(200, 20_000),
    tasks=st.integers(1, 120),
    seed=st.integers(0, 1000),
)
def test_no_limits_and_no_travel_times_bring_a_refusal(
    requests: int, tokens: int, tasks: int, seed: int
) -> None:
    server, _ = race({REQUESTS: requests, INPUT: tokens}, tasks, seed, said=True)
    assert server.refusals == 0


def test_without_limits_nobody_waits() -> None:
    _, took = race({}, 500)
    assert took < 15


def test_two_programs_on_one_key_share_it_and_all_finish() -> None:
    clock, server = Clock(), Server({REQUESTS: 100})
    limiters = [Limiter(now=clock, burst=0.2), Limiter(now=clock, burst=0.2)]
    took = Race(limiters, clock, server, 1).run(400)
    assert server.answers == 400
    # Neither can know of the other but by refusals, so there are a few.
    assert server.refusals < 20
    assert took < 300


def test_calls_go_in_their_order() -> None:
    clock, server = Clock(), Server({REQUESTS: 60})
    run = Race([Limiter(now=clock, requests_per_minute=60)], clock, server, 1)
    run.run(200)
    # They travel for less than a second, and each goes a second after the one before.
    late = [abs(place - number) for place, number in enumerate(run.order[60:], start=60)]
    assert max(late) <= 2


def first(limiter: Limiter, count: int) -> list[Call[Any]]:
    calls = [call_of() for _ in range(count)]
    for call in calls:
        assert limiter.before(call, 0) == 0
    return calls


def answer(**headers: str) -> Outcome:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(status=200, headers=Headers(pairs), body=b"{}")


def test_a_refusal_holds_everybody() -> None:
    clock = Clock()
    limiter = Limiter(now=clock, requests_per_minute=600)
    call, *_ = first(limiter, 3)
    limiter.after(call, 0, Answer(status=429, headers=Headers([("retry-after", "4")]), body=b""))
    assert 3.9 < limiter.before(call_of(), 0) <= 4.2


def test_a_call_that_would_wait_too_long_is_not_sent() -> None:
    clock = Clock()
    limiter = Limiter(now=clock, requests_per_minute=2, timeout=10)
    first(limiter, 1)
    waiting = call_of()
    while True:
        wait = limiter.before(waiting, 0)
        if wait == 0:
            break
        clock.time += wait
    with pytest.raises(LimiterTimeoutError, match="its turn would come in"):
        limiter.before(call_of(), 0)
    # It has given its place back.
    clock.time += 25
    assert limiter.before(call_of(), 0) < 10


def test_calls_that_were_given_up_give_their_places_back() -> None:
    clock = Clock()
    limiter = Limiter(now=clock, requests_per_minute=60)
    first(limiter, 60)
    given_up = [call_of() for _ in range(300)]
    assert all(limiter.before(call, 0) > 0 for call in given_up)
    kept = call_of()
    while (wait := limiter.before(kept, 0)) > 0:
        clock.time += wait
    assert clock.time < 60


def test_models_stand_alone_unless_they_are_grouped() -> None:
    clock = Clock()
    alone = Limiter(now=clock, requests_per_minute=1)
    together = Limiter(now=clock, requests_per_minute=1, group=lambda _: "all")
    for limiter, waits in ((alone, False), (together, True)):
        assert limiter.before(call_of(model="a"), 0) == 0
        assert (limiter.before(call_of(model="b"), 0) > 0) is waits


def test_endpoints_without_a_limit_pass() -> None:
    limiter = Limiter(now=Clock(), requests_per_minute=1)
    for _ in range(5):
        assert limiter.before(call_of(path="/v1/models"), 0) == 0


def test_calls_of_batches_have_a_limit_of_their_own() -> None:
    clock = Clock()
    limiter = Limiter(now=clock, requests_per_minute=1)
    calls = [call_of(path="/v1/messages/batches/x") for _ in range(5)]
    assert limiter.before(calls[0], 0) == 0
    limiter.after(
        calls[0],
        0,
        answer(
            anthropic_ratelimit_requests_limit="2",
            anthropic_ratelimit_requests_remaining="0",
        ),
    )
    assert limiter.before(calls[1], 0) > 0


def test_a_lost_call_may_be_asked_again() -> None:
    clock = Clock()
    limiter = Limiter(now=clock, requests_per_minute=60)
    (call,) = first(limiter, 1)
    limiter.after(call, 0, ConnectionLost("lost"))
    assert limiter.before(call, 1) == 0


def test_what_is_no_message_passes_to_the_server() -> None:
    limiter = Limiter(now=Clock())
    call: Call[Any] = Call(method="POST", path="/v1/messages", decode=str, body=b"nothing")
    assert limiter.before(call, 0) == 0


@pytest.mark.parametrize("wrong", [{"requests_per_minute": 0}, {"burst": 0}, {"burst": 2}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Limiter(**wrong)  # type: ignore[arg-type]


def test_headers_that_are_none_are_left_out() -> None:
    assert read_limits(Headers([("anthropic-ratelimit-requests-limit", "many")])) == {}


def test_waiting_for_its_turn_takes_no_time_of_a_call() -> None:
    clock = FakeClock()
    transport = ScriptedTransport(*[Reply(json={}, seconds=1) for _ in range(3)], clock=clock)
    client = antiphon.Client(
        api_key="k",
        transport=transport,
        sleep=clock.sleep,
        now=clock,
        observers=[Limiter(requests_per_minute=1, now=clock)],
        timeout=5,
    )
    for _ in range(3):
        client.post("/v1/messages", cast_to=dict, body={"model": "m"})
    assert clock.now - 1000 > 100


def event_of(kind: type[Any], **fields: Any) -> Any:
    value = {"type": kind.__struct_config__.tag, **fields}
    return decode_answer(kind, json.dumps(value).encode())


def streamed(output: int, *, whole: bool = True) -> StreamEnd:
    begun = {"input_tokens": 10, "output_tokens": 1}
    return StreamEnd(
        headers=Headers(),
        elapsed=1,
        first=None,
        whole=whole,
        error=None,
        start_event=event_of(RawMessageStartEvent, message=message_json(usage=begun)),
        end_event=event_of(RawMessageDeltaEvent, delta={}, usage={"output_tokens": output}),
    )


def waited(output: int, *, whole: bool = True) -> float:
    """Return how long the next call waits behind a stream of so many tokens."""
    clock = Clock()
    limiter = Limiter(now=clock, output_tokens_per_minute=600)
    first_call, second = first(limiter, 2)
    for call in (first_call, second):
        limiter.after(call, 0, Opened(status=200, headers=Headers()))
    limiter.ended(first_call, streamed(output, whole=whole))
    # It is told once.
    limiter.ended(first_call, streamed(output, whole=whole))
    third = call_of()
    while (wait := limiter.before(third, 0)) > 0:
        clock.time += wait
    return clock.time


def test_a_stream_is_counted_when_it_ends() -> None:
    assert waited(100) == 0
    assert 40 < waited(1000) < 65


def test_of_a_stream_that_was_left_the_guess_stays() -> None:
    assert waited(1000, whole=False) == 0
