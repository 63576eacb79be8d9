"""Each bound of the page of reliability names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
BOUNDS = PAGE.partition("## Bounds")[2].partition("\n## ")[0]
ROWS = [
    row for row in re.findall(r"^\| (.+) \|$", BOUNDS, re.MULTILINE) if not row.endswith("| tests")
]


def test_every_place_that_reads_input_has_a_row() -> None:
    places = [row.split(" | ")[0] for row in ROWS]
    assert len(set(places)) == len(places) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split(" | ")[0])
def test_bound_names_tests_that_exist(row: str) -> None:
    *_, tests = row.split(" | ")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert named
    for path, test in named:
        source = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), test
