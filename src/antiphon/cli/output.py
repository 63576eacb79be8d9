"""The output of commands: sentences for people, JSON and CSV for scripts."""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from antiphon.cli.program import shown_on


def say(text: str = "") -> None:
    """Print sentences at once; commands in them as the reader can call them."""
    print(shown_on(sys.stdout, text), flush=True)  # noqa: T201 - this is the command line


def say_unchanged(text: str) -> None:
    """Print what a script reads or a person copies: a path, or a secret."""
    print(text, flush=True)  # noqa: T201 - this is the command line


def hint(text: str) -> None:
    """Print a sentence for people on stderr, beside an output that scripts read.

    One that cannot be printed is left out: a server whose log is on a full disk stops as any other.
    """
    with suppress(OSError, ValueError):  # ValueError: it is closed
        print(shown_on(sys.stderr, text), file=sys.stderr, flush=True)  # noqa: T201 - as above


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


def say_csv(rows: Sequence[dict[str, Any]], columns: Iterable[str]) -> None:
    """Print a table as CSV."""
    writer = csv.DictWriter(sys.stdout, list(columns))
    writer.writeheader()
    writer.writerows(rows)


def day(moment: str | None) -> str | None:
    """Shorten a moment of the wire to its minute, for tables."""
    return None if moment is None else f"{moment[:10]} {moment[11:16]}"


def decimal_size(size: int) -> str:
    """Return a number of bytes as text: `98.4 MB`."""
    from rich.filesize import decimal  # noqa: PLC0415 - most commands need none of it

    return decimal(size)
