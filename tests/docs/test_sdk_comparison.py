"""Each line of the comparison of the SDKs names a test that there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sdk/comparison.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| |", "| complaint"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_line_is_held_by_a_test(row: list[str]) -> None:
    if not row[-1]:
        assert row[-2] == "no"
        return
    found = re.fullmatch(r"`([\w/.]+)::(test_\w+)`", row[-1])
    assert found is not None
    assert f"def {found[2]}(" in (ROOT / found[1]).read_text(encoding="utf-8")


def test_page_has_every_table() -> None:
    assert len(ROWS) > 60
    complaints = PAGE[PAGE.index("\n| complaint |") :].strip().splitlines()[2:]
    assert len(complaints) >= 15
