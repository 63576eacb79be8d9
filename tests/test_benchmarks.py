import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name", ["pipeline", "limits", "startup", "imports", "memory", "adapters", "schemas"]
)
def test_benchmark_runs_and_keeps_its_figures(name: str, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    command = (sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(kept))
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(kept.read_bytes())["figures"]
    assert figures
    for figure in figures:
        assert figure["what"] in ran.stdout
        assert figure["values"]


def test_forced_tools_are_counted(default_model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    options = ("--quick", "--json", str(kept), "--weights", str(default_model))
    command = (sys.executable, "-m", "benchmarks.forced_tools", *options)
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(kept.read_bytes())["figures"]
    counts = {one["what"].partition(": ")[2]: one["values"][0] for one in figures}
    # An answer to a forced question has a call, and never the same one twice.
    assert counts["one call"] + counts["two calls or more"] == 3
    assert counts["an identical call twice"] == 0


def test_slowest_imports_are_listed() -> None:
    command = (sys.executable, "-m", "benchmarks.startup", "--why")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert "antiphon.server.app" in ran.stdout or "all " in ran.stdout
