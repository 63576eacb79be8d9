"""`antiphon requests`: finished requests, and why one of them went as it did."""

import argparse
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.amounts import cents_as_dollars, rate_name, spend_name
from antiphon.cli.command import CommandError, actions_of, add_command
from antiphon.cli.listing_flags import add_limit
from antiphon.cli.output import say, say_json
from antiphon.cli.tables import TableForm, print_listing
from antiphon.cli.times import DurationOrTime, duration_or_time, moment_before
from antiphon.core.errors import NotFoundError
from antiphon.core.pagination import TokenCursor
from antiphon.settings import Settings
from antiphon.wire.admin.limits import BucketInfo
from antiphon.wire.admin.requests import (
    CacheUseInfo,
    RefusedByInfo,
    RequestExplanation,
    RequestInfo,
)
from antiphon.wire.errors import shortened

MOST = 1000
STATUSES = {"ok": 2, "refused": 4, "failed": 5}


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    listing = add_command(actions, "list", _list, "list finished requests, the newest first")
    add_limit(listing, MOST, "how many requests")
    listing.add_argument(
        "--since",
        type=duration_or_time,
        metavar="WHEN",
        help="only what ended since so long ago, or since this day or time: 24h, 2026-11-01; "
        "UTC without a zone",
    )
    listing.add_argument("--key", metavar="NAME", help="only what this key asked")
    listing.add_argument("--workspace", metavar="NAME", help="only what this workspace asked")
    listing.add_argument("--model", metavar="NAME", help="only what was asked of this model")
    listing.add_argument("--error", metavar="TYPE", help="only errors of a type: rate_limit_error")
    listing.add_argument(
        "--status",
        choices=tuple(STATUSES),
        metavar="STATUS",
        help="ok; refused: 400 to 499; failed: 500 and more",
    )
    show = add_command(actions, "show", _show, "explain one request")
    show.add_argument("id", metavar="ID", help="the request-id of its answer")


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[list[RequestInfo], Mapping[str, str]]:
        filters = await _filters(session, arguments)
        given: DurationOrTime | None = arguments.since
        since = None if given is None else moment_before("--since", given, session.now)
        span = (since, session.now + timedelta(days=1))
        found: list[RequestInfo] = []
        token = None
        # A page may be shorter than it could be.
        while len(found) < arguments.limit:
            page = await session.requests.page(
                TokenCursor(arguments.limit - len(found), token), span=span, filters=filters
            )
            found += page.data
            token = page.next_page
            if token is None:
                break
        return found, await session.names()

    requests, names = open_session(settings, read)
    form = TableForm(
        empty="There are no such requests in the request log.",
        texts=("key", "model"),
        least_useful=("tokens_in", "tokens_out", "first_token", "key", "when"),
    )
    return print_listing(arguments, requests, lambda one: _row(one, names), form)


async def _filters(
    session: AdminSession, arguments: argparse.Namespace
) -> dict[str, str | int | None]:
    key, workspace = arguments.key, arguments.workspace
    return {
        "error_type": arguments.error,
        "model": arguments.model,
        "status_class": STATUSES.get(arguments.status),
        "api_key_id": None if key is None else (await session.key(key)).id,
        "workspace_id": None if workspace is None else (await session.workspace(workspace)).id,
    }


def _row(request: RequestInfo, names: Mapping[str, str]) -> dict[str, Any]:
    key, usage = request.api_key_id, request.usage
    return {
        "when": f"{request.ended_at[:10]} {request.ended_at[11:19]}",
        "status": request.error_type or str(request.status),
        "key": None if key is None else names.get(key, key).removeprefix("key "),
        "model": request.model,
        "took": _ms(request.latency.total_ms),
        "first_token": _ms(request.latency.prefill_ms),
        "tokens_in": usage.input_tokens
        + usage.cache_read_input_tokens
        + usage.cache_creation.ephemeral_5m_input_tokens
        + usage.cache_creation.ephemeral_1h_input_tokens,
        "tokens_out": usage.output_tokens,
        "cost": None if request.cost is None else cents_as_dollars(request.cost.amount),
        "id": request.id,
    }


def _ms(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds:,.0f} ms"


def _show(arguments: argparse.Namespace, settings: Settings) -> int:
    async def explain(session: AdminSession) -> RequestExplanation:
        try:
            return await session.requests.explain(arguments.id)
        except NotFoundError as error:
            raise CommandError(
                f"there is no request {shortened(arguments.id)!r} in the request log, nor in the "
                "ledger; a server writes them about a second after their ends"
            ) from error

    found = open_session(settings, explain)
    if arguments.json:
        say_json(found)
        return 0
    lines = list(_lines(found))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        say(f"{name.ljust(width)}  {text}".rstrip())
    return 0


def _lines(one: RequestExplanation) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a request: a name and a sentence for each line."""
    yield "request", f"{one.id}, ended {one.ended_at[:10]} {one.ended_at[11:19]} UTC"
    yield "status", f"{one.status}{f' {one.error_type}' if one.error_type else ''}"
    if not one.recorded:
        yield "", "told from the ledger: it is not in the request log"
    yield from _caller(one)
    yield from _model(one)
    yield "time", ", ".join(_times(one))
    if one.batch_id is not None:
        yield "batch", one.batch_id
    if one.refused_by is not None:
        yield from _refused(one.refused_by)
    if one.cache is not None:
        yield from _cache(one.cache)
    for line in one.costs:
        price = "" if line.dollars_per_million is None else f" at ${line.dollars_per_million}/M"
        what = f"{line.tokens:,} {_TOKENS[line.token_type]}"
        yield "cost", f"{cents_as_dollars(line.amount)} for {what}{price}"
    if one.costs and one.cost is not None:
        yield "", f"{cents_as_dollars(one.cost.amount)} in all"


def _caller(one: RequestExplanation) -> Iterator[tuple[str, str]]:
    key, workspace, user = one.api_key, one.workspace, one.account
    if user is not None:
        yield "key", f"none: {user.name or 'removed'} ({user.id}) in the Console"
    elif key is not None:
        yield "key", f"{key.name or 'removed'} ({key.id})"
    else:
        batch = one.batch_id is not None
        yield "key", "none: the batch was created at the command line" if batch else "unknown"
    if workspace is not None:
        yield "workspace", f"{workspace.name or 'removed'} ({workspace.id})"


def _model(one: RequestExplanation) -> Iterator[tuple[str, str]]:
    if one.model is not None:
        by = f", answered by {one.served_model}" if one.served_model else ""
        yield "model", f"{one.model}{by}"
    if one.engine is not None:
        # The settings may have others by now.
        of = f" of {len(one.engines)}" if len(one.engines) >= (one.engine_number or 0) else ""
        place = f", number {one.engine_number}{of}" if one.engine_number else ""
        yield "engine", f"{one.engine}{place}"
    elif one.engines:
        yield "engine", f"not recorded; the model has {', '.join(one.engines)}"


def _times(one: RequestExplanation) -> Iterator[str]:
    latency = one.latency
    yield f"{latency.total_ms:,.0f} ms in all"
    parts = (
        (latency.queue_ms, "waiting for the model"),
        (latency.money_ms, "waiting for money that running requests held"),
        (latency.parked_ms, "standing still for interactive requests"),
        (latency.prefill_ms, "to the first token"),
        (latency.decode_ms, "from there to the end"),
    )
    for milliseconds, what in parts:
        if milliseconds is not None:
            yield f"{milliseconds:,.0f} ms {what}"


def _refused(by: RefusedByInfo) -> Iterator[tuple[str, str]]:
    match by.kind:
        case "rate_limit":
            name = rate_name(by.type or "", "")
            yield "refused by", f"{by.limit:,} {name} of {by.scope} {by.scope_id}"
            for bucket in by.buckets:
                yield "", _level(bucket)
        case "spend_limit":
            held = "; the rest is held for requests that were running" if by.held else ""
            amount = cents_as_dollars(str(by.limit))
            yield (
                "refused by",
                f"{amount} {spend_name(by.type or '')} of {by.scope} {by.scope_id}{held}",
            )
        case _:
            yield "refused by", f"a full queue: {by.limit} requests were waiting for the model"


def _level(bucket: BucketInfo) -> str:
    name = rate_name(bucket.type, "")
    return (
        f"{bucket.remaining:,} of {bucket.limit:,} {name} were left of {bucket.scope} "
        f"{bucket.scope_id}, all in {bucket.full_in_ms / 1000:.0f} s"
    )


def _cache(use: CacheUseInfo) -> Iterator[tuple[str, str]]:
    source = f" from {use.source}" if use.source else ""
    reason = f"; not more: {use.reason}" if use.reason else ""
    read = f"{use.read_tokens:,} tokens read{source} of {use.planned_read_tokens:,} planned"
    yield "cache", f"{read}, {use.written_tokens:,} written{reason}"
    for point in use.breakpoints:
        yield "", f"breakpoint after {point.tokens:,} tokens ({point.ttl}): {_STATES[point.state]}"


_TOKENS: Mapping[str, str] = {
    "uncached_input_tokens": "input tokens",
    "cache_creation.ephemeral_5m_input_tokens": "tokens kept for 5 minutes",
    "cache_creation.ephemeral_1h_input_tokens": "tokens kept for an hour",
    "cache_read_input_tokens": "tokens read from the prompt cache",
    "output_tokens": "output tokens",
    "web_search_requests": "searches of the web",
}
_STATES: Mapping[str, str] = {
    "read": "read",
    "written": "written",
    "kept_none": "not kept by the engine",
}
