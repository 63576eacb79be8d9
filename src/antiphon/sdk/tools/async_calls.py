"""Runs calls of tools on a loop of asyncio, by the rules of `calls`."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from antiphon.sdk.tools.calls import ended, late, refusal, replaced
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
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run_call(one, options)) for one in calls]
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
    return ToolResult(call=call, content=content, seconds=time.monotonic() - begun)


async def _called(call: ToolCall) -> Any:
    if call.tool.is_async:
        return await call.tool.call(call.input)
    return await _answer(await asyncio.to_thread(call.tool.call, call.input))
