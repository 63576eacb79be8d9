"""How a runner runs the calls of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from antiphon.sdk.tools.results import ToolCall, ToolResult


class RunOptions(TypedDict, total=False):
    """How a runner runs the calls of a model. Hooks of an async runner may be async.

    - `max_iterations`: the most requests; the calls of the last answer are still run, so the
      conversation can go on.
    - `parallel_calls`: whether the calls of one answer run at the same time (yes). Those of a
      blocking runner then run in threads.
    - `call_timeout`: seconds for each call. One that takes longer is told as an error; of a
      blocking function, the thread goes on in the background.
    - `approve`: is asked before each call. Only `True` lets it run; a text says why not.
    - `after_call`: sees each result, and may return another one in its place.
    - `tracebacks`: whether the model is told where an unexpected exception came from (no).
    """

    max_iterations: int | None
    parallel_calls: bool
    call_timeout: float | None
    approve: Callable[[ToolCall], Any]
    after_call: Callable[[ToolResult], Any]
    tracebacks: bool
