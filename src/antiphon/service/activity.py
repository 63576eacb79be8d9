"""The activity: requests, errors, tokens, money and first-token times in buckets, from roll-ups."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from antiphon.core.billing.money import cents
from antiphon.core.billing.reports import Buckets
from antiphon.core.billing.rollups import percentile
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.accounts import Accounts
from antiphon.service.desks import Desks
from antiphon.service.reports import report_of, within_reach
from antiphon.store.reports import TOKEN_MEASURES, ReportQuery, Sum, refusal_sums, sums
from antiphon.store.rollups import FIRST_TOKENS
from antiphon.wire.admin.requests import ActivityReport, ActivityResult, FirstTokenTimes
from antiphon.wire.money import Money

_ERROR = "error_type"
_MEASURES = (
    *("requests", "cost", "saved", "first_tokens", "first_token_us"),
    *TOKEN_MEASURES,
    *FIRST_TOKENS,
)
# The bucket's start, and the values of its dimensions.
_Place = tuple[datetime, tuple[str | None, ...]]


class Activity:
    """What happened, in buckets of time."""

    def __init__(self, desks: Desks, accounts: Accounts) -> None:
        self._desks = desks
        self._accounts = accounts

    async def report(
        self,
        asked: Buckets,
        group_by: Sequence[str],
        filters: Mapping[str, Collection[str]],
        reach: Reach = EVERYTHING,
    ) -> ActivityReport:
        """Return the activity within reach. `group_by` and `filters` are of key, workspace, model.

        Refused requests of minutes that are older than their roll-ups are not in it. Whose they
        were is not counted, so a reach of one account's own use has none.
        """
        names = tuple(dict.fromkeys(group_by))
        query = ReportQuery(
            start=asked.start,
            end=asked.end,
            width=asked.width,
            default_workspace=(await self._accounts.current()).default_workspace.id,
            group_by=names,
            filters=within_reach(reach, filters),
        )
        # Apart from the sums, because few combinations have errors.
        of_errors = replace(query, group_by=(*names, _ERROR), failed=True)
        async with self._desks.read() as connection:
            admitted = await sums(connection, query, _MEASURES)
            failed = await sums(connection, of_errors, ("requests",))
            refused = (
                await refusal_sums(connection, of_errors, of_known=reach.workspaces is not None)
                if reach.account is None
                else ()
            )
        lines: defaultdict[_Place, _Line] = defaultdict(lambda: _Line(costs=reach.costs))
        total = _Line(costs=reach.costs)
        for one in admitted:
            for line in (lines[_place(one, names)], total):
                line.add(one)
        for one in failed:
            for line in (lines[_place(one, names)], total):
                line.add_failed(one)
        for one in refused:
            for line in (lines[_place(one, names)], total):
                line.add_refused(one)
        ordered = sorted(lines.items(), key=lambda line: (line[0][0], *map(str, line[0][1])))
        report = await report_of(
            asked,
            (
                (start, line.result(dict(zip(names, values, strict=True))))
                for (start, values), line in ordered
            ),
        )
        return ActivityReport(
            data=report.data,
            has_more=report.has_more,
            next_page=report.next_page,
            total=total.result({}),
        )


def _place(one: Sum, names: Sequence[str]) -> _Place:
    return one.starting_at, tuple(one.dimensions[name] for name in names)


class _Line:
    """The sums of one bucket and group, over all types of errors."""

    def __init__(self, *, costs: bool) -> None:
        self._costs = costs
        self._sums: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._refused = 0

    def add(self, one: Sum) -> None:
        self._sums.update(one.values)

    def add_failed(self, one: Sum) -> None:
        self._errors[str(one.dimensions[_ERROR])] += one.values["requests"]

    def add_refused(self, one: Sum) -> None:
        self._refused += one.values["requests"]
        self.add_failed(one)

    def result(self, dimensions: Mapping[str, Any]) -> ActivityResult:
        found = self._sums
        written = found["cache_write_5m_tokens"] + found["cache_write_1h_tokens"]
        read = found["cache_read_tokens"]
        prompt = found["input_tokens"] + written + read
        return ActivityResult(
            requests=found["requests"] + self._refused,
            refused=self._refused,
            errors=dict(sorted(self._errors.items())),
            uncached_input_tokens=found["input_tokens"],
            cache_creation_input_tokens=written,
            cache_read_input_tokens=read,
            output_tokens=found["output_tokens"],
            cache_read_share=round(read / prompt, 4) if prompt else None,
            cost=Money(amount=cents(found["cost"])) if self._costs else None,
            saved=Money(amount=cents(found["saved"])) if self._costs else None,
            first_token=self._first_token(),
            **dimensions,
        )

    def _first_token(self) -> FirstTokenTimes | None:
        counts = [self._sums[name] for name in FIRST_TOKENS]
        median, late = percentile(counts, 0.5), percentile(counts, 0.95)
        if median is None or late is None:
            return None
        mean = self._sums["first_token_us"] / self._sums["first_tokens"] / 1000
        return FirstTokenTimes(mean_ms=round(mean), p50_ms=median, p95_ms=late)
