"""Writes docs/reference/metrics.md from the catalogue of metrics: `make metric-table`."""

from pathlib import Path

from antiphon.core.metrics.families import Family
from antiphon.service.metrics.catalogue import FAMILIES

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"
BEGIN = "<!-- The tables are written by `make metric-table`. -->\n"
END = "<!-- The end of the tables. -->\n"
_HEAD = "| name | type | labels | means |\n|---|---|---|---|\n"


def tables() -> str:
    """Return the tables: all metrics, and the buckets of the histograms."""
    rows = "".join(map(_row, FAMILIES))
    bounds = "".join(
        f"| `{one.name}` | {', '.join(f'{bound:g}' for bound in one.bounds)} |\n"
        for one in FAMILIES
        if one.bounds
    )
    return (
        f"{_HEAD}{rows}\n## Buckets\n\nUpper bounds in seconds; one more bucket has the rest.\n\n"
        f"| histogram | bounds |\n|---|---|\n{bounds}"
    )


def page(text: str) -> str:
    """Return the page with its tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _row(family: Family) -> str:
    labels = ", ".join(f"`{one}`" for one in family.labels) or "\N{EN DASH}"
    return f"| `{family.name}` | {family.kind} | {labels} | {family.text} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
