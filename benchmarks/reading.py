"""How many steps of the interpreter it takes to ask another server and to read its answer.

A step is one instruction of Python's bytecode. Steps are no time: a call of C is one of them,
however long it takes. But their number is the same on a busy machine, so it shows what a change
saves where a clock shows noise. The engine and its HTTP client run in this process, without a
server of ours around them, in front of `benchmarks.upstream`; the loop is asyncio's own, whose
steps are left out.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from antiphon.engines.base import Engine, EngineConfig, Prompt, Turn
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from antiphon.wire.content import TextParam
from benchmarks.report import Figure, Goal, command, finish, lay_out, positive
from benchmarks.servers import HOST, started
from benchmarks.traced import stepping
from benchmarks.upstream import WORDS

ENGINES = {"messages_api": open_messages_api, "chat_completions": open_chat_completions}
TIMES = (1, 10)
"""Answers have so many times ten deltas."""
WARMING = 5
PACKAGE = "/antiphon/"
MOST_FOR_A_DELTA = {"messages_api": 150, "chat_completions": 220}


class Steps:
    """Counts the steps of each function of this package, while it is a context."""

    def __init__(self) -> None:
        self.counts: Counter[CodeType] = Counter()

    def __enter__(self) -> Counter[CodeType]:
        sys.settrace(self._called)
        return self.counts

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event != "call" or PACKAGE not in code.co_filename:
            return None
        return stepping(frame, self.counts, code)


async def counted(url: str, name: str, answers: int) -> dict[str, float]:
    """Return the steps of one answer by module, the most first."""
    options = {"url": url, "model": "constant", "context_tokens": 100_000, "count": "estimate"}
    engine = await ENGINES[name](EngineConfig("m", options=options))
    for _ in range(WARMING):
        await _ask(engine)
    with Steps() as counts:
        for _ in range(answers):
            await _ask(engine)
    await engine.aclose()
    found: Counter[str] = Counter()
    for code, steps in counts.items():
        found[code.co_filename.rpartition(PACKAGE)[2]] += steps
    return {module: steps / answers for module, steps in found.most_common()}


async def _ask(engine: Engine) -> None:
    # A prompt of its own for each: its size is remembered.
    async for _ in engine.generate(Prompt((Turn("user", (TextParam(text="Hi"),)),), 1000)):
        pass


def measure(answers: int, show: Callable[[str, dict[str, float]], None]) -> list[Figure]:
    """Count for each engine answers of each size, and what one more delta takes."""
    found: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        for times in TIMES:
            size = times * len(WORDS)
            upstream = (sys.executable, "-m", "benchmarks.upstream", str(times))
            with started(upstream, Path(folder, "upstream.log")) as server:
                for name in ENGINES:
                    url = f"http://{HOST}:{server.port}"
                    modules = asyncio.run(counted(url, name, answers))
                    show(f"{name}, {size} deltas", modules)
                    found[name, size] = sum(modules.values())
    table = [
        Figure(f"{name}: steps of an answer of {size} deltas", "", (steps,))
        for (name, size), steps in found.items()
    ]
    least, most = (times * len(WORDS) for times in TIMES)
    for name in ENGINES:
        more = (found[name, most] - found[name, least]) / (most - least)
        goal = Goal(most=MOST_FOR_A_DELTA[name])
        table.append(Figure(f"{name}: steps of one more delta", "", (more,), goal))
    return table


def main() -> None:
    """Count, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--top", type=positive, default=8, metavar="N", help="lines of each list")
    options = parser.parse_args()

    def show(what: str, modules: dict[str, float]) -> None:
        rows = [(f"{steps:,.0f}", module) for module, steps in modules.items()]
        lay_out([("steps", what), *rows[: options.top]])
        print()

    finish(measure(2 if options.quick else 20, show), options)


if __name__ == "__main__":
    main()
