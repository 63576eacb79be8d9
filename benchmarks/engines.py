"""llama.cpp, OpenVINO GenAI and another build of llama-server, on the same file and tokens.

Not part of `run`. OpenVINO is no dependency: `--openvino PYTHON` names the interpreter of an
environment that has `openvino-genai`, each `--server` a running `llama-server` of any build with
the same file, threads and batch. All get the same random tokens, in turn. A busy machine takes
time from all of them, so processor time counts beside the time that passes; with several threads
it includes what they wait for each other, with `--threads 1` it is the work alone.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from antiphon.engines.llama.options import available_cores
from benchmarks.engine_sides import Moment, Server, Side, has_openvino, memory_mb, opened
from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import default_weights

TOKENS = (1_000, 20_000)
"""Ordinary tokens of the default model."""
QUESTION = 22
START = 64
"""Tokens before those that are written."""
MISSING = "OpenVINO GenAI is not installed: there is nothing to compare (--openvino, --server)."


@dataclass(frozen=True, slots=True)
class Size:
    """How many rounds and loads, of which prompts and answers (in tokens)."""

    rounds: int = 9
    loads: int = 3
    prompts: tuple[int, ...] = (512, 2_000)
    written: int = 128


QUICK = Size(rounds=1, loads=1, prompts=(64,), written=4)


@dataclass(slots=True)
class Measured:
    """What was measured of each side: by the name of the work, a value of each round."""

    values: dict[tuple[str, str], list[Moment]] = field(default_factory=dict)

    def add(self, work: str, side: Side, value: Moment) -> None:
        self.values.setdefault((work, side.name), []).append(value)


async def measure(
    weights: Path, size: Size, python: str | None, servers: Sequence[Server], threads: int
) -> list[Figure]:
    """Load all sides and compare them with llama.cpp."""
    measured = Measured()
    for load in range(size.loads):
        async with AsyncExitStack() as stack:
            sides = await opened(stack, weights, threads, python, servers)
            for side in sides:
                if side.loaded is not None:
                    measured.add("load", side, side.loaded)
            if load == size.loads - 1:
                await _round(sides, size, 0, Measured())  # warms up
                for number in range(1, 1 + size.rounds):
                    await _round(sides, size, number, measured)
                return [*_figures(sides, measured), *_memory(sides)]
    return []


async def _round(sides: Sequence[Side], size: Size, number: int, measured: Measured) -> None:
    for work in (_read, _write):
        turn = number % len(sides)
        for side in (*sides[turn:], *sides[:turn]):
            for what, value in (await work(side, size, number)).items():
                measured.add(what, side, value)
                print(
                    f"round {number}, {what}, {side.name}: {value.wall:.3f} s, "
                    f"processor {value.processor:.3f} s",
                    file=sys.stderr,
                    flush=True,
                )


async def _read(side: Side, size: Size, number: int) -> dict[str, Moment]:
    """Read prompts of this round's own, and go on behind each."""
    passed = {}
    for length in size.prompts:
        prompt = _random(f"{number} {length}", length)
        passed[f"read {length}"] = (await side.complete(prompt, 1)).first
        prompt += _random(f"{number} behind", QUESTION)
        passed[f"first token behind {length}"] = (await side.complete(prompt, 1)).first
    return passed


async def _write(side: Side, size: Size, number: int) -> dict[str, Moment]:
    prompt = _random(f"{number} write", START)
    return {f"write {size.written}": (await side.complete(prompt, size.written + 1)).rest}


def _random(seed: str, n: int) -> list[int]:
    # Not for secrets: every side and every run gets the same.
    return random.Random(seed).choices(range(*TOKENS), k=n)  # noqa: S311


def _figures(sides: Sequence[Side], measured: Measured) -> list[Figure]:
    figures = []
    for work in dict.fromkeys(work for work, _ in measured.values):
        tokens = _tokens(work)
        unit = "ms/token" if tokens > 1 else "ms"
        for side in sides:
            values = measured.values.get((work, side.name))
            if values is None:
                continue
            beside = measured.values[work, sides[0].name]
            for what, of in (("", _wall), (", processor", _processor)):
                ours = tuple(1000 * of(one) / tokens for one in values)
                figures.append(
                    Figure(
                        f"{work}{what}: {side.name}",
                        unit,
                        ours,
                        ratio="" if side is sides[0] else _ratio(values, beside, of),
                    )
                )
    return figures


def _tokens(work: str) -> int:
    """Return by what a time is divided."""
    verb, _, number = work.partition(" ")
    return int(number) if verb in ("read", "write") else 1


def _ratio(
    values: Sequence[Moment], beside: Sequence[Moment], of: Callable[[Moment], float]
) -> str:
    """Compare the rounds: the machine was about as busy for both sides of one."""
    pairs = [(of(one), of(other)) for one, other in zip(values, beside, strict=True)]
    # The clock of a processor has steps of 10 ms.
    ratios = sorted(one / other for one, other in pairs if other)
    if not ratios:
        return ""
    return f"{median(ratios):.2f} of llama.cpp ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _wall(value: Moment) -> float:
    return value.wall


def _processor(value: Moment) -> float:
    return value.processor


def _memory(sides: Sequence[Side]) -> list[Figure]:
    figures = []
    for side in sides:
        resident, own = memory_mb(side.pid)
        figures.append(Figure(f"memory after all: {side.name}", "MB", (resident,)))
        figures.append(Figure(f"memory without files: {side.name}", "MB", (own,)))
    return figures


async def _run(options: argparse.Namespace) -> list[Figure]:
    python = options.openvino if await has_openvino(options.openvino) else None
    servers = [(name, url, int(pid)) for name, url, pid in options.server]
    if python is None and not servers:
        return []
    size = QUICK if options.quick else Size(options.rounds)
    weights = options.weights or default_weights()
    return await measure(weights, size, python, servers, options.threads)


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=Size().rounds)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    parser.add_argument("--threads", type=positive, default=available_cores())
    parser.add_argument(
        "--openvino", metavar="PYTHON", default=sys.executable, help="of an environment that has it"
    )
    parser.add_argument(
        "--server",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "URL", "PID"),
        help="a running llama-server of any build; may be repeated",
    )
    options = parser.parse_args()
    figures = asyncio.run(_run(options))
    if figures:
        finish(figures, options)
    else:
        print(MISSING)


if __name__ == "__main__":
    main()
