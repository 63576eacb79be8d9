"""Adds each finished request to the metrics."""

from antiphon.server.http.exchange import Exchange
from antiphon.service.answer import Answer
from antiphon.service.metrics.requests import RequestMetrics
from antiphon.service.models import Models


class RequestMeter:
    """Reads what an exchange tells at its end: two microseconds for a message."""

    def __init__(self, metrics: RequestMetrics, models: Models) -> None:
        self._metrics = metrics
        self._models = models

    def __call__(self, exchange: Exchange) -> None:
        """Add a request that has ended."""
        metrics, age_s = self._metrics, exchange.age_s()
        metrics.ended(
            exchange.route,
            exchange.scope["method"],
            exchange.status,
            exchange.fields.get("error_type"),
            age_s,
        )
        if exchange.waits.gate_s is not None:
            name = exchange.fields.get("model")
            # The name is shortened for the log; then it is that of no model.
            model = None if name is None else self._models.id_of(name)
            if model is not None:
                metrics.waited(model, exchange.waits)
        answer = exchange.answer
        if isinstance(answer, Answer) and answer.entry is not None:
            metrics.answered(answer.entry)
            metrics.timed(answer.entry, age_s)
        if exchange.refused_by is not None:
            metrics.refused(exchange.refused_by, _workspace_of(exchange))


def _workspace_of(exchange: Exchange) -> str | None:
    """Return the workspace of a request, as bills have it: `None` is the Default workspace."""
    caller = exchange.caller
    return None if caller is None or caller.in_default_workspace else caller.workspace_id
