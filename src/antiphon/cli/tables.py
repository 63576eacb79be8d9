"""Tables: the columns that fit into a terminal, and all of them for programs."""

import argparse
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from antiphon.cli.output import hint, say, say_json

T = TypeVar("T")

_GAP = "  "
# The width to which a column of texts may shrink before another column is left out, unless a table
# says otherwise, and the width to which it shrinks when there is none to leave out.
_COMFORTABLE = 16
_NARROWEST = 8
_NOTHING = "-"
# Money, a share such as 91.4%, or milliseconds.
_AMOUNT = re.compile(r"-?\$|[0-9]+\.[0-9]%$|[0-9,]+ ms$")


class TableForm(msgspec.Struct, frozen=True):
    """How a table is printed.

    `empty` is the sentence for no rows. `texts` are the columns that may wrap, and `least_useful`
    those that may be left out, in this order. Before that, the columns of `folding` take the width
    there, and texts shrink to `comfortable` columns.
    """

    empty: str
    texts: Collection[str] = ()
    least_useful: Sequence[str] = ()
    folding: Mapping[str, int] = {}
    comfortable: int = _COMFORTABLE


def print_listing(
    arguments: argparse.Namespace,
    things: Sequence[T],
    row: Callable[[T], dict[str, Any]],
    form: TableForm,
) -> int:
    """Print a listing: the objects with `--json`, else a table with a row for each."""
    if arguments.json:
        say_json(things)
    else:
        say_table([row(one) for one in things], form)
    return 0


def say_table(rows: Sequence[Mapping[str, Any]], form: TableForm) -> None:
    """Print a table with a row for each mapping.

    On a terminal it is as wide as that: the least useful columns are left out one after the other,
    and texts wrap between words. A longer word in them ends with "…". No other cell is ever cut or
    wrapped, so that an id can be copied. Elsewhere every column is printed, each row on a line of
    its own, and nothing is cut: columns are separated by two spaces at least, and an empty cell is
    "-". The time is linear in the size of the table.
    """
    if not rows:
        say(form.empty)
        return
    columns = {name: [_cell(row[name]) for row in rows] for name in rows[0]}
    titles = {name: name.replace("_", " ") for name in columns}
    right = {name for name, value in rows[0].items() if _is_number(value)}
    widths = {name: max(map(_cells, (titles[name], *cells))) for name, cells in columns.items()}
    if not sys.stdout.isatty():
        for line in _lines(columns, titles, widths, right):
            say(line)
        return
    room = shutil.get_terminal_size().columns
    left_out = _fit(widths, form, room)
    _say_wrapped(columns, titles, widths, right)
    if left_out:
        names = ", ".join(titles[name] for name in columns if name in left_out)
        hint(f"Left out, for lack of room: {names}. `--json` has everything.")


def _lines(
    columns: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    widths: Mapping[str, int],
    right: Collection[str],
) -> list[str]:
    """Return the lines of a whole table."""
    padded = [
        [_padded(cell, widths[name], right=name in right) for cell in (titles[name], *cells)]
        for name, cells in columns.items()
    ]
    return [_GAP.join(line).rstrip() for line in zip(*padded, strict=True)]


def _say_wrapped(
    columns: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    widths: Mapping[str, int],
    right: Collection[str],
) -> None:
    """Print the columns that have a width, with cells wrapped between words to their width."""
    from rich.console import Console  # noqa: PLC0415 - programs read tables without it
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0))
    for name, width in widths.items():
        justify = "right" if name in right else "left"
        table.add_column(titles[name], justify=justify, width=width, overflow="ellipsis")  # type: ignore[arg-type]  # a literal
    for row in zip(*(columns[name] for name in widths), strict=True):
        table.add_row(*row)
    Console(width=_whole(widths), markup=False, highlight=False, emoji=False).print(table)


def _fit(widths: dict[str, int], form: TableForm, room: int) -> list[str]:
    """Reduce the widths of columns to the room, and return the columns that are left out."""
    left_out: list[str] = []
    if not _fits(widths, form.texts, room, form.comfortable):
        widths |= {name: min(widths[name], width) for name, width in form.folding.items()}
    for name in form.least_useful:
        if _fits(widths, form.texts, room, form.comfortable):
            break
        if name in widths:
            del widths[name]
            left_out.append(name)
    shrinking = {name: width for name, width in widths.items() if name in form.texts}
    is_roomy = _fits(widths, form.texts, room, form.comfortable)
    narrowest = form.comfortable if is_roomy else _NARROWEST
    for name, width in shrinking.items():
        widths[name] = min(width, narrowest)
    # The rest of the room goes to the columns that need it, the smallest need first.
    for index, (name, width) in enumerate(sorted(shrinking.items(), key=lambda item: item[1])):
        share = (room - _whole(widths)) // (len(shrinking) - index)
        widths[name] = min(width, widths[name] + max(0, share))
    return left_out


def _fits(widths: Mapping[str, int], texts: Collection[str], room: int, narrowest: int) -> bool:
    least = {
        name: min(width, narrowest) if name in texts else width for name, width in widths.items()
    }
    return _whole(least) <= room


def _whole(widths: Mapping[str, int]) -> int:
    """Return the width of a table."""
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return _NOTHING
    text = f"{value:,}" if isinstance(value, int) else str(value)
    if text.isascii() and text.isprintable():
        return text
    # A control character would move the cursor, or end the line.
    return "".join(
        ascii(one)[1:-1] if unicodedata.category(one) in {"Cc", "Zl", "Zp"} else one for one in text
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or _AMOUNT.match(str(value)) is not None


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a wide character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - most tables need none of it

    return cell_len(text)


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _cells(text))
    return space + text if right else text + space
