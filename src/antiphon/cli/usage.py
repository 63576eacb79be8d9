"""`antiphon usage`: the tokens used and their cost, from the ledger."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import CommandError, ExamplesFormatter, as_command
from antiphon.cli.engine_usage import COLUMNS, check_engine_flags, say_engine_usage
from antiphon.cli.output import hint, say_csv, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.cli.times import DurationOrTime, duration_or_time, moment_before
from antiphon.core.billing.money import dollars
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.idle_use import IdleUse
from antiphon.service.batches.idle_use import LaneGroup
from antiphon.service.reports import Dimension, UsageLine
from antiphon.settings import Settings
from antiphon.wire.errors import shortened

DIMENSIONS: dict[str, Dimension] = {
    "day": "day",
    "model": "model",
    "key": "api_key_id",
    "workspace": "workspace_id",
    "tier": "service_tier",
}
COUNTERS = {
    "input": "input_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "cache_read": "cache_read_tokens",
    "output": "output_tokens",
}
MOST_NAMED = 5
"""Callers choose names of models, so there may be many without a price."""
_EXAMPLES = f"""examples:
  antiphon usage                                the last seven days, day by day
  antiphon usage --since 2026-11-01 --by key    since a day, key by key
  antiphon usage --since 24h --by model,workspace
  antiphon usage --since 30d --by day,key --csv > usage.csv
  antiphon usage --by tier                      batches and all others
  antiphon usage --cache --by key,model         what the prompt cache saves
  antiphon usage --engine                       what batches use of idle engines

Days are those of UTC. Requests that are running are not in it.

columns of --cache:
  prompt     all tokens of the prompts, read from the prompt cache or not
  written    those of them that were written to the prompt cache
  read       those of them that were read from it
  hit rate   the share of the prompts' tokens that was read
  saved      what the prompts would have cost without the prompt cache, less
             what they did cost; below zero where writes have cost more

{COLUMNS}"""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    as_command(family, _usage)
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    family.add_argument("--csv", action="store_true", help="for spreadsheets")
    family.add_argument(
        "--cache",
        action="store_true",
        help="what the prompt cache saves: the share of the prompts' tokens that was read from it, "
        "and the money; the columns are below",
    )
    family.add_argument(
        "--engine",
        action="store_true",
        help="how much of the engines' time batches used, and how long interactive requests "
        "waited for them, of the last 90 days; the columns are below",
    )
    family.add_argument(
        "--since",
        type=duration_or_time,
        default=timedelta(days=7),
        metavar="WHEN",
        help="from so long ago on, or from this day or time on: 24h, 30d, 2026-11-01, or "
        "with a zone 2026-11-01T12:00+02:00; UTC without one; default: 7d",
    )
    family.add_argument(
        "--until", type=duration_or_time, metavar="WHEN", help="and before this; default: now"
    )
    family.add_argument(
        "--by",
        type=_by,
        default=("day",),
        metavar="WHAT",
        help="what a line is for, with commas: day, model, key, workspace, or tier, which is batch "
        "or standard; default: day",
    )
    family.add_argument("--model", metavar="NAME", help="only what was asked of this model")
    family.add_argument("--key", metavar="NAME", help="only what this key asked")
    family.add_argument("--workspace", metavar="NAME", help="only what this workspace asked")


def _by(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split(",")))
    for word in words:
        if word not in DIMENSIONS:
            known = ", ".join(DIMENSIONS)
            raise argparse.ArgumentTypeError(f"{word!r} is none of {known}")
    return words


def _usage(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.json and arguments.csv:
        arguments.parser.error("--csv and --json: choose one of them")
    if arguments.engine:
        return _engine_usage(arguments, settings)
    read = open_session(settings, lambda session: _read(session, arguments))
    lines, span = read.lines, read.span
    by, view = arguments.by, CACHE if arguments.cache else TOKENS
    if arguments.json:
        say_json([_named(by, line) | view.plain(line) for line in lines])
    elif arguments.csv:
        columns = (*(DIMENSIONS[word] for word in by), *view.plain(_total(lines)))
        say_csv([_named(by, line) | view.plain(line) for line in lines], columns)
    else:
        shown = [*lines, _total(lines)] if len(lines) > 1 else lines
        say_table(
            [_shown(by, line, read.names) | view.row(line) for line in shown],
            TableForm(
                empty=f"Nothing was used{_filters(arguments)} from {span[0]:%F %R} to "
                f"{span[1]:%F %R} UTC.",
                texts=("model", "key", "workspace", "tier"),
                least_useful=view.least_useful,
            ),
        )
        _note_free(read.free)
    return 0


def _engine_usage(arguments: argparse.Namespace, settings: Settings) -> int:
    check_engine_flags(arguments)

    async def read(
        session: AdminSession,
    ) -> tuple[dict[LaneGroup, IdleUse], tuple[datetime, datetime]]:
        span = _span(session, arguments)
        return await session.idle_use.lines(span, arguments.by), span

    uses, span = open_session(settings, read)
    say_engine_usage(uses, span, arguments)
    return 0


class _Read(msgspec.Struct, frozen=True):
    """What the command has read: lines, the names of keys and workspaces by id, and the time span.

    `free` are the names of models whose prompts used the prompt cache and cost nothing.
    """

    lines: tuple[UsageLine, ...]
    names: dict[str, str]
    span: tuple[datetime, datetime]
    free: Sequence[str] = ()


async def _read(session: AdminSession, arguments: argparse.Namespace) -> _Read:
    only: dict[str, list[str]] = {}
    if arguments.model is not None:
        only["model"] = [arguments.model]
    if arguments.key is not None:
        only["api_key_id"] = [(await session.key(arguments.key)).id]
    if arguments.workspace is not None:
        only["workspace_id"] = [(await session.workspace(arguments.workspace)).id]
    span = _span(session, arguments)
    lines = await session.used.lines(span, [DIMENSIONS[word] for word in arguments.by], only)
    free = await _free(session, span, only) if arguments.cache else ()
    keys = {key.id: key.name for key in await session.keys()}
    workspaces = {one.id: one.name for one in await session.workspaces()}
    return _Read(lines, keys | workspaces, span, free)


async def _free(
    session: AdminSession, span: tuple[datetime, datetime], only: Mapping[str, Collection[str]]
) -> Sequence[str]:
    return [
        str(line.dimensions[0])
        for line in await session.used.lines(span, ["model"], only)
        if line.tokens.prompt > line.tokens.input and not line.cost
    ]


def _note_free(models: Sequence[str]) -> None:
    """Say below the table why these models have saved $0.00."""
    if models:
        rest = len(models) - MOST_NAMED
        named = ", ".join(models[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
        hint(
            f"Names without a price cost nothing, so they save nothing: {named}. "
            "Set `price` to see money."
        )


def _filters(arguments: argparse.Namespace) -> str:
    """Say which filters leave nothing: ` of model 'claude-x' by key 'ci'`."""
    given = (
        ("of model", arguments.model),
        ("by key", arguments.key),
        ("in workspace", arguments.workspace),
    )
    return "".join(f" {what} {shortened(one)!r}" for what, one in given if one is not None)


def _span(session: AdminSession, arguments: argparse.Namespace) -> tuple[datetime, datetime]:
    since = moment_before("--since", arguments.since, session.now)
    span = (since, _until(arguments.until, session.now))
    if span[0] >= span[1]:
        raise CommandError("--until should be after --since")
    return span


def _until(given: DurationOrTime | None, now: datetime) -> datetime:
    """Return the end of the time; it may be yet to come: the end of this month."""
    if isinstance(given, timedelta):
        return now - given
    return now if given is None else given


def _named(by: tuple[str, ...], line: UsageLine) -> dict[str, str | None]:
    """Return what a line is for, by ids: for programs."""
    return {DIMENSIONS[word]: value for word, value in zip(by, line.dimensions, strict=True)}


def _shown(
    by: tuple[str, ...], line: UsageLine, names: dict[str, str]
) -> dict[str, str | int | None]:
    """Return what a line is for, by names: for people."""
    values = zip(by, line.dimensions, strict=True)
    return {word: names.get(value or "", value) for word, value in values}


class View(msgspec.Struct, frozen=True):
    """What the command says of a line: to programs, exact dollars as text, and to people.

    `least_useful` are the columns that a narrow terminal leaves out.
    """

    plain: Callable[[UsageLine], dict[str, Any]]
    row: Callable[[UsageLine], dict[str, Any]]
    least_useful: tuple[str, ...]


def _plain(line: UsageLine) -> dict[str, Any]:
    return {
        "requests": line.requests,
        **{name: getattr(line.tokens, counter) for counter, name in COUNTERS.items()},
        "cost_usd": dollars(line.cost),
    }


def _row(line: UsageLine) -> dict[str, Any]:
    """Return a line with cache writes of both lifetimes together."""
    tokens = line.tokens
    return {
        "requests": line.requests,
        "input": tokens.input,
        "cache_write": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_read": tokens.cache_read,
        "output": tokens.output,
        "cost": _money(line.cost),
    }


def _plain_cache(line: UsageLine) -> dict[str, Any]:
    """Return the hit rate as a number from 0 to 1; `None` if there are no tokens."""
    tokens = line.tokens
    return {
        "requests": line.requests,
        "prompt_tokens": tokens.prompt,
        "cache_write_5m_tokens": tokens.cache_write_5m,
        "cache_write_1h_tokens": tokens.cache_write_1h,
        "cache_read_tokens": tokens.cache_read,
        "hit_rate": None if line.hit_rate is None else round(line.hit_rate, 4),
        "saved_usd": dollars(line.saved),
    }


def _row_cache(line: UsageLine) -> dict[str, Any]:
    tokens = line.tokens
    return {
        "requests": line.requests,
        "prompt": tokens.prompt,
        "written": tokens.cache_write_5m + tokens.cache_write_1h,
        "read": tokens.cache_read,
        "hit_rate": None if line.hit_rate is None else f"{line.hit_rate:.1%}",
        "saved": _money(line.saved),
    }


TOKENS = View(_plain, _row, ("cache_write", "cache_read", "requests"))
CACHE = View(_plain_cache, _row_cache, ("requests", "written", "prompt"))


def _money(nano_dollars: int) -> str:
    return f"{'-' if nano_dollars < 0 else ''}${dollars(abs(nano_dollars))}"


def _total(lines: tuple[UsageLine, ...]) -> UsageLine:
    words = ("in all", *(None for _ in lines[0].dimensions[1:])) if lines else ()
    return UsageLine(
        words,
        sum(line.requests for line in lines),
        sum((line.tokens for line in lines), TokenCounts()),
        sum(line.cost for line in lines),
        sum(line.saved for line in lines),
    )
