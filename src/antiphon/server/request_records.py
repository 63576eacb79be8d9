"""Hands each finished request of an API key to the request log."""

from antiphon.core.billing.ledger import recorded_name
from antiphon.core.request_records import (
    NO_FACTS,
    RequestFacts,
    RequestRecord,
    engine_that_answered,
    microseconds,
    phases,
)
from antiphon.server.http.exchange import Exchange
from antiphon.service.answer import Answer
from antiphon.service.platform import Platform

_DONE = 200
_GONE = 499
"""The status of a request whose caller hung up before there was one; nobody is sent it."""


class RequestRecorder:
    """Makes the record of a request from its exchange. Those of administration have none."""

    def __init__(self, platform: Platform) -> None:
        self._log = platform.request_log
        self._models = platform.models
        self._now = platform.now
        self._engines = {
            model.id: [one.engine for one in model.settings.runs_on()]
            for model in platform.models.known
        }

    def __call__(self, exchange: Exchange) -> None:
        """Record a request that has ended."""
        if not exchange.recorded or _looked_at(exchange):
            return
        answer = exchange.answer
        if isinstance(answer, Answer) and answer.entry is not None:
            self._log.add(self._admitted(exchange, answer))
        else:
            self._log.add(self._other(exchange))

    def _admitted(self, exchange: Exchange, answer: Answer) -> RequestRecord:
        entry = answer.entry
        assert entry is not None  # noqa: S101 - for the type checker
        waits = exchange.waits
        prefill, decode = phases(entry)
        engine, number = engine_that_answered(self._engines[answer.model], answer.engine_number)
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
            duration_us=microseconds(exchange.age_s()),
            queue_us=_microseconds(waits.gate_s),
            money_us=_microseconds(waits.money_s),
            prefill_us=prefill,
            decode_us=decode,
            tokens=entry.tokens,
            cost=entry.costs.total,
            engine=engine,
            engine_number=number,
            account_id=None if entry.api_key_id else entry.account_id,
            facts=answer.facts,
        )

    def _other(self, exchange: Exchange) -> RequestRecord:
        """Return the record of a request that was refused, or has no answer of a model."""
        caller, refused_by, waits = exchange.caller, exchange.refused_by, exchange.waits
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
            duration_us=microseconds(exchange.age_s()),
            queue_us=_microseconds(waits.gate_s),
            money_us=_microseconds(waits.money_s),
            account_id=None if caller is None or caller.key_id else caller.key.created_by,
            facts=NO_FACTS if refused_by is None else RequestFacts(refused_by=refused_by),
        )

    def _known(self, model: str | None) -> str:
        """Return the name of a model that is served; others are a caller's text."""
        return recorded_name(model) if model is not None and self._models.serves(model) else ""


def _looked_at(exchange: Exchange) -> bool:
    """Return whether a page of the Console has read models or batches, as they do all the time."""
    caller = exchange.caller
    by_user = caller is not None and caller.session is not None
    return by_user and exchange.status == _DONE and exchange.scope["method"] == "GET"


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else microseconds(seconds)
