"""What metrics and traces add to a message, in microseconds of one core, and what a reading takes.

A message's end is made once, with its bill, and added again and again. Beside it the same sums and
distributions in `prometheus_client`, if that is installed: what the library would take. A reading
is of a server with 20 routes and 5 models that were used.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.pricing import Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.metrics.exposition import written
from antiphon.core.metrics.families import Family
from antiphon.server.http.exchange import Exchange
from antiphon.server.request_metrics import RequestMeter
from antiphon.server.traces import RequestTracer
from antiphon.service.answer import Answer
from antiphon.service.metrics import catalogue
from antiphon.service.metrics.requests import RequestMetrics
from benchmarks.report import Figure, Goal, command, finish

CALLS = 20_000
QUICK = 1_000
ROUNDS = 5
BUDGET_US = 5.0
_US = 1_000_000
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def an_entry(model: str = "small") -> LedgerEntry:
    """Return the bill of a message that used all kinds of tokens."""
    price = Price(
        input=3000, output=15000, cache_read=300, cache_write_5m=3750, cache_write_1h=6000
    )
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model=model, price=price)
    closing = Closing(
        tokens=TokenCounts(input=10, cache_write_5m=3, cache_read=100, output=70, thinking=4),
        outcome=Outcome.COMPLETED,
        ended_at=NOON + timedelta(seconds=4),
        first_token_at=NOON + timedelta(seconds=1),
    )
    return entry_of(opening, closing)


async def _nothing(*_: object) -> Any:
    """Take the place of a connection."""


def an_exchange(entry: LedgerEntry) -> Exchange:
    """Return a message's exchange at its end."""
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    exchange = Exchange(scope, _nothing, _nothing, "req_1")
    exchange.route, exchange.status = "/v1/messages", 200
    exchange.fields["model"] = "claude-local"
    exchange.waits.gate_s = 0.001
    answer = Answer.__new__(Answer)
    answer.entry = entry
    answer._spec = cast("Any", SimpleNamespace(message_id="msg_1"))  # noqa: SLF001 - it is made up
    exchange.answer = answer
    return exchange


def timed(calls: int, work: Callable[[], object]) -> tuple[float, ...]:
    """Return the microseconds of one call, for each round."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            work()
        rounds.append((time.process_time() - began) / calls * _US)
    return tuple(rounds)


def of_the_library(entry: LedgerEntry) -> Callable[[], None] | None:
    """Return what adds a message to the same metrics of `prometheus_client`, or `None`."""
    try:
        import prometheus_client  # noqa: PLC0415 - of the tests
    except ImportError:
        return None
    registry = prometheus_client.CollectorRegistry()

    def made(family: Family) -> Any:
        kinds = {"counter": prometheus_client.Counter, "histogram": prometheus_client.Histogram}
        more = {"buckets": family.bounds} if family.bounds else {}
        kind = cast("Any", kinds[family.kind.value])
        return kind(family.name, family.text, family.labels, registry=registry, **more)

    requests, duration = made(catalogue.REQUESTS), made(catalogue.DURATION)
    answers, tokens = made(catalogue.ANSWERS), made(catalogue.TOKENS)
    thinking, cost = made(catalogue.THINKING_TOKENS), made(catalogue.COST)
    first, between, queue = (
        made(one) for one in (catalogue.FIRST_TOKEN, catalogue.BETWEEN_TOKENS, catalogue.QUEUE)
    )
    counts = ("input", "cache_read", "cache_write_5m", "output")

    def add() -> None:
        of = (entry.served_model, entry.service_tier, "")
        requests.labels("/v1/messages", "POST", "200", "").inc()
        duration.labels("/v1/messages").observe(4.0)
        answers.labels(*of, entry.outcome.value).inc()
        for name in counts:
            tokens.labels(*of, name).inc(getattr(entry.tokens, name))
        thinking.labels(*of).inc(entry.tokens.thinking)
        cost.labels(*of).inc(entry.costs.total / 1e9)
        first.labels(entry.served_model).observe(1.0)
        between.labels(entry.served_model).observe(0.04)
        queue.labels(entry.served_model).observe(0.001)

    return add


def of_traces(exchange: Exchange) -> Callable[[], None] | None:
    """Return what makes the spans of a message, and drops them; `None` without the extra."""
    try:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    tracer = RequestTracer(TracerProvider(shutdown_on_exit=False), gen_ai=True)
    return lambda: tracer(exchange)


def measure(calls: int = CALLS) -> list[Figure]:
    """Measure adding, and reading."""
    metrics = RequestMetrics(by_workspace=True)
    entry = an_entry()
    exchange = an_exchange(entry)
    models = cast("Any", SimpleNamespace(id_of=lambda _: "small"))
    meter = RequestMeter(metrics, models)
    ours = timed(calls, lambda: meter(exchange))
    figures = [Figure("a message, added to the metrics", "µs", ours, Goal(most=BUDGET_US))]
    if (add := of_the_library(entry)) is not None:
        figures.append(Figure("the same with prometheus_client", "µs", timed(calls, add)))
    if (trace := of_traces(exchange)) is not None:
        spans = timed(max(1, calls // 10), trace)
        figures.append(Figure("both spans of a message, not sent", "µs", spans))
    for number in range(20):
        metrics.ended(f"/v1/{number}", "GET", 200, None, 0.01)
    for number in range(5):
        metrics.answered(an_entry(f"model-{number}"))
        metrics.timed(an_entry(f"model-{number}"), 5.0)
    readings = timed(max(1, calls // 200), lambda: written(metrics.readings()))
    figures.append(Figure("a reading of what requests added", "µs", readings))
    return figures


def main() -> None:
    """Measure, print, keep."""
    options = command(__doc__).parse_args()
    finish(measure(QUICK if options.quick else CALLS), options)


if __name__ == "__main__":
    main()
