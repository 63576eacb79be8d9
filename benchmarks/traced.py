"""Runs a command of Antiphon and counts its steps: `python -m benchmarks.traced FILE serve`.

A step is one instruction of the interpreter in the main thread, which has the event loop. At the
first SIGUSR1 counting begins, and FILE is empty; at the second it ends, and the counts are there.
"""

import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar

import msgspec

K = TypeVar("K")

TURN = signal.SIGUSR1
OF_REQUESTS = (
    *("/antiphon/server/", "/antiphon/service/answer.py", "/uvicorn/"),
    *("/antiphon/engines/", "/antiphon/transport/"),
)
"""Where functions are that the loop calls for one request."""
LATER = ("/service/delivery.py", "/service/ledger.py", "/service/request_log.py", "/log_lines.py")
"""Where functions are that it calls for what many requests have left."""


class Counted(msgspec.Struct):
    """What one function did below one that the event loop has called, in the file `root`."""

    root: str
    file: str
    function: str
    calls: int
    steps: int

    @property
    def later(self) -> bool:
        """Whether it did that for many requests at once."""
        return any(place in self.root for place in LATER)

    @property
    def counts(self) -> bool:
        """Whether it did that for requests: what runs by the clock says nothing of them."""
        return self.later or any(place in self.root for place in OF_REQUESTS)


def stepping(frame: FrameType, steps: Counter[K], key: K) -> Any:
    """Return what traces a frame that was called: it counts each step of it under a key."""
    frame.f_trace_lines, frame.f_trace_opcodes = False, True

    def stepped(_frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            steps[key] += 1
        return stepped

    return stepped


class Steps:
    """Counts steps and calls of each function, apart for each function that the loop calls.

    A coroutine that goes on counts as called again.
    """

    def __init__(self) -> None:
        self._steps: Counter[tuple[CodeType, CodeType]] = Counter()
        self._calls: Counter[tuple[CodeType, CodeType]] = Counter()
        self._loop: FrameType | None = None
        self._root: CodeType | None = None

    def begin(self, loop: FrameType) -> None:
        """Count from now on, in this thread; `loop` is the frame that runs its event loop."""
        self._steps.clear()
        self._calls.clear()
        self._loop = loop
        sys.settrace(self._called)

    def end(self) -> list[Counted]:
        """Stop counting, and return the counts of what was done for requests."""
        sys.settrace(None)
        counts = [
            Counted(
                root.co_filename, code.co_filename, code.co_qualname, calls, self._steps[root, code]
            )
            for (root, code), calls in self._calls.items()
        ]
        return [one for one in counts if one.counts]

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        if event != "call":
            return None
        if frame.f_back is self._loop or self._root is None:
            self._root = frame.f_code
        key = self._root, frame.f_code
        self._calls[key] += 1
        return stepping(frame, self._steps, key)


def _loop_below(frame: FrameType) -> FrameType:
    """Return the frame that runs the event loop, in whose functions this one may be."""
    outer: FrameType | None = frame
    while outer is not None and Path(outer.f_code.co_filename).name != "runners.py":
        outer = outer.f_back
    return outer or frame


def main() -> None:
    """Run the command, and count when told to."""
    file = Path(sys.argv.pop(1))
    steps = Steps()
    counting = False

    def turn(_: int, frame: FrameType | None) -> None:
        nonlocal counting
        counts = msgspec.json.encode(steps.end()) if counting else b""
        draft = file.with_suffix(".new")
        draft.write_bytes(counts)
        draft.replace(file)
        counting = not counting
        if counting and frame is not None:
            steps.begin(_loop_below(frame))

    signal.signal(TURN, turn)
    from antiphon.cli import main as run  # noqa: PLC0415 - only once it is counted

    sys.exit(run())


if __name__ == "__main__":
    main()
