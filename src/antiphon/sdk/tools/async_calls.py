"""Runs calls of tools on a loop of asyncio, by the rules of `calls`."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from antiphon.sdk.tools.calls import MOST_TOGETHER, ended, late, refusal, replaced
from antiphon.sdk.tools.loop import ToolLoop
from antiphon.sdk.tools.options import RunOptions
from antiphon.sdk.tools.results import ToolCall, ToolResult, content_of


async def run_calls_async(
    loop: ToolLoop, calls: list[ToolCall], options: RunOptions
) -> list[ToolResult]:
    """Run calls and return their results in the same order.

    Blocking functions run in threads. Hooks run one after the other.
    """
    approve, after = options.get("approve"), options.get("after_call")
    results: list[ToolResult | None] = []
    for call in calls:
        if call.tool is None:
            results.append(loop.unknown(call))
        else:
            asked = True if approve is None else await _answer(approve(call))
            results.append(refusal(call, asked))
    waiting = [at for at, result in enumerate(results) if result is None]
    ran = await _run([calls[at] for at in waiting], options)
    for at, result in zip(waiting, ran, strict=True):
        results[at] = result
    whole = [one for one in results if one is not None]
    if after is None:
        return whole
    return [replaced(one, await _answer(after(one))) for one in whole]


async def _answer(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _run(calls: list[ToolCall], options: RunOptions) -> list[ToolResult]:
    if not options.get("parallel_calls", True):
        return [await _run_call(one, options) for one in calls]
    free = asyncio.Semaphore(MOST_TOGETHER)

    async def in_turn(call: ToolCall) -> ToolResult:
        async with free:
            return await _run_call(call, options)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(in_turn(one)) for one in calls]
    return [task.result() for task in tasks]


async def _run_call(call: ToolCall, options: RunOptions) -> ToolResult:
    begun = time.monotonic()
    seconds = options.get("call_timeout")
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            content = content_of(await _called(call))
    except Exception as error:  # noqa: BLE001 - the boundary: a tool is foreign, and its model goes on
        if isinstance(error, TimeoutError) and timeout.expired():
            return late(call, seconds)
        return ended(call, error, begun, tracebacks=options.get("tracebacks", False))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # It was not this task that was cancelled, but something that the tool waited for.
        return ended(call, RuntimeError("the tool was cancelled"), begun, tracebacks=False)
    return ToolResult(call=call, content=content, seconds=time.monotonic() - begun)


async def _called(call: ToolCall) -> Any:
    if call.tool.is_async:
        return await call.tool.call(call.input)
    value, error = await asyncio.to_thread(_outcome, call)
    if error is not None:
        raise error
    return await _answer(value)


def _outcome(call: ToolCall) -> tuple[Any, Exception | None]:
    """Run a call in a thread. A `StopIteration` that a future is given ends no wait for it."""
    try:
        return call.tool.call(call.input), None
    except StopIteration as error:
        wrapped = RuntimeError("the tool raised StopIteration")
        wrapped.__cause__ = error
        return None, wrapped
