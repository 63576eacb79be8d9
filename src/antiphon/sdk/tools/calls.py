"""Runs calls of tools: whom a hook asks first, how long one may take, and what a failure says."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import msgspec

from antiphon.sdk.tools.loop import ToolLoop
from antiphon.sdk.tools.options import RunOptions
from antiphon.sdk.tools.results import ToolCall, ToolError, ToolResult, content_of, failed

MOST_TOGETHER = 32
"""The most calls that run at once. A model may ask for as many as it likes."""
REFUSED = "The user has refused this call."


def refusal(call: ToolCall, answer: Any) -> ToolResult | None:
    """Return the result of a call that was not approved; `None` if it may run."""
    if answer is True:
        return None
    said = answer if isinstance(answer, str) and answer else REFUSED
    return ToolResult(call=call, content=said, is_error=True)


def replaced(result: ToolResult, other: Any) -> ToolResult:
    """Return the result that a hook put in the place of another one."""
    if other is None:
        return result
    if not isinstance(other, ToolResult):
        raise TypeError(f"after_call returns a ToolResult or None, not {type(other).__name__}")
    return msgspec.structs.replace(other, call=result.call)


def run_calls(loop: ToolLoop, calls: list[ToolCall], options: RunOptions) -> list[ToolResult]:
    """Run calls, blocking, and return their results in the same order.

    Hooks run in the thread of the caller, one after the other.
    """
    approve, after = options.get("approve"), options.get("after_call")
    results = [_before(loop, call, approve) for call in calls]
    waiting = [at for at, result in enumerate(results) if result is None]
    ran = _run([calls[at] for at in waiting], options)
    for at, result in zip(waiting, ran, strict=True):
        results[at] = result
    whole = [one for one in results if one is not None]
    return [one if after is None else replaced(one, after(one)) for one in whole]


def _before(
    loop: ToolLoop, call: ToolCall, approve: Callable[[ToolCall], Any] | None
) -> ToolResult | None:
    """Return the result of a call that does not run; `None` if it does."""
    if call.tool is None:
        return loop.unknown(call)
    return None if approve is None else refusal(call, approve(call))


def _run(calls: list[ToolCall], options: RunOptions) -> list[ToolResult]:
    timeout = options.get("call_timeout")
    tracebacks = options.get("tracebacks", False)
    together = options.get("parallel_calls", True) and len(calls) > 1
    if not together and timeout is None:
        # In the thread of the caller: an interrupt reaches the tool, and so do its own locals.
        return [run_call(one, tracebacks=tracebacks) for one in calls]
    most = MOST_TOGETHER if together else 1
    results: list[ToolResult] = []
    for at in range(0, len(calls), most):
        threads = [_Thread(one, tracebacks=tracebacks) for one in calls[at : at + most]]
        results.extend(_collected(threads, timeout))
    return results


class _Thread:
    """A call in a thread of its own, which does not keep the program from ending."""

    def __init__(self, call: ToolCall, *, tracebacks: bool) -> None:
        from threading import Thread  # noqa: PLC0415 - only several calls need it

        self.call = call
        self.result: ToolResult | None = None
        self.error: BaseException | None = None
        self._tracebacks = tracebacks
        context = copy_context()
        self.thread = Thread(target=context.run, args=(self._run,), daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = run_call(self.call, tracebacks=self._tracebacks)
        except BaseException as error:  # noqa: BLE001 - raised where the results are awaited
            self.error = error


def _collected(threads: list[_Thread], timeout: float | None) -> list[ToolResult]:
    begun = time.monotonic()
    results: list[ToolResult] = []
    for one in threads:
        left = None if timeout is None else max(begun + timeout - time.monotonic(), 0)
        one.thread.join(left)
        if one.error is not None:
            raise one.error
        results.append(one.result or late(one.call, timeout))
    return results


def late(call: ToolCall, timeout: float | None) -> ToolResult:
    """Return the result of a call that took too long."""
    error = TimeoutError(f"the tool took longer than {timeout:g} s")
    return msgspec.structs.replace(failed(call, error), seconds=timeout or 0.0)


def run_call(call: ToolCall, *, tracebacks: bool) -> ToolResult:
    """Run one call in this thread."""
    begun = time.monotonic()
    try:
        content = content_of(call.tool.call(call.input))
    except Exception as error:  # noqa: BLE001 - the boundary: a tool is foreign, and its model goes on
        return ended(call, error, begun, tracebacks=tracebacks)
    return ToolResult(call=call, content=content, seconds=time.monotonic() - begun)


def ended(call: ToolCall, error: Exception, begun: float, *, tracebacks: bool) -> ToolResult:
    """Return the result of a call that raised, and log that it did."""
    if not isinstance(error, ToolError):
        from logging import getLogger  # noqa: PLC0415 - 5 ms, and only a failure needs it

        # The exception's text may repeat the input, so only its kind is logged.
        getLogger("antiphon").warning("tool %s raised %s", call.name, type(error).__name__)
    result = failed(call, error, tracebacks=tracebacks)
    return msgspec.structs.replace(result, seconds=time.monotonic() - begun)
