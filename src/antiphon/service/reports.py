"""The usage report and the cost report of administrators: sums of the ledger."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Any, Literal, TypeAlias

import msgspec
from anyio import to_thread

from antiphon.core.billing.ledger import recorded_name
from antiphon.core.billing.money import cents
from antiphon.core.billing.reports import (
    Buckets,
    TokenType,
    cost_description,
    wire_time,
)
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.accounts import Accounts
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.admin.workspaces import the_default_workspace
from antiphon.service.desks import Desks
from antiphon.store.reports import (
    TOKEN_MEASURES,
    ReportQuery,
    Sum,
    cost_sums,
    sums,
    usage_sums,
)
from antiphon.wire.admin.reports import (
    CostReport,
    CostResult,
    Report,
    ReportBucket,
    Result,
    ServerToolUse,
    UsageReport,
    UsageResult,
)
from antiphon.wire.messages import CacheCreation

# All requests are answered at one speed, so the ledger has no column for it.
SPEED = "speed"
STANDARD_SPEED = "standard"

# The dimensions in the description of a cost, besides the counter.
_DESCRIBING = ("model", "service_tier", "context_window", "inference_geo")
_COUNTERS: Mapping[str, TokenType] = {
    "input": "uncached_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "cache_read": "cache_read_input_tokens",
    "output": "output_tokens",
}


class Reports:
    """The reports of administrators over the ledger."""

    def __init__(self, desks: Desks, accounts: Accounts) -> None:
        self._desks = desks
        self._accounts = accounts

    async def usage(
        self,
        asked: Buckets,
        group_by: Sequence[str],
        filters: Mapping[str, Collection[str]],
        reach: Reach = EVERYTHING,
    ) -> UsageReport:
        """Sum up the tokens within reach. An empty filter selects all values."""
        columns = within_reach(reach, {name: ids for name, ids in filters.items() if name != SPEED})
        speeds = filters.get(SPEED, ())
        found: list[Sum] = []
        if not speeds or STANDARD_SPEED in speeds:
            query = await self._question(asked, group_by, columns)
            async with self._desks.read() as connection:
                found = await usage_sums(connection, query)
        extra = {SPEED: STANDARD_SPEED} if SPEED in group_by else {}
        return await report_of(
            asked, ((one.starting_at, _usage(one.values, one.dimensions, extra)) for one in found)
        )

    async def costs(
        self, asked: Buckets, group_by: Sequence[str], reach: Reach = EVERYTHING
    ) -> CostReport:
        """Sum up the costs within reach, with a description for each counter of each kind."""
        described = "description" in group_by
        dimensions = [name for name in group_by if name != "description"]
        by = [*dimensions, *(_DESCRIBING if described else ())]
        query = await self._question(asked, by, within_reach(reach, {}))
        async with self._desks.read() as connection:
            found = await cost_sums(connection, query)
        lines = _described if described else _total
        told = ((one.starting_at, line) for one in found for line in lines(one))
        return await report_of(asked, chain(told, _searches(found) if described else ()))

    async def _question(
        self,
        asked: Buckets,
        group_by: Sequence[str],
        filters: Mapping[str, Collection[str]] | None = None,
    ) -> ReportQuery:
        directory = await self._accounts.current()
        return ReportQuery(
            start=asked.start,
            end=asked.end,
            width=asked.width,
            default_workspace=directory.default_workspace.id,
            group_by=[name for name in dict.fromkeys(group_by) if name != SPEED],
            filters=filters,
        )


def within_reach(
    reach: Reach, filters: Mapping[str, Collection[str]]
) -> Mapping[str, Collection[str]]:
    """Return filters that select nothing beyond reach.

    A filter without values selects all; among those that are returned, it selects nothing.
    """
    # The ledger shortens names and replaces unprintable characters, so the filter does too.
    narrowed: dict[str, Collection[str]] = {
        name: {recorded_name(each) for each in ids} for name, ids in filters.items() if ids
    }
    if reach.workspaces is not None:
        narrowed["workspace_id"] = reach.seen_of(frozenset(narrowed.get("workspace_id", ())))
    if reach.account is not None:
        asked = narrowed.get("account_id", {reach.account})
        narrowed["account_id"] = {reach.account}.intersection(asked)
    return narrowed


async def report_of(asked: Buckets, lines: Iterable[tuple[datetime, Result]]) -> Report[Result]:
    """Return a report with each line in its bucket; in a thread, as the lines are many."""
    return await to_thread.run_sync(_sorted, asked, lines)


def _sorted(asked: Buckets, lines: Iterable[tuple[datetime, Result]]) -> Report[Result]:
    results: defaultdict[datetime, list[Result]] = defaultdict(list)
    for start, line in lines:
        results[start].append(line)
    # Each bucket begins where the one before ends.
    times = pairwise([wire_time(start) for start, _ in asked] + [wire_time(asked.end)])
    return Report(
        data=tuple(
            ReportBucket(
                starting_at=start_time, ending_at=end_time, results=tuple(results.get(start, ()))
            )
            for (start, _), (start_time, end_time) in zip(asked, times, strict=True)
        ),
        has_more=asked.next_page is not None,
        next_page=asked.next_page,
    )


def _usage(
    tokens: Mapping[str, int], dimensions: Mapping[str, Any], extra: Mapping[str, Any]
) -> UsageResult:
    return UsageResult(
        uncached_input_tokens=tokens["input_tokens"],
        cache_read_input_tokens=tokens["cache_read_tokens"],
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=tokens["cache_write_5m_tokens"],
            ephemeral_1h_input_tokens=tokens["cache_write_1h_tokens"],
        ),
        output_tokens=tokens["output_tokens"],
        server_tool_use=ServerToolUse(web_search_requests=tokens["web_searches"]),
        **dimensions,
        **extra,
    )


def _total(one: Sum) -> Iterator[CostResult]:
    yield CostResult(amount=cents(one.costs.total), workspace_id=one.dimensions.get("workspace_id"))


def _described(one: Sum) -> Iterator[CostResult]:
    about: Mapping[str, Any] = one.dimensions
    for counter, token_type in _COUNTERS.items():
        if amount := getattr(one.costs, counter):
            yield CostResult(
                amount=cents(amount),
                description=cost_description(
                    about["model"],
                    token_type,
                    about["service_tier"],
                    about["context_window"],
                    about["inference_geo"],
                ),
                cost_type="tokens",
                token_type=token_type,
                **about,
            )


def _searches(found: Iterable[Sum]) -> Iterator[tuple[datetime, CostResult]]:
    """Yield a line for the searches of the web of each bucket and workspace, of all models."""
    costs: Counter[tuple[datetime, str | None]] = Counter()
    for one in found:
        costs[one.starting_at, one.dimensions.get("workspace_id")] += one.costs.web_search
    for (start, workspace_id), amount in costs.items():
        if amount:
            yield (
                start,
                CostResult(
                    amount=cents(amount),
                    workspace_id=workspace_id,
                    description="Web Search Usage",
                    cost_type="web_search",
                ),
            )


Dimension: TypeAlias = Literal["day", "model", "api_key_id", "workspace_id", "service_tier"]
Group: TypeAlias = tuple[str | None, ...]

_DAY = timedelta(days=1)
_OF_LINES = ("requests", "cost", "saved")


class UsageLine(msgspec.Struct, frozen=True):
    """One line: the values of its group, in their order, the tokens used, and the cost.

    `saved` is what the prompt cache has saved, in nano-dollars; it is negative where writes have
    cost more than reads have saved.
    """

    dimensions: Group
    requests: int
    tokens: TokenCounts
    cost: int
    saved: int = 0

    @property
    def hit_rate(self) -> float | None:
        """The share of the prompts' tokens that was read from the cache."""
        prompt = self.tokens.prompt
        return self.tokens.cache_read / prompt if prompt else None


class UsageSummary:
    """Adds up what the ledger holds, in which are no running requests."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def lines(
        self,
        span: tuple[datetime, datetime],
        by: Sequence[Dimension],
        only: Mapping[str, Collection[str]],
    ) -> tuple[UsageLine, ...]:
        """Add up the requests of a time span, for each combination of the dimensions.

        `only` filters by the values of `model`, `api_key_id` and `workspace_id`.
        """
        start, end = span
        async with self._transactions.read() as connection:
            default = await the_default_workspace(connection)
            query = ReportQuery(
                start=start,
                end=end,
                width=_DAY,
                default_workspace=default,
                group_by=[name for name in by if name != "day"],
                filters=only,
            )
            found = await sums(connection, query, (*TOKEN_MEASURES, *_OF_LINES))

        def line_key(one: Sum) -> Group:
            whole = {"day": one.starting_at.date().isoformat(), **one.dimensions}
            if whole.get("workspace_id", default) is None:
                whole["workspace_id"] = default
            return tuple(whole[name] for name in by)

        values: defaultdict[Group, Counter[str]] = defaultdict(Counter)
        tokens: defaultdict[Group, TokenCounts] = defaultdict(TokenCounts)
        for one in found:
            at = line_key(one)
            tokens[at] += one.tokens
            for name in _OF_LINES:
                values[at][name] += one.values[name]
        return tuple(
            UsageLine(at, tokens=tokens[at], **{name: values[at][name] for name in _OF_LINES})
            for at in sorted(values, key=lambda at: tuple(value or "" for value in at))
        )
