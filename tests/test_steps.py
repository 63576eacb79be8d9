"""What `benchmarks.steps` counts, and how it sums that up."""

import sys
from threading import Thread

import pytest

from benchmarks.steps import Part, figures, function, package, parts
from benchmarks.traced import Counted, Steps

SERVED = "/here/src/antiphon/server/http/protocol.py"
LEDGER = "/here/src/antiphon/service/ledger.py"


def once() -> None:
    """Do nothing."""


def twice() -> None:
    """Call the other two times."""
    once()
    once()


def test_steps_and_calls_are_counted_by_function(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[Counted] = []

    monkeypatch.setattr("benchmarks.traced.OF_REQUESTS", (__file__,))

    def count() -> None:
        steps = Steps()
        steps.begin(sys._getframe())
        twice()
        once()
        counts.extend(steps.end())
        twice()

    # A trace is of one thread, and this one may be traced by whoever runs the tests.
    thread = Thread(target=count)
    thread.start()
    thread.join()
    found = {one.function: one for one in counts if one.file == __file__}
    assert found["twice"].calls == 1
    assert sum(one.calls for one in counts if one.function == "once") == 3
    # At the least it loads the other and calls it, two times.
    assert found["twice"].steps > found["once"].steps > 0


def test_what_comes_later_is_told_apart() -> None:
    counts = [
        Counted(SERVED, SERVED, "data_received", calls=20, steps=1000),
        Counted(SERVED, LEDGER, "Ledger.close", calls=10, steps=500),
        Counted(LEDGER, LEDGER, "Ledger._keep", calls=1, steps=50),
    ]
    table = {one.what: one.median for one in figures("JSON", counts, 10)}
    assert table == {
        "JSON: steps": 155,
        "JSON: calls": 3.1,
        "JSON: steps later, for many at once": 5,
    }


def test_what_runs_by_the_clock_does_not_count() -> None:
    worker = "/here/src/antiphon/service/batches/worker.py"
    assert Counted(SERVED, LEDGER, "Ledger.close", calls=1, steps=1).counts
    assert Counted(LEDGER, LEDGER, "Ledger._keep", calls=1, steps=1).counts
    assert not Counted(worker, LEDGER, "Ledger.release", calls=1, steps=1).counts


def test_parts_are_those_of_both_checkouts_with_the_largest_first() -> None:
    counts = [
        Counted(SERVED, "/venv/lib/site-packages/uvicorn/server.py", "Server.run", 10, 100),
        Counted(SERVED, LEDGER, "Ledger.open", 10, 200),
        Counted(SERVED, LEDGER, "Ledger.close", 20, 300),
    ]
    others = [Counted(SERVED, LEDGER, "Ledger.end", 10, 700)]
    assert list(parts(counts, others, 10, package).items()) == [
        ("antiphon.service.ledger", Part(steps=50, calls=3, there=70)),
        ("uvicorn", Part(steps=10, calls=1)),
    ]
    assert list(parts(counts, others, 10, function)) == [
        "service.ledger: Ledger.end",
        "service.ledger: Ledger.close",
        "service.ledger: Ledger.open",
        "uvicorn.server: Server.run",
    ]
