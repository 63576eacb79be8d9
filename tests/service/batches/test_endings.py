"""What the request log is told of a request of a batch that was run several times."""

import pytest

from antiphon.core.request_records import NO_NOTE, RequestFacts, RunNote
from antiphon.service.batches.endings import run_to_ending
from antiphon.service.batches.run_watch import UNWATCHED
from antiphon.service.batches.runs import (
    BatchRequest,
    BatchRun,
    BatchRunner,
    GiveUp,
    RunGivenUp,
    RunSucceeded,
)
from antiphon.store.batches.sections import ClaimedRequest
from support.batches import a_batch
from support.ledger import an_entry

pytestmark = pytest.mark.anyio

REQUEST = ClaimedRequest("msgbatch_1", 0, "custom_0", 0, b"{}")
FACTS = RequestFacts(price=None)


class ScriptedRunner(BatchRunner):
    """Returns these runs, one after the other."""

    def __init__(self, *runs: BatchRun) -> None:
        self._runs = iter(runs)

    async def run(self, request: BatchRequest, watch: object = None) -> BatchRun:
        del request, watch
        return next(self._runs)


async def no_sleep(_: float) -> None:
    """Pass at once."""


async def ended(*runs: BatchRun) -> RunNote:
    runner = ScriptedRunner(*runs)
    ending = await run_to_ending(runner, REQUEST, a_batch(), no_sleep, UNWATCHED)
    assert ending.finished is not None
    return ending.note


def given_up(reason: GiveUp, gate_s: float) -> RunGivenUp:
    return RunGivenUp(reason, "run_1", note=RunNote(gate_s=gate_s))


async def test_waits_of_all_runs_are_told_and_the_engine_of_the_last() -> None:
    last = RunNote(gate_s=1.0, engine_number=2, facts=FACTS)
    note = await ended(
        given_up(GiveUp.YIELDED, 4.0),
        # Tried again after 0.5 s and 1 s.
        given_up(GiveUp.MONEY_HELD, 0.25),
        given_up(GiveUp.MONEY_HELD, 0.25),
        # After 2 s: the model was away, which is a wait before it.
        given_up(GiveUp.OVERLOADED, 0.5),
        RunSucceeded(b"{}", an_entry(), last),
    )
    assert note == RunNote(gate_s=8.0, money_s=1.5, engine_number=2, facts=FACTS)


async def test_request_that_ran_at_once_has_waited_for_no_money() -> None:
    note = await ended(RunSucceeded(b"{}", an_entry(), RunNote(gate_s=0.0)))
    assert (note.gate_s, note.money_s) == (0.0, None)
    assert await ended(RunSucceeded(b"{}", an_entry())) == NO_NOTE
