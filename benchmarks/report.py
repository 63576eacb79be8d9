"""What every benchmark has in common: its figures, the machine they come from, and the table."""

import argparse
import os
import platform
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from antiphon.wire.errors import shortened

CPU_INFO = Path("/proc/cpuinfo")
MOST = 1_000_000
"""Rounds or requests of a benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound to hold, from one side."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def __str__(self) -> str:
        return f"≥ {number(self.least)}" if self.least is not None else f"≤ {number(self.most)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured, with a value of every round.

    `ratio` says how it compares with what was measured beside it, if anything was.
    """

    what: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None
    ratio: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def row(self) -> tuple[str, ...]:
        low, high = min(self.values), max(self.values)
        verdict = "" if self.goal is None else f"{self.goal} {self._verdict()}"
        spread = f"{number(low)} to {number(high)}" if low != high else ""
        return (self.what, f"{number(self.median)} {self.unit}", spread, verdict, self.ratio)

    def _verdict(self) -> str:
        return "yes" if self.goal is None or self.goal.met(self.median) else "NO"


def number(value: float | None) -> str:
    """Write a number with the three digits that mean something."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(part: Figure, whole: Figure, name: str) -> str:
    """Say what share of `whole` the median of `part` is."""
    return f"{part.median / whole.median:.0%} of {name}"


def machine() -> str:
    """Say where the figures come from."""
    model = platform.processor() or platform.machine()
    if CPU_INFO.exists():
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
        model = next(
            (line.split(": ")[1] for line in lines if line.startswith("model name")), model
        )
    python = f"{platform.python_implementation()} {platform.python_version()}"
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{model}, {os.cpu_count()} cores{load}; {platform.system()}, {python}; {now}"


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    head = ("what", "median", "lowest to highest", "goal", "side by side")
    lay_out([head, *(figure.row() for figure in figures)])
    print(f"\n{machine()}")


def lay_out(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first one as their head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for place, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
        if place == 0:
            print("  ".join("─" * width for width in widths))


def command(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark, with what all of them understand."""
    # Being told to stop must not leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every round's figures")
    return parser


def positive(text: str) -> int:
    """Read a number of rounds or requests: there is no figure without one."""
    short = len(text) <= len(str(MOST)) and text.isascii() and text.isdecimal()
    if not short or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no number from 1 to {MOST:,}")
    return int(text)


def finish(figures: Sequence[Figure], options: argparse.Namespace) -> None:
    """Print the table, and keep the raw figures if that was asked for."""
    show(figures)
    keep(figures, options)


def keep(figures: Sequence[Figure], options: argparse.Namespace, **more: object) -> None:
    """Keep the raw figures, and what else is given, if that was asked for."""
    if options.json is not None:
        kept = {"machine": machine(), "quick": options.quick, "figures": figures, **more}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
