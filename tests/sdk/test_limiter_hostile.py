"""A limiter among calls that are given up, servers that tell nonsense, and many who wait."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

import antiphon
from antiphon.sdk.call import Answer, Call, Timeout
from antiphon.sdk.environment import Environment
from antiphon.sdk.exchange import Conditions, Pause, Send, Steps, exchange
from antiphon.sdk.limiter import Limiter
from antiphon.transport.base import ConnectionLost, Headers, HttpRequest, TransportError
from support.sdk import AsyncScriptedTransport, FakeClock, Reply, message_json


def call_of(text: str = "Hi", model: str = "m") -> Call[Any]:
    body = b'{"model":"%b","max_tokens":100,"text":"%b"}' % (model.encode(), text.encode())
    return Call(method="POST", path="/v1/messages", decode=lambda answer: answer, body=body)


def begun(limiter: Limiter, clock: FakeClock, call: Call[Any] | None = None) -> Steps:
    conditions = Conditions(
        timeout=Timeout(total=None),
        max_retries=0,
        observers=[limiter],
        now=clock,
        wall=clock,
        draw=lambda: 0.0,
    )
    request = HttpRequest(method="POST", url="http://x")
    return exchange(call or call_of(), lambda _: request, conditions, streamed=False)


def is_sent(steps: Generator[Any, Any, Any]) -> bool:
    return isinstance(steps.send(None), Send)


def sent_after(steps: Generator[Any, Any, Any], clock: FakeClock, most: float) -> float:
    """Wait as a driver does until a call is sent; return the seconds."""
    start: float = clock.now
    while isinstance(step := steps.send(None), Pause):
        clock.now += step.seconds
        assert clock.now - start < most, "it is never sent"
    return clock.now - start


def told(status: int = 200, body: bytes = b"{}", **headers: str) -> Answer:
    pairs = [
        (name.replace("_", "-").replace("RL", "anthropic-ratelimit"), value)
        for name, value in headers.items()
    ]
    return Answer(status=status, headers=Headers(pairs), body=body)


def test_calls_that_are_given_up_before_any_answer_let_others_go() -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock)
    for _ in range(3):
        probes = [begun(limiter, clock) for _ in range(4)]
        assert all(map(is_sent, probes))
        waiting = begun(limiter, clock)
        assert not is_sent(waiting)
        for steps in probes:
            steps.close()
        assert is_sent(waiting)
        waiting.close()


def test_cancelled_tasks_let_others_go() -> None:
    async def run() -> None:
        never = asyncio.Event()

        class Hanging(AsyncScriptedTransport):
            async def open(self, request: HttpRequest, **bounds: Any) -> Any:
                if not self.replies:
                    await never.wait()
                return await super().open(request, **bounds)

        transport = Hanging()
        client = antiphon.AsyncClient(
            api_key="k", transport=transport, observers=[Limiter()], environment=Environment()
        )

        async def ask() -> str:
            message: Any = {"role": "user", "content": "Hi"}
            return (await client.messages.create(model="m", max_tokens=9, messages=[message])).text

        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        transport.replies.append(Reply(json=message_json()))
        async with asyncio.timeout(5):
            assert await ask() == "Hello"

    asyncio.run(run())


def test_those_behind_a_call_that_is_given_up_move_up_and_those_before_it_do_not() -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock, requests_per_minute=60)
    for _ in range(60):
        assert is_sent(begun(limiter, clock))
    kept = [begun(limiter, clock) for _ in range(30)]
    leaving = [begun(limiter, clock) for _ in range(600)]
    behind = [begun(limiter, clock) for _ in range(30)]
    for steps in (*kept, *leaving, *behind):
        assert not is_sent(steps)
    for steps in leaving:
        steps.close()
    start = clock.now
    waiting = [*kept, *behind]
    while waiting:
        clock.now += 0.5
        waiting = [steps for steps in waiting if not is_sent(steps)]
        sent = 60 - len(waiting)
        assert sent <= clock.now - start + 2
    assert clock.now - start < 65


def test_what_was_given_up_leaves_nothing_behind() -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock, requests_per_minute=60)
    for _ in range(200):
        steps = begun(limiter, clock)
        is_sent(steps)
        steps.close()
    assert not limiter._known
    assert not limiter._groups["messages m"].queue._waiting


def test_error_of_another_observer_gives_the_place_back() -> None:
    class Failing:
        def before(self, _call: Call[Any], _attempt: int) -> float:
            raise RuntimeError("mine")

        def after(self, *_: object) -> None: ...

    clock = FakeClock()
    limiter = Limiter(now=clock)
    for _ in range(5):
        steps = exchange(
            call_of(),
            lambda _: HttpRequest(method="POST", url="http://x"),
            Conditions(
                timeout=Timeout(),
                max_retries=0,
                observers=[limiter, Failing()],
                now=clock,
                wall=clock,
                draw=float,
            ),
            streamed=False,
        )
        with pytest.raises(RuntimeError, match="mine"):
            next(steps)
    assert is_sent(begun(limiter, clock))


@pytest.mark.parametrize("limit", ["inf", "nan", "1e308", "-1", "1e-300", "0", "60"])
@pytest.mark.parametrize("remaining", ["inf", "nan", "-inf", "-1e300", "1e308", "0", "59"])
def test_no_word_of_a_server_stops_the_calls_for_ever(limit: str, remaining: str) -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock)
    liars = [begun(limiter, clock) for _ in range(2)]
    assert all(map(is_sent, liars))
    for steps in liars:
        with pytest.raises(StopIteration):
            steps.send(told(RL_requests_limit=limit, RL_requests_remaining=remaining))
    honest = begun(limiter, clock)
    sent_after(honest, clock, 121)
    with pytest.raises(StopIteration):
        honest.send(told(RL_requests_limit="60", RL_requests_remaining="59"))
    # And the limit holds again.
    start = clock.now
    for _ in range(180):
        sent_after(begun(limiter, clock), clock, 121)
    assert clock.now - start > 100


@pytest.mark.parametrize("retry_after", ["inf", "nan", "1e9", "-5", "86400", "soon"])
def test_refusal_holds_the_others_for_no_more_than_a_minute(retry_after: str) -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock, requests_per_minute=60)
    refused = begun(limiter, clock)
    assert is_sent(refused)
    with pytest.raises(antiphon.RateLimitError):
        refused.send(told(429, retry_after=retry_after))
    assert sent_after(begun(limiter, clock), clock, 70) <= 62


@pytest.mark.parametrize(
    "body",
    [
        b'{"usage":{"input_tokens":-1000000000,"output_tokens":-1000000000}}',
        b'{"a":%b%b}' % (b"[" * 100_000, b"]" * 100_000),
        b'{"usage":\xff}',
        b"",
        b"<html>",
    ],
)
def test_body_that_is_none_of_the_api_moves_nothing(body: bytes) -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock, output_tokens_per_minute=600, input_tokens_per_minute=6000)
    steps = begun(limiter, clock)
    assert is_sent(steps)
    with pytest.raises(StopIteration):
        steps.send(told(200, body))
    # A full bucket holds six calls of a hundred tokens.
    for _ in range(12):
        sent_after(begun(limiter, clock), clock, 60)
    assert clock.now - 1000 > 30


@pytest.mark.parametrize("outcome", [ConnectionLost("away"), told(502), told(529)])
def test_failure_says_nothing_of_the_limits(outcome: Answer | TransportError) -> None:
    clock = FakeClock()
    limiter = Limiter(now=clock)
    failing = [begun(limiter, clock) for _ in range(4)]
    assert all(map(is_sent, failing))
    with pytest.raises(antiphon.APIError):
        failing[0].send(outcome)
    others = [begun(limiter, clock) for _ in range(3)]
    assert list(map(is_sent, others)) == [True, False, False]
