"""Runs a claimed request of a batch until it has an ending.

A run that made way, or failed, is begun again here. What fails again and again ends as errored, and
what waits for money, or for a model, is given back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Literal

import msgspec

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.errors import InternalError, error_detail
from antiphon.core.request_records import NO_NOTE, RunNote
from antiphon.service.batches.group_commit import Ending
from antiphon.service.batches.run_watch import RunWatch
from antiphon.service.batches.runs import (
    BatchRequest,
    BatchRun,
    BatchRunner,
    GiveUp,
    RunErrored,
    RunGivenUp,
    RunSucceeded,
)
from antiphon.store.batches.commits import FinishedRequest
from antiphon.store.batches.rows import Batch, RowState
from antiphon.store.batches.sections import ClaimedRequest
from antiphon.wire.batches import Errored, Succeeded
from antiphon.wire.errors import ErrorDetail, ErrorEnvelope

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""The pauses before another run. A model that is away for longer lets the batch rest."""
MOST_FAILURES: Final = 3
"""So often an engine may fail in one claim of a request, before the request is errored."""


def _errored(error: ErrorDetail, run_id: str | None) -> bytes:
    envelope = ErrorEnvelope(error=error, request_id=run_id)
    return msgspec.json.encode(Errored(error=envelope))


EXHAUSTED: Final = _errored(error_detail(InternalError()), None)
"""The result of a request that ended its worker too often."""


async def run_to_ending(
    runner: BatchRunner,
    request: ClaimedRequest,
    batch: Batch,
    sleep: Callable[[float], Awaitable[None]],
    watch: RunWatch,
) -> Ending:
    """Run a request until it has an ending. Raises what `BatchRunner.run` raises."""
    asked = BatchRequest(
        batch_id=batch.id,
        params=request.params,
        version=batch.version,
        betas=frozenset(batch.betas),
        api_key_id=batch.api_key_id or "",
        workspace_id=batch.workspace_id,
        account_id=batch.account_id,
    )
    failures, pause_s, waited = 0, FIRST_PAUSE_S, NO_NOTE
    while True:
        run = await runner.run(asked, watch)
        waited = run.note.after(waited)
        if (ending := _ending(request, run, waited)) is not None:
            return replace(ending, traceparent=batch.traceparent)
        match run:
            case RunGivenUp(reason=GiveUp.YIELDED):
                # It waits in its lane until nobody interactive needs the room.
                continue
            case RunGivenUp(reason=GiveUp.FAILED, run_id=run_id, error=error):
                failures += 1
                if failures == MOST_FAILURES:
                    failed = _errored(_said(error), run_id)
                    ending = _result(request, RowState.ERRORED, failed, None)
                    return replace(ending, traceparent=batch.traceparent)
            case RunGivenUp(reason=GiveUp.OVERLOADED | GiveUp.MONEY_HELD as reason, error=error):
                said = _said(error).message
                if pause_s >= LONGEST_PAUSE_S:
                    # Other requests need the place in this worker's hand.
                    of_model = reason is GiveUp.OVERLOADED
                    return Ending(request, waits_for=said, waits_for_model=of_model)
                if reason is GiveUp.MONEY_HELD:
                    watch.held_up(said)
                    waited = RunNote(money_s=pause_s).after(waited)
                else:
                    waited = RunNote(gate_s=pause_s).after(waited)
        await sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _ending(request: ClaimedRequest, run: BatchRun, note: RunNote) -> Ending | None:
    """Return the ending that a run is; `None` if the request is to be run again."""
    match run:
        case RunSucceeded(message=message, entry=entry):
            result = msgspec.json.encode(Succeeded(message=msgspec.Raw(message)))
            return _result(request, RowState.SUCCEEDED, result, entry, note)
        case RunErrored(run_id=run_id, error=error, entry=entry):
            return _result(request, RowState.ERRORED, _errored(error, run_id), entry, note)
        case RunGivenUp(reason=GiveUp.SPEND_LIMIT, error=error):
            return Ending(request, waits_for=_said(error).message)
        case _:
            return None


def _result(
    request: ClaimedRequest,
    state: Literal[RowState.SUCCEEDED, RowState.ERRORED],
    result: bytes,
    entry: LedgerEntry | None,
    note: RunNote = NO_NOTE,
) -> Ending:
    finished = FinishedRequest(request.batch_id, request.number, state, result, entry)
    return Ending(request, finished, note=note)


def _said(error: ErrorDetail | None) -> ErrorDetail:
    return error or error_detail(InternalError())
