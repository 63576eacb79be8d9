"""What was used and what it cost, added up as people ask for it: by day, model, key, workspace."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from antiphon.core.billing.usage import TokenCounts
from antiphon.service.admin.office import Office
from antiphon.store.directory import read_directory
from antiphon.store.reports import ReportQuery, cost_sums, request_sums, usage_sums

Dimension: TypeAlias = Literal["day", "model", "api_key_id", "workspace_id"]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UsedLine:
    """One line: the values that were grouped by, in their order, what was used, and the cost."""

    dimensions: tuple[str | None, ...]
    requests: int
    tokens: TokenCounts
    cost: int


class Used:
    """Adds up the ledger. Requests that are running are not in it."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def lines(
        self,
        span: tuple[datetime, datetime],
        by: Sequence[Dimension],
        only: Mapping[str, Collection[str]],
    ) -> tuple[UsedLine, ...]:
        """Add up what began in this span, for each combination of the dimensions.

        `only` lets through what has one of these values: of `model`, `api_key_id`, `workspace_id`.
        """
        start, end = span
        async with self._office.read() as connection:
            default = (await read_directory(connection)).default_workspace.id
            question = ReportQuery(
                start=start,
                end=end,
                width=_DAY,
                default_workspace=default,
                group_by=[name for name in by if name != "day"],
                filters=only,
            )
            asked = await request_sums(connection, question)
            used = await usage_sums(connection, question)
            spent = await cost_sums(connection, question)

        def place(day: datetime, values: Mapping[str, str | None]) -> tuple[str | None, ...]:
            whole = {"day": day.date().isoformat(), **values}
            if whole.get("workspace_id", default) is None:
                whole["workspace_id"] = default
            return tuple(whole[name] for name in by)

        requests: dict[tuple[str | None, ...], int] = {}
        for line in asked:
            at = place(line.starting_at, line.dimensions)
            requests[at] = requests.get(at, 0) + line.requests
        tokens: dict[tuple[str | None, ...], TokenCounts] = {}
        for one in used:
            at = place(one.starting_at, one.dimensions)
            tokens[at] = tokens.get(at, TokenCounts()) + one.tokens
        costs: dict[tuple[str | None, ...], int] = {}
        for cost in spent:
            at = place(cost.starting_at, cost.dimensions)
            costs[at] = costs.get(at, 0) + cost.costs.total
        # Whatever used or cost something was a request.
        return tuple(
            UsedLine(at, requests[at], tokens.get(at, TokenCounts()), costs.get(at, 0))
            for at in sorted(requests, key=lambda at: tuple(value or "" for value in at))
        )
