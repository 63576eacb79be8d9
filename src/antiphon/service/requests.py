"""The request log as far as a caller sees it: its pages, and the explanation of one request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.money import cents, dollars
from antiphon.core.billing.pricing import Price
from antiphon.core.errors import NotFoundError
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.pagination import TokenCursor, not_a_page, place_of_token, token_of_place
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.core.request_records import CacheUse, RequestRecord, record_of_entry
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.admin.workspaces import the_default_workspace
from antiphon.service.desks import Desks
from antiphon.settings import ModelSettings
from antiphon.store.accounts import find_key, list_keys_of
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.ledger import COUNTERS, find_entries
from antiphon.store.organizations import find_user
from antiphon.store.request_log import (
    Place,
    RequestQuery,
    Within,
    find_request,
    list_requests,
)
from antiphon.store.workspaces import default_workspace_id, find_workspace
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.admin.requests import (
    BreakpointInfo,
    CacheUseInfo,
    Named,
    RefusedByInfo,
    RequestCost,
    RequestExplanation,
    RequestInfo,
    RequestLatency,
    RequestUsage,
)
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CacheCreation
from antiphon.wire.money import Money

# Of the numbers of requests, which the database counts in 64 bits.
_MOST_DIGITS = 18
# A nano-dollar for a token is a thousandth of a dollar for a million.
_PER_MILLION = 10**6
_TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "cache_read": "cache_read_input_tokens",
    "output": "output_tokens",
}


class Requests:
    """Lists and explains finished requests.

    Reading needs no other tables than the log, and the ledger for the bill of one request.
    """

    def __init__(self, desks: Desks | AdminTransactions, models: Sequence[ModelSettings]) -> None:
        self._desks = desks
        self._engines = {model.id: tuple(one.engine for one in model.runs_on()) for model in models}

    async def page(
        self,
        cursor: TokenCursor,
        *,
        span: tuple[datetime | None, datetime | None] = (None, None),
        filters: Mapping[str, str | int | None],
        reach: Reach = EVERYTHING,
    ) -> TokenListing:
        """Return a page of what is within reach, the newest request first.

        The keys of `filters` are `store.request_log:FILTERS`; `None` filters nothing. A page may be
        shorter than its limit, or empty, and still have a next one. Raises `InvalidRequestError`
        for a token of another listing.
        """
        after = None if cursor.token is None else _place(cursor.token)
        chosen = {name: value for name, value in filters.items() if value is not None}
        async with self._desks.read() as connection:
            default = await default_workspace_id(connection)
            if chosen.get("workspace_id") == default:
                chosen["workspace_id"] = ""
            within = await _within(connection, reach, default)
            found = await list_requests(
                connection, RequestQuery(cursor.size, after, *span, chosen, within)
            )
        return TokenListing(
            data=tuple(
                RequestInfo(**_shown(record, costs=reach.costs)) for record in found.records
            ),
            next_page=None if found.following is None else _token(found.following),
        )

    async def explain(self, request_id: str, reach: Reach = EVERYTHING) -> RequestExplanation:
        """Explain one request. Raises `NotFoundError`, also for one that is beyond reach.

        A request that is not in the log, as it is switched off or older, is told from the ledger.
        """
        async with self._desks.read() as connection:
            record = await find_request(connection, request_id)
            known = [] if "\0" in request_id else [request_id]
            entry = next(iter(await find_entries(connection, known)), None)
            shown = record_of_entry(entry) if record is None and entry is not None else record
            if shown is None:
                raise _unknown(request_id)
            key_id = shown.api_key_id
            key = await find_key(connection, key_id) if key_id else None
            user_id = shown.account_id
            user = await find_user(connection, user_id) if user_id else None
            workspace = await _workspace(connection, shown)
        owner = shown.account_id if key is None else key.created_by
        if not reach.sees_request(
            None if workspace is None else workspace.id, owner, caller_known=not shown.of_nobody
        ):
            raise _unknown(request_id)
        facts = shown.facts
        by = facts.refused_by
        return RequestExplanation(
            **_shown(shown, costs=reach.costs),
            recorded=record is not None,
            api_key=Named(id=key_id, name=None if key is None else key.name) if key_id else None,
            account=Named(id=user_id, name=None if user is None else user.name)
            if user_id
            else None,
            workspace=workspace,
            engines=self._engines.get(shown.served_model or "", ()),
            engine=shown.engine,
            engine_number=shown.engine_number,
            refused_by=None if by is None else _refused_by(by, costs=reach.costs),
            cache=None if facts.cache is None else _cache(facts.cache),
            costs=() if entry is None or not reach.costs else _costs(entry, facts.price),
        )


async def _within(connection: AsyncConnection, reach: Reach, default: str | None) -> Within | None:
    """Return what a reach is in the request log, where the Default workspace has no id."""
    if reach.workspaces is None:
        return None
    workspaces = frozenset("" if one == default else one for one in reach.workspaces)
    if reach.account is None:
        return Within(workspaces)
    keys = await list_keys_of(connection, reach.account)
    return Within(workspaces, reach.account, frozenset(keys))


def _unknown(request_id: str) -> NotFoundError:
    return NotFoundError(f"request: {shortened(request_id)}")


def _shown(record: RequestRecord, *, costs: bool) -> dict[str, Any]:
    tokens, parked = record.tokens, record.facts.parked
    return {
        "id": record.id,
        "ended_at": _moment(record.ended_at),
        "route": record.route,
        "status": record.status,
        "error_type": record.error_type,
        "api_key_id": record.api_key_id or None,
        "workspace_id": record.workspace_id or None,
        "model": record.model or None,
        "served_model": record.served_model,
        "streamed": record.streamed,
        "batch_id": record.batch_id,
        "account_id": record.account_id,
        "latency": RequestLatency(
            total_ms=record.duration_us / 1000,
            queue_ms=_ms(record.queue_us),
            money_ms=_ms(record.money_us),
            parked_ms=_ms(None if parked is None else parked.total_us),
            prefill_ms=_ms(record.prefill_us),
            decode_ms=_ms(record.decode_us),
        ),
        "usage": RequestUsage(
            input_tokens=tokens.input,
            cache_creation=CacheCreation(
                ephemeral_5m_input_tokens=tokens.cache_write_5m,
                ephemeral_1h_input_tokens=tokens.cache_write_1h,
            ),
            cache_read_input_tokens=tokens.cache_read,
            output_tokens=tokens.output,
            thinking_tokens=tokens.thinking,
        ),
        "cost": Money(amount=cents(record.cost)) if costs else None,
    }


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _moment(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


async def _workspace(connection: AsyncConnection, record: RequestRecord) -> Named | None:
    """Return the workspace of a request; none for one whose caller is unknown."""
    if record.of_nobody:
        return None
    wanted = record.workspace_id
    found = await find_workspace(connection, wanted or await the_default_workspace(connection))
    return Named(id=wanted, name=None) if found is None else Named(id=found.id, name=found.name)


def _refused_by(by: RefusedBy, *, costs: bool) -> RefusedByInfo:
    of_money = by.kind == "spend_limit"
    return RefusedByInfo(
        kind=by.kind,
        limit=(cents(by.limit) if costs else None) if of_money else by.limit,
        scope=by.scope,
        scope_id=by.scope_id,
        type=by.type,
        held=by.held,
        retry_after_ms=by.retry_after_ms,
        buckets=by.buckets,
    )


def _cache(use: CacheUse) -> CacheUseInfo:
    return CacheUseInfo(
        read_tokens=use.read,
        written_tokens=use.written,
        planned_read_tokens=use.planned_read,
        source=("disk" if use.from_disk else "memory") if use.read else None,
        reason=use.reason,
        breakpoints=tuple(
            BreakpointInfo(tokens=one.tokens, ttl=one.ttl, state=one.state)
            for one in use.breakpoints
        ),
    )


def _costs(entry: LedgerEntry, price: Price | None) -> tuple[RequestCost, ...]:
    """Return the lines of a bill; those of batches are at half of the price that is told."""
    card = None if price is None else price.card(entry.tokens.prompt)
    lines = tuple(
        RequestCost(
            token_type=_TOKEN_TYPES[name],
            tokens=tokens,
            dollars_per_million=_rate(card, name),
            amount=cents(getattr(entry.costs, name)),
        )
        for name in COUNTERS
        if (tokens := getattr(entry.tokens, name))
    )
    if not entry.web_searches:
        return lines
    searches = RequestCost(
        token_type="web_search_requests",  # noqa: S106 - no secret
        tokens=entry.web_searches,
        dollars_per_million=None,
        amount=cents(entry.costs.web_search),
    )
    return (*lines, searches)


def _rate(card: Price | None, counter: str) -> str | None:
    return None if card is None else dollars(getattr(card, counter) * _PER_MILLION)


def _token(place: Place) -> str:
    return token_of_place(place.ended_at, str(place.number))


def _place(token: str) -> Place:
    ended_at, number = place_of_token(token)
    if not number.isdecimal() or len(number) > _MOST_DIGITS:
        raise not_a_page()
    return Place(ended_at, int(number))
