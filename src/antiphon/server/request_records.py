"""Hands each finished request of an API key to the request log."""

from antiphon.core.billing.ledger import recorded_name
from antiphon.core.request_records import (
    NO_FACTS,
    RequestFacts,
    RequestRecord,
    microseconds,
    phases,
)
from antiphon.server.http.exchange import Exchange
from antiphon.service.answer import Answer
from antiphon.service.platform import Platform

_GONE = 499
"""The status of a request whose caller hung up before there was one; nobody is sent it."""


class RequestRecorder:
    """Makes the record of a request from its exchange. Others than those of API keys have none."""

    def __init__(self, platform: Platform) -> None:
        self._log = platform.request_log
        self._models = platform.models
        self._now = platform.now

    def __call__(self, exchange: Exchange) -> None:
        """Record a request that has ended."""
        if not exchange.recorded:
            return
        answer = exchange.answer
        if isinstance(answer, Answer) and answer.entry is not None:
            self._log.add(self._admitted(exchange, answer))
        else:
            self._log.add(self._other(exchange))

    def _admitted(self, exchange: Exchange, answer: Answer) -> RequestRecord:
        entry = answer.entry
        assert entry is not None  # noqa: S101 - for the type checker
        prefill, decode = phases(entry)
        return RequestRecord(
            id=entry.id,
            ended_at=entry.ended_at,
            route=exchange.route or "",
            status=exchange.status or _GONE,
            error_type=exchange.fields.get("error_type"),
            api_key_id=entry.api_key_id or "",
            workspace_id=entry.workspace_id or "",
            model=entry.model,
            served_model=entry.served_model,
            streamed=exchange.streaming,
            duration_us=microseconds(exchange.age_ms() / 1000),
            queue_us=microseconds(answer.waited_s),
            prefill_us=prefill,
            decode_us=decode,
            tokens=entry.tokens,
            cost=entry.costs.total,
            facts=answer.facts,
        )

    def _other(self, exchange: Exchange) -> RequestRecord:
        """Return the record of a request that was refused, or has no answer of a model."""
        caller, refused_by = exchange.caller, exchange.refused_by
        workspace = ""
        if caller is not None and not caller.in_default_workspace:
            workspace = caller.workspace_id or ""
        return RequestRecord(
            id=exchange.request_id,
            ended_at=self._now(),
            route=exchange.route or "",
            status=exchange.status or _GONE,
            error_type=exchange.fields.get("error_type"),
            api_key_id="" if caller is None else caller.key_id,
            workspace_id=workspace,
            model=self._known(exchange.fields.get("model")),
            duration_us=microseconds(exchange.age_ms() / 1000),
            facts=NO_FACTS if refused_by is None else RequestFacts(refused_by=refused_by),
        )

    def _known(self, model: str | None) -> str:
        """Return the name of a model that is served; others are a caller's text."""
        return recorded_name(model) if model is not None and self._models.serves(model) else ""
