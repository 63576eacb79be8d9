"""Readings as text: the format of Prometheus, and OpenMetrics for who asks for it.

Both have a line for each value. They differ in how the family of a counter is called, and in the
end, which OpenMetrics marks.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf
from typing import Final

from antiphon.core.metrics.families import Distribution, Family, Labels, Reading, Value

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPEN_METRICS: Final = "application/openmetrics-text"
_TOTAL: Final = "_total"
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_ESCAPED_IN_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def wants_open_metrics(accept: str | None) -> bool:
    """Return whether a reader's `accept` header names OpenMetrics, and does not rule it out."""
    for part in (accept or "").lower().split(","):
        name, *parameters = (one.strip() for one in part.split(";"))
        if name == _OPEN_METRICS:
            return not any(one in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for one in parameters)
    return False


def written(readings: Iterable[Reading], *, open_metrics: bool = False) -> str:
    """Return the lines of all readings. A family without series has its two lines of comment."""
    lines = [line for one in readings for line in _lines(one, open_metrics=open_metrics)]
    if open_metrics:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def _lines(reading: Reading, *, open_metrics: bool) -> Iterator[str]:
    family, series = reading
    # OpenMetrics calls a counter as its samples without their suffix.
    name = family.name.removesuffix(_TOTAL) if open_metrics else family.name
    text = family.text.translate(_ESCAPED if open_metrics else _ESCAPED_IN_HELP)
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in series.items():
        yield from _samples(family, labels, value)


def _samples(family: Family, labels: Labels, value: Value) -> Iterator[str]:
    pairs = [
        f'{name}="{text.translate(_ESCAPED)}"'
        for name, text in zip(family.labels, labels, strict=True)
        if text
    ]
    if not isinstance(value, Distribution):
        yield f"{family.name}{_braced(pairs)} {value}"
        return
    for bound, count in zip((*family.bounds, inf), accumulate(value.counts), strict=True):
        upper = 'le="+Inf"' if bound == inf else f'le="{float(bound)}"'
        yield f"{family.name}_bucket{_braced([*pairs, upper])} {count}"
    yield f"{family.name}_count{_braced(pairs)} {sum(value.counts)}"
    yield f"{family.name}_sum{_braced(pairs)} {value.sum}"


def _braced(pairs: Iterable[str]) -> str:
    inside = ",".join(pairs)
    return f"{{{inside}}}" if inside else ""
