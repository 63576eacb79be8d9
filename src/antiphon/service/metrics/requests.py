"""What ended requests add to the metrics of this process."""

from typing import Final, TypeAlias

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.metrics.families import Counter, Histogram, Labels, Reading
from antiphon.service.limits.waits import Waits
from antiphon.service.metrics.catalogue import (
    ANSWERS,
    BETWEEN_TOKENS,
    COST,
    DURATION,
    FIRST_TOKEN,
    MONEY_WAIT,
    QUEUE,
    REFUSED,
    REQUESTS,
    THINKING_TOKENS,
    TOKENS,
)

DEFAULT_WORKSPACE: Final = "default"
"""The label of the Default workspace, which has no id in bills."""
OTHER_WORKSPACES: Final = "other"
"""The label of all workspaces beyond the first `MOST_WORKSPACES` that had an answer."""
MOST_WORKSPACES: Final = 200
GONE: Final = 499
"""The status of a request whose caller hung up before there was one."""

_NANO: Final = 1_000_000_000
_TYPES: Final = tuple(name for name in TokenCounts.__struct_fields__ if name != "thinking")

_Answered: TypeAlias = tuple[str, str, str]


class RequestMetrics:
    """Sums and distributions over ended requests.

    With `by_workspace` answers and refusals are told apart by workspace; else that label is empty.
    """

    def __init__(self, *, by_workspace: bool = False) -> None:
        self._by_workspace = by_workspace
        self._workspaces: set[str] = set()
        self._requests = Counter(REQUESTS)
        self._duration = Histogram(DURATION)
        self._refused = Counter(REFUSED)
        self._first_token = Histogram(FIRST_TOKEN)
        self._between = Histogram(BETWEEN_TOKENS)
        self._queue = Histogram(QUEUE)
        self._money = Histogram(MONEY_WAIT)
        self._sums: dict[_Answered, _Sums] = {}

    def ended(
        self, route: str | None, method: str, status: int, error_type: str | None, duration_s: float
    ) -> None:
        """Add a request of any kind. Without a route its method is a caller's text."""
        route, method = (route, method) if route else ("", "")
        labels = (route, method, str(status or GONE), error_type or "")
        self._requests.add(labels)
        self._duration.observe((route,), duration_s)

    def waited(self, model: str, waits: Waits) -> None:
        """Add what a message for a served model has waited for, however it ended."""
        if waits.gate_s is not None:
            self._queue.observe((model,), waits.gate_s)
        if waits.money_s is not None:
            self._money.observe((model,), waits.money_s)

    def refused(self, by: RefusedBy, workspace_id: str | None) -> None:
        """Add a request that a limit refused."""
        scope = "" if by.scope is None else by.scope.value
        self._refused.add((by.kind, by.type or "", scope, self._workspace(workspace_id)))

    def answered(self, entry: LedgerEntry) -> None:
        """Add the bill of an answer, of an interactive request or of one of a batch."""
        labels = entry.served_model, entry.service_tier, self._workspace(entry.workspace_id)
        sums = self._sums.get(labels)
        if sums is None:
            sums = self._sums[labels] = _Sums()
        sums.add(entry)

    def timed(self, entry: LedgerEntry, age_s: float) -> None:
        """Add the times of an answer whose request is so old, just after the end of its bill."""
        if entry.first_token_at is None:
            return
        decode_s = (entry.ended_at - entry.first_token_at).total_seconds()
        labels = (entry.served_model,)
        # Clocks go back sometimes.
        self._first_token.observe(labels, max(0.0, age_s - decode_s))
        if entry.outcome is Outcome.COMPLETED and entry.tokens.output > 1:
            self._between.observe(labels, max(0.0, decode_s / (entry.tokens.output - 1)))

    def readings(self) -> tuple[Reading, ...]:
        """Return all of them as they are now."""
        return (
            self._requests.reading(),
            self._duration.reading(),
            self._refused.reading(),
            *self._answers(),
            self._first_token.reading(),
            self._between.reading(),
            self._queue.reading(),
            self._money.reading(),
        )

    def _workspace(self, workspace_id: str | None) -> str:
        if not self._by_workspace:
            return ""
        workspace = workspace_id or DEFAULT_WORKSPACE
        if workspace not in self._workspaces:
            if len(self._workspaces) >= MOST_WORKSPACES:
                return OTHER_WORKSPACES
            self._workspaces.add(workspace)
        return workspace

    def _answers(self) -> tuple[Reading, ...]:
        answers, tokens = dict[Labels, int](), dict[Labels, int]()
        thinking, cost = dict[Labels, int](), dict[Labels, float]()
        for labels, sums in self._sums.items():
            for outcome, number in sums.outcomes.items():
                answers[(*labels, outcome.value)] = number
            for name, number in zip(_TYPES, sums.tokens, strict=True):
                tokens[(*labels, name)] = number
            thinking[labels] = sums.thinking
            cost[labels] = sums.cost / _NANO
        return (
            Reading(ANSWERS, answers),
            Reading(TOKENS, tokens),
            Reading(THINKING_TOKENS, thinking),
            Reading(COST, cost),
        )


class _Sums:
    """The sums of answers with the same labels; `cost` is in nano-dollars."""

    __slots__ = (
        "cache_read", "cache_write_1h", "cache_write_5m", "cost", "input", "outcomes", "output",
        "thinking",
    )  # fmt: skip

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.input = self.output = self.thinking = self.cost = 0
        self.cache_read = self.cache_write_5m = self.cache_write_1h = 0

    def add(self, entry: LedgerEntry) -> None:
        tokens = entry.tokens
        self.outcomes[entry.outcome] += 1
        self.input += tokens.input
        self.cache_read += tokens.cache_read
        self.cache_write_5m += tokens.cache_write_5m
        self.cache_write_1h += tokens.cache_write_1h
        self.output += tokens.output
        self.thinking += tokens.thinking
        self.cost += entry.costs.total

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in _TYPES)
