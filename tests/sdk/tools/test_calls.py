"""Calls that are run: at the same time, with hooks, with a time, and with failures."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from antiphon.sdk.tools.async_calls import run_calls_async
from antiphon.sdk.tools.calls import MOST_TOGETHER, run_calls
from antiphon.sdk.tools.definition import tool
from antiphon.sdk.tools.loop import ToolLoop
from antiphon.sdk.tools.options import RunOptions
from antiphon.sdk.tools.results import ToolCall, ToolError, ToolResult

Run = Callable[[list[ToolCall], RunOptions], list[ToolResult]]
LOOP = ToolLoop({"messages": []})
ASKER: contextvars.ContextVar[str] = contextvars.ContextVar("ASKER", default="nobody")


def run_blocking(calls: list[ToolCall], options: RunOptions) -> list[ToolResult]:
    return run_calls(LOOP, calls, options)


def run_on_a_loop(calls: list[ToolCall], options: RunOptions) -> list[ToolResult]:
    return asyncio.run(run_calls_async(LOOP, calls, options))


BOTH = pytest.mark.parametrize("run", [run_blocking, run_on_a_loop])


@tool
def echo(text: str) -> str:
    return text


@tool
def fail(how: str) -> Any:
    match how:
        case "tool":
            raise ToolError("not today")
        case "blocks":
            raise ToolError([{"type": "text", "text": "no"}])
        case "silent":
            raise KeyError
        case "result":
            return object()
    raise ValueError(how)


def call(one: Any, **given: Any) -> ToolCall:
    return ToolCall(id=f"t_{one.name}", name=one.name, input=given, tool=one)


@BOTH
def test_results_come_in_the_order_of_their_calls(run: Run) -> None:
    first_may_end = threading.Event()

    @tool
    def first() -> str:
        assert first_may_end.wait(10)
        return "1"

    @tool
    def second() -> str:
        first_may_end.set()
        return "2"

    results = run([call(first), call(second)], {})
    assert [one.to_dict() for one in results] == [
        {"type": "tool_result", "tool_use_id": "t_first", "content": "1"},
        {"type": "tool_result", "tool_use_id": "t_second", "content": "2"},
    ]


def test_async_calls_run_at_the_same_time() -> None:
    async def both() -> list[ToolResult]:
        first_may_end = asyncio.Event()

        @tool
        async def first() -> str:
            await first_may_end.wait()
            return "1"

        @tool
        async def second() -> str:
            first_may_end.set()
            return "2"

        return await run_calls_async(LOOP, [call(first), call(second)], {})

    assert [one.content for one in asyncio.run(both())] == ["1", "2"]


@BOTH
def test_calls_run_one_by_one_if_asked(run: Run) -> None:
    running: list[str] = []

    @tool
    def look(name: str) -> int:
        running.append(name)
        count = len(running)
        running.remove(name)
        return count

    results = run([call(look, name=name) for name in "abc"], {"parallel_calls": False})
    assert [one.content for one in results] == ["1", "1", "1"]


def test_single_call_runs_in_the_thread_of_the_caller() -> None:
    @tool
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    (result,) = run_blocking([call(where)], {})
    assert result.content == "true"


@BOTH
def test_calls_know_the_context_of_the_caller(run: Run) -> None:
    @tool
    def who() -> str:
        return ASKER.get()

    token = ASKER.set("Ann")
    try:
        assert [one.content for one in run([call(who), call(who)], {})] == ["Ann", "Ann"]
    finally:
        ASKER.reset(token)


@BOTH
@pytest.mark.parametrize(
    ("how", "content"),
    [
        ("tool", "not today"),
        ("blocks", [{"type": "text", "text": "no"}]),
        ("bad", "ValueError: bad"),
        ("silent", "KeyError"),
        ("result", "TypeError: object is no value of JSON"),
    ],
)
def test_failure_is_told_without_its_place(run: Run, how: str, content: Any) -> None:
    (result,) = run([call(fail, how=how)], {})
    assert result.is_error
    assert result.content == content
    assert result.error is not None
    assert result.to_dict()["is_error"] is True


@BOTH
def test_place_of_a_failure_is_told_if_asked(run: Run) -> None:
    (result,) = run([call(fail, how="bad")], {"tracebacks": True})
    assert result.content.startswith("Traceback")
    assert "test_calls.py" in result.content
    (told,) = run([call(fail, how="tool")], {"tracebacks": True})
    assert told.content == "not today"


@BOTH
def test_failure_is_logged_without_its_text(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "antiphon"):
        run([call(fail, how="a secret")], {})
        run([call(fail, how="tool")], {})
    assert caplog.messages == ["tool fail raised ValueError"]


@BOTH
def test_input_that_does_not_fit_is_told(run: Run) -> None:
    (wrong,) = run([call(echo, txt="a")], {})
    assert wrong.content == (
        "The input does not fit the tool: text: it is required; txt: there is no such parameter; "
        "there are: text. Call it again with a right one."
    )
    (cut,) = run([call(echo, INVALID_JSON='{"te')], {})
    assert cut.content == "The input is not valid JSON. Call the tool again."
    assert cut.is_error


@BOTH
def test_unknown_tool_is_told(run: Run) -> None:
    unknown = ToolCall(id="t", name="bash", input={})
    results = run([call(echo, text="a"), unknown], {})
    assert [one.is_error for one in results] == [False, True]
    assert results[1].content == "UnknownToolError: there is no tool 'bash'; there are: none"


@BOTH
@pytest.mark.parametrize(
    ("said", "content"),
    [
        (True, "a"),
        (False, "The user has refused this call."),
        (None, "The user has refused this call."),
        ("not on Sundays", "not on Sundays"),
    ],
)
def test_only_what_is_approved_runs(run: Run, said: Any, content: str) -> None:
    ran: list[str] = []

    @tool
    def look(text: str) -> str:
        ran.append(text)
        return text

    asked: list[str] = []

    def approve(one: ToolCall) -> Any:
        asked.append(one.name)
        return said

    (result,) = run([call(look, text="a")], {"approve": approve})
    assert result.content == content
    assert result.is_error is (said is not True)
    assert ran == (["a"] if said is True else [])
    assert asked == ["look"]


@BOTH
def test_hook_sees_results_and_may_replace_them(run: Run) -> None:
    seen: list[ToolResult] = []

    def after(result: ToolResult) -> ToolResult | None:
        seen.append(result)
        if result.is_error:
            return ToolResult(call=call(echo), content="hidden", is_error=True)
        return None

    results = run([call(echo, text="a"), call(fail, how="bad")], {"after_call": after})
    assert [one.content for one in results] == ["a", "hidden"]
    assert results[1].call.id == "t_fail"
    assert isinstance(seen[1].error, ValueError)


@BOTH
def test_hook_that_returns_something_else_is_a_mistake_of_the_program(run: Run) -> None:
    with pytest.raises(TypeError, match="after_call returns a ToolResult or None, not str"):
        run([call(echo, text="a")], {"after_call": lambda result: result.content})


def test_hooks_of_an_async_client_may_be_async() -> None:
    async def approve(one: ToolCall) -> bool:
        await asyncio.sleep(0)
        return bool(one.input["text"] == "a")

    async def after(result: ToolResult) -> ToolResult:
        await asyncio.sleep(0)
        return ToolResult(call=result.call, content=f"<{result.content}>")

    options: RunOptions = {"approve": approve, "after_call": after}
    results = run_on_a_loop([call(echo, text="a"), call(echo, text="b")], options)
    assert [one.content for one in results] == ["<a>", "<The user has refused this call.>"]


@pytest.mark.parametrize("parallel", [True, False])
@BOTH
def test_call_that_takes_too_long_is_told(run: Run, parallel: bool) -> None:
    done = threading.Event()

    @tool
    def wait() -> str:
        done.wait(10)
        return "late"

    options: RunOptions = {"call_timeout": 0.02, "parallel_calls": parallel}
    threading.Timer(0.2, done.set).start()
    results = run([call(wait), call(echo, text="a")], options)
    assert results[0].content == "TimeoutError: the tool took longer than 0.02 s"
    assert results[0].is_error
    assert results[1].content == "a"


def test_async_call_that_takes_too_long_is_cancelled() -> None:
    ended: list[str] = []

    @tool
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    (result,) = run_on_a_loop([call(wait)], {"call_timeout": 0.02})
    assert result.is_error
    assert ended == ["cancelled"]


@BOTH
def test_time_that_the_tool_itself_ran_out_of_is_its_own(run: Run) -> None:
    @tool
    def ask() -> None:
        raise TimeoutError("no answer of the database")

    (result,) = run([call(ask)], {"call_timeout": 60})
    assert result.content == "TimeoutError: no answer of the database"


@pytest.mark.parametrize("count", [1, 2])
def test_interrupt_is_no_result(count: int) -> None:
    @tool
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_blocking([call(stop)] * count, {})


@BOTH
def test_as_many_calls_as_a_model_likes_run_a_few_at_a_time(run: Run) -> None:
    lock, running, most = threading.Lock(), 0, 0

    @tool
    def count(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number

    results = run([call(count, number=number) for number in range(300)], {})
    assert [one.content for one in results] == [str(number) for number in range(300)]
    assert most <= MOST_TOGETHER


@BOTH
def test_tool_that_finds_nothing_in_an_iterator_fails(run: Run) -> None:
    @tool
    def first(of: list[str]) -> str:
        return next(iter(of))

    results = run([call(first, of=["a"]), call(first, of=[])], {})
    assert results[0].content == "a"
    assert results[1].is_error
    assert "StopIteration" in results[1].content


def test_tool_that_waits_for_what_was_cancelled_fails_alone() -> None:
    @tool
    async def waits(for_it: bool) -> str:
        if for_it:
            inner = asyncio.ensure_future(asyncio.sleep(100))
            inner.cancel()
            await inner
        return "done"

    results = run_on_a_loop([call(waits, for_it=True), call(waits, for_it=False)], {})
    assert [one.content for one in results] == ["RuntimeError: the tool was cancelled", "done"]


def test_result_that_is_no_unicode_can_be_sent() -> None:
    content = [{"type": "text", "text": "a\udcffb\U0001f600"}]
    for told in ("a\udcffb\U0001f600", content):
        sent = ToolResult(call=call(echo, text=""), content=told).to_dict()
        assert "a\\ufffdb\\U0001f600" in ascii(sent["content"])
        msgspec.json.encode(sent)
