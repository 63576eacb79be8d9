"""The output of commands: sentences and tables for people, JSON and CSV for scripts."""

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from antiphon.cli.program import as_called

T = TypeVar("T")

_WIDEST = 10_000


def say(text: str = "") -> None:
    """Print a line at once; commands in it as the reader can call them."""
    print(as_called(text), flush=True)  # noqa: T201 - this is the command line


def hint(text: str) -> None:
    """Print a sentence for people on stderr, beside an output that scripts read."""
    print(as_called(text), file=sys.stderr, flush=True)  # noqa: T201 - this is the command line


def say_json(value: Any) -> None:
    """Print a value as indented JSON, unchanged."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    print(text, flush=True)  # noqa: T201 - this is the command line


def print_change(arguments: argparse.Namespace, what: Any, done: str) -> int:
    """Print the result of a change: the object with `--json`, else a sentence."""
    if arguments.json:
        say_json(what)
    else:
        say(done)
    return 0


def print_listing(
    arguments: argparse.Namespace,
    things: Sequence[T],
    row: Callable[[T], dict[str, Any]],
    *,
    empty: str,
) -> int:
    """Print a listing: the objects with `--json`, else a table with a row for each."""
    if arguments.json:
        say_json(things)
    else:
        say_table([row(one) for one in things], empty=empty)
    return 0


def say_table(rows: Sequence[dict[str, Any]], *, empty: str) -> None:
    """Print a table for people, with numbers aligned to the right."""
    from rich.console import Console  # noqa: PLC0415 - JSON needs none of it
    from rich.table import Table  # noqa: PLC0415

    if not rows:
        say(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name, value in rows[0].items():
        right = isinstance(value, int) or str(value).startswith("$")
        table.add_column(name.replace("_", " "), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    # Long lines are left to the terminal to wrap: an id that is cut in two cannot be copied.
    Console(width=_WIDEST, markup=False, highlight=False).print(table)


def say_csv(rows: Sequence[dict[str, Any]], columns: Iterable[str]) -> None:
    """Print a table as CSV."""
    writer = csv.DictWriter(sys.stdout, list(columns))
    writer.writeheader()
    writer.writerows(rows)


def day(moment: str | None) -> str | None:
    """Shorten a moment of the wire to its minute, for tables."""
    return None if moment is None else f"{moment[:10]} {moment[11:16]}"


def dollars(nano_dollars: int) -> str:
    """Return an amount in US dollars: with cents, or with all its decimals."""
    whole, rest = divmod(nano_dollars, 10**9)
    fraction = f"{rest:09}".rstrip("0")
    return f"{whole}.{fraction:0<2}"


def decimal_size(size: int) -> str:
    """Return a number of bytes as text: `98.4 MB`."""
    from rich.filesize import decimal  # noqa: PLC0415 - as above

    return decimal(size)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
