"""`antiphon usage --engine`: what batches used of the engines' time, and who waited for it."""

import argparse
from datetime import datetime
from typing import Any, Final

from antiphon.cli.output import say_csv, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.core.idle_use import IdleUse
from antiphon.service.batches.idle_use import LaneDimension, LaneGroup

DIMENSIONS: Final[tuple[LaneDimension, ...]] = ("day", "model")
HERE: Final = "this machine"
"""The name of the lane of all models that are computed on the machines of the servers."""
COLUMNS: Final = """columns of --engine:
  interactive     the share of the time in which interactive requests ran
  batches         the share of the time in which requests of batches ran
  stopped         how often a request of a batch had to stop for others
  requests        interactive requests
  delayed         those of them that came before such a request had stopped
  median, p99     the time until it had: of half, and of 99 % of all interactive
                  requests it was at most this
  longest         the longest of these times
Days are those of UTC, and the first hour counts as a whole. What several
engines and servers used is added up."""


def check_engine_flags(arguments: argparse.Namespace) -> None:
    """Refuse the flags that are about tokens and their callers."""
    given = {
        "--cache": arguments.cache,
        "--model": arguments.model,
        "--key": arguments.key,
        "--workspace": arguments.workspace,
    }
    for flag, value in given.items():
        if value:
            arguments.parser.error(f"{flag} and --engine: choose one of them")
    for word in arguments.by:
        if word not in DIMENSIONS:
            known = ", ".join(DIMENSIONS)
            arguments.parser.error(f"argument --by: with --engine {word!r} is none of {known}")


def say_engine_usage(
    uses: dict[LaneGroup, IdleUse], span: tuple[datetime, datetime], arguments: argparse.Namespace
) -> None:
    """Print the lines: exact numbers for programs, shares and milliseconds for people."""
    by = arguments.by
    if arguments.json or arguments.csv:
        rows = [_named(by, group) | _plain(use) for group, use in uses.items()]
        if arguments.json:
            say_json(rows)
        else:
            say_csv(rows, (*by, *_plain(IdleUse())))
        return
    shown = [(_shown(by, group), use) for group, use in uses.items()]
    if len(shown) > 1:
        total = sum(uses.values(), IdleUse())
        shown.append(({word: "in all" if word == by[0] else None for word in by}, total))
    say_table(
        [words | _row(use) for words, use in shown],
        TableForm(
            empty=f"No engine was used from {span[0]:%F %R} to {span[1]:%F %R} UTC.",
            texts=("model",),
            least_useful=("stopped", "longest", "requests", "interactive"),
        ),
    )


def _named(by: tuple[str, ...], group: LaneGroup) -> dict[str, str | None]:
    """Return what a line is for; without a model, if it is for all of this machine."""
    return {word: value or None for word, value in zip(by, group, strict=True)}


def _shown(by: tuple[str, ...], group: LaneGroup) -> dict[str, str | None]:
    return {word: value or HERE for word, value in zip(by, group, strict=True)}


def _plain(use: IdleUse) -> dict[str, Any]:
    return {
        "total_s": round(use.total_s, 3),
        "interactive_s": round(use.interactive_s, 3),
        "batches_s": round(use.busy_s, 3),
        "stopped": use.yielded,
        "parked": use.parked,
        "requests": use.interactive,
        "delayed": use.delayed,
        "delay_ms": round(use.delay_s * 1000, 1),
        "median_delay_ms": use.delay_ms(50),
        "p99_delay_ms": use.delay_ms(99),
        "longest_delay_ms": round(use.longest_delay_s * 1000, 1),
    }


def _row(use: IdleUse) -> dict[str, Any]:
    return {
        "interactive": _share(use.interactive_s, use.total_s),
        "batches": _share(use.busy_s, use.total_s),
        "stopped": use.yielded,
        "requests": use.interactive,
        "delayed": use.delayed,
        "median": _ms(use.delay_ms(50)),
        "p99": _ms(use.delay_ms(99)),
        "longest": _ms(use.longest_delay_s * 1000),
    }


def _share(seconds: float, total_s: float) -> str | None:
    return f"{seconds / total_s:.1%}" if total_s else None


def _ms(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds:,.0f} ms"
