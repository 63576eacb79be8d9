"""What a replay prints: every request from its sending to its end, and who still holds what."""

import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from antiphon.core.limits.values import Ask, Settlement, Verdict
from antiphon.store.counters.memory import MemoryCounters
from simulation.planted import Planted
from simulation.run import Outcome, Runner


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


class KeepingCounters(MemoryCounters):
    """What a request costs is charged; its reservation stays, and has a lease of a day."""

    async def admit(self, ask: Ask) -> Verdict:
        return await super().admit(replace(ask, lease_ms=86_400_000))

    async def settle(self, settlement: Settlement) -> None:
        await super().settle(replace(settlement, id=f"not {settlement.id}"))


def found(outcome: Outcome, pattern: str) -> list[str]:
    return re.findall(pattern, "\n".join(outcome.lines), re.MULTILINE)


def test_trace_tells_how_every_request_ends(runner: Runner) -> None:
    outcome = runner.run(1, "hang_ups")
    sent = found(outcome, r"  request is sent  number=(\d+) server=one$")
    ended = found(outcome, r"  request ends  number=(\d+) server=one status=\d+ ended=\w+$")
    numbers = [str(number) for number in range(1, outcome.requests + 1)]
    assert sorted(sent, key=int) == numbers
    assert sorted(ended, key=int) == numbers
    how = set(found(outcome, r"number=\d+ server=one status=\d+ ended=(\w+)$"))
    assert how == {"whole", "left"}


def test_trace_ends_with_the_run(runner: Runner) -> None:
    # Afterwards the processes are killed, which is not a part of the run.
    assert not [line for line in runner.run(1, "calm").lines if "is killed" in line]


def test_failure_of_holds_names_the_requests_that_hold(runner: Runner) -> None:
    failure = str(runner.run(1, "calm", Planted(memory=KeepingCounters)).failure)
    assert failure.startswith("holds: ")
    named = re.findall(r"req_\w+ \(request (\d+) to one at [\d.]+ \(200\)\)", failure)
    assert sorted(map(int, named)) == list(range(1, 21))
