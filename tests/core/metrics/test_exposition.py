"""The text of metrics, as it is written and as the parser of Prometheus' own client reads it."""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from antiphon.core.metrics.exposition import wants_open_metrics, written
from antiphon.core.metrics.families import Distribution, Family, Kind, Reading

REQUESTS = Family(
    name="requests_total", kind=Kind.COUNTER, text='What "came".', labels=("route", "status")
)
LEVEL = Family(name="level", kind=Kind.GAUGE, text="How much, and\nwhat \\ else.")
TIMES = Family(
    name="time_seconds", kind=Kind.HISTOGRAM, text="Times.", labels=("of",), bounds=(0.5, 1, 2.5)
)
READINGS = (
    Reading(REQUESTS, {("/v1", "200"): 3, ("", "404"): 1}),
    Reading(LEVEL, {(): 1.5}),
    Reading(TIMES, {("a",): Distribution((1, 0, 2, 1), 9.25)}),
)


def test_text_of_prometheus() -> None:
    assert (
        written(READINGS)
        == """\
# HELP requests_total What "came".
# TYPE requests_total counter
requests_total{route="/v1",status="200"} 3
requests_total{status="404"} 1
# HELP level How much, and\\nwhat \\\\ else.
# TYPE level gauge
level 1.5
# HELP time_seconds Times.
# TYPE time_seconds histogram
time_seconds_bucket{of="a",le="0.5"} 1
time_seconds_bucket{of="a",le="1.0"} 1
time_seconds_bucket{of="a",le="2.5"} 3
time_seconds_bucket{of="a",le="+Inf"} 4
time_seconds_count{of="a"} 4
time_seconds_sum{of="a"} 9.25
"""
    )


def test_text_of_openmetrics_differs_in_counters_and_at_the_end() -> None:
    lines = written(READINGS, open_metrics=True).splitlines()
    assert lines[:3] == [
        r"# HELP requests What \"came\".",
        "# TYPE requests counter",
        'requests_total{route="/v1",status="200"} 3',
    ]
    assert lines[3:] == [
        line.replace('"came"', r"\"came\"") for line in written(READINGS).splitlines()[3:]
    ] + ["# EOF"]


def test_family_without_series_is_told_of() -> None:
    assert written([Reading(REQUESTS, {})]).count("\n") == 2


def samples(families: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(0, 2**53) | st.floats(0, 1e15)


@pytest.mark.parametrize(("open_metrics", "read"), [(False, read_text), (True, read_open_metrics)])
@given(
    sums=st.dictionaries(st.tuples(labels, labels), numbers, max_size=5),
    level=numbers,
    counts=st.tuples(*[st.integers(0, 2**40)] * 4),
    total=st.floats(0, 1e12),
)
def test_what_is_written_is_what_is_read(
    open_metrics: bool,
    read: Callable[[str], Any],
    *,
    sums: dict[tuple[str, str], float],
    level: float,
    counts: tuple[int, int, int, int],
    total: float,
) -> None:
    readings = (
        Reading(REQUESTS, sums),
        Reading(LEVEL, {(): level}),
        Reading(TIMES, {("a",): Distribution(counts, total)}),
    )
    found = samples(read(written(readings, open_metrics=open_metrics)))
    expected: dict[Any, float] = {("level", ()): level}
    for (route, status), value in sums.items():
        pairs = {"route": route, "status": status}
        expected["requests_total", tuple((k, v) for k, v in pairs.items() if v)] = value
    for place, bound in enumerate((0.5, 1.0, 2.5, inf)):
        le = "+Inf" if bound == inf else str(bound)
        expected["time_seconds_bucket", (("le", le), ("of", "a"))] = sum(counts[: place + 1])
    expected["time_seconds_count", (("of", "a"),)] = sum(counts)
    expected["time_seconds_sum", (("of", "a"),)] = total
    assert found == expected


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        (None, False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*",
            True,
        ),
        ("text/plain, Application/OpenMetrics-Text ; version=1.0.0", True),
        ("application/openmetrics-text;q=0", False),
    ],
)
def test_openmetrics_is_for_who_asks_for_it(accept: str | None, wants: bool) -> None:
    assert wants_open_metrics(accept) is wants
