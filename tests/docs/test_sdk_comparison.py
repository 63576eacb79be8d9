"""Each line of the comparisons of the SDKs names a test that there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    name: (ROOT / "docs/sdk" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("comparison", "comparison-typescript")
}
ROWS = {
    f"{name}: {line.split('|')[1].strip()}": [cell.strip() for cell in line.strip("|").split("|")]
    for name, page in PAGES.items()
    for line in page.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| |", "| complaint"))
}


def is_there(file: str, name: str) -> bool:
    """Return whether a file has a test: a function of Python, or words of Vitest."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".py"):
        return f"def {name}(" in text
    return any(f'{begin}("{name}"' in text for begin in ("test", "])", "recorded))"))


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_line_is_held_by_a_test(row: list[str]) -> None:
    if not row[-1]:
        assert row[-2] == "no"
        return
    found = re.fullmatch(r"`([\w/.]+)::(.+)`", row[-1])
    assert found is not None
    assert is_there(found[1], found[2])


@pytest.mark.parametrize(
    ("name", "complaints"), [("comparison", 15), ("comparison-typescript", 12)]
)
def test_page_has_every_table(name: str, complaints: int) -> None:
    assert sum(row.startswith(f"{name}: ") for row in ROWS) > 60
    page = PAGES[name]
    told = page[page.index("\n| complaint |") :].strip().splitlines()[2:]
    assert len(told) >= complaints
