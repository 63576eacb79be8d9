"""docs/reliability.md names what the simulator checks, and nothing else."""

import re
from pathlib import Path

from simulation.invariants import INVARIANTS
from simulation.planted import PLANTS
from simulation.scenarios import SCENARIOS

PAGE = (Path(__file__).parents[2] / "docs/reliability.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """Return the cells of a table, without its head."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_invariant_is_a_promise_with_its_planted_faults() -> None:
    promised = {row[0].strip("`"): set(row[2].split("; ")) for row in rows("Promises")}
    planted = {
        invariant: {name for name, plant in PLANTS.items() if plant.invariant == invariant}
        for invariant in INVARIANTS
    }
    assert promised == planted


def test_page_says_which_scenario_a_seed_plays() -> None:
    assert f"n mod {len(SCENARIOS)} " in PAGE


def test_every_scenario_is_on_the_page() -> None:
    named = [name for row in rows("Scenarios") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(SCENARIOS)
