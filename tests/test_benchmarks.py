import asyncio
import importlib
import json
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from benchmarks import engines
from benchmarks.answers import AnswerError
from benchmarks.cache_round import Round, first_tokens, snapshots
from benchmarks.engine_sides import openvino
from benchmarks.report import positive
from benchmarks.servers import BYTECODE

ROOT = Path(__file__).parents[1]


# The others start a dozen processes or more, one after the other.
LONG = [
    pytest.param(name, marks=pytest.mark.soak)
    for name in (
        *("startup", "imports", "memory", "adapters", "transport", "steps"),
        *("limits", "batches", "console", "many_keys", "pipeline", "replicas"),
        *("sdk", "sdk_typescript", "testing"),
    )
]


@pytest.mark.parametrize("name", ["schemas", "metrics", "reading", *LONG])
def test_benchmark_runs_and_keeps_its_figures(name: str, tmp_path: Path) -> None:
    figures, table = quick_figures(name, tmp_path)
    assert figures
    for figure in figures:
        assert figure["what"] in table
        assert figure["values"]


def quick_figures(name: str, folder: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """Run a benchmark quickly; return its figures, and what it prints."""
    kept = folder / "figures.json"
    command = (sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(kept))
    ran = subprocess.run(
        (*command, *options),
        cwd=ROOT,
        # The tests have compiled what the servers import: it lies beside the modules.
        env={**os.environ, BYTECODE: ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    figures: list[dict[str, Any]] = json.loads(kept.read_bytes())["figures"]
    return figures, ran.stdout


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        *(
            (name, "--rounds")
            for name in ("imports", "limits", "local", "pipeline", "startup", "transport")
        ),
        ("prompt_cache", "--rounds"),
        ("console", "--rounds"),
        ("many_keys", "--rounds"),
        ("interference", "--rounds"),
        ("batches", "--rounds"),
        ("race", "--rounds"),
        ("sdk", "--rounds"),
        ("testing", "--rounds"),
        ("batches", "--requests"),
        ("engines", "--rounds"),
        ("malformed_calls", "--requests"),
        ("memory", "--requests"),
        ("adapters", "--requests"),
        ("schemas", "--one"),
    ],
)
def test_benchmark_without_rounds_is_refused(
    name: str, flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(name, [f"{flag}=0"], monkeypatch, capsys)
    assert said.endswith(f"{flag}: '0' is no number from 1 to 1,000,000")


def refusal(
    name: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Run a benchmark that refuses its arguments; return the last line that it says."""
    benchmark = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("text", ["-1", "1.5", "two", "", "²", "1000001", "00000001", "9" * 5000])
def test_number_of_rounds_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no number from 1 to 1,000,000"):
        positive(text)
    assert positive("1000000") == 1_000_000


@pytest.mark.soak
def test_forced_tools_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    figures, _ = quick_figures("forced_tools", tmp_path, "--weights", str(tiny_model))
    counts = {one["what"].partition(": ")[2]: one["values"][0] for one in figures}
    # An answer to a forced question has a call, and never the same one twice.
    assert counts["one call"] + counts["two calls or more"] == 3
    assert counts["an identical call twice"] == 0


STAND_IN = """#!{python}
import json, sys
if sys.argv[1] == "-P":
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(json.loads(line)["n"] - {missing}):
            print(1)
        print(flush=True)
"""


def stand_in(folder: Path, missing: int) -> str:
    """Write an interpreter that has OpenVINO, and whose worker answers with fewer tokens."""
    interpreter = folder / "python"
    interpreter.write_text(STAND_IN.format(python=sys.executable, missing=missing))
    interpreter.chmod(0o700)
    return str(interpreter)


@pytest.mark.soak
def test_engines_are_compared_in_the_same_rounds(tiny_model: Path, tmp_path: Path) -> None:
    options = ("--weights", str(tiny_model), "--openvino", stand_in(tmp_path, missing=0))
    figures, _ = quick_figures("engines", tmp_path, *options)
    values = {one["what"]: one["values"] for one in figures}
    works = ("load", "read 64", "first token behind 64", "write 4")
    for what in (f"{work}{clock}" for work in works for clock in ("", ", processor")):
        # Quick is one load and one round: the one that warms up does not count.
        assert all(len(values[f"{what}: {side}"]) == 1 for side in ("llama.cpp", "OpenVINO"))
    assert values["read 64, processor: llama.cpp"][0] > 0
    assert all(values[f"memory after all: {side}"][0] > 1 for side in ("llama.cpp", "OpenVINO"))
    ratios = {one["what"]: one["ratio"] for one in figures}
    assert ratios["read 64: llama.cpp"] == ""
    assert " of llama.cpp (" in ratios["read 64: OpenVINO"]


def test_engine_that_writes_too_little_is_not_measured(tmp_path: Path) -> None:
    async def ask() -> None:
        async with openvino(stand_in(tmp_path, missing=1), Path("model.gguf"), 1) as side:
            await side.complete([1, 2], 3)

    with pytest.raises(AnswerError, match="2 tokens instead of 3"):
        asyncio.run(ask())


def test_engines_are_not_compared_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engines", "--quick"])
    engines.main()
    assert capsys.readouterr().out.startswith("OpenVINO GenAI is not installed")


@pytest.mark.soak
def test_interference_of_batches_is_measured(default_model: Path, tmp_path: Path) -> None:
    figures, _ = quick_figures("interference", tmp_path, "--weights", str(default_model))
    values = {one["what"]: one["values"] for one in figures}
    assert values["first token without a batch: p50"][0] > 0
    assert values["first token beside a batch: p50"][0] > 0


@pytest.mark.soak
def test_prompt_cache_is_measured_beside_bare_llama(tiny_model: Path, tmp_path: Path) -> None:
    # It ends with an error if no snapshot is left after `kill -9`, or if a usage is wrong.
    figures, _ = quick_figures("prompt_cache", tmp_path, "--weights", str(tiny_model))
    values = {one["what"].partition(": ")[2]: one["values"] for one in figures}
    assert all(len(of_rounds) == 1 for of_rounds in values.values())
    ways = ("cold", "in its slot", "restored", "after kill -9", "in another workspace")
    assert all(values[way][0] > 0 for way in ways)
    assert values["snapshot, for each token"][0] > 100
    sides = {one["what"]: one["ratio"] for one in figures}
    for way in ("in its slot", "restored", "after kill -9, second request"):
        assert sides[f"150 tokens: {way}"].endswith("; 150 claimed")


def test_figures_of_the_prompt_cache_are_compared_with_bare_llama() -> None:
    one = Round(
        tokens=600,
        behind=22,
        cold=2000,
        cold_again=4000,
        bare_cold=1000,
        slot=120,
        bare_slot=100,
        restored=122,
        bare_restored=110,
        killed=170,
        killed_second=120,
        bare_killed=112,
        elsewhere=4000,
        together=6000,
        claimed=(600, 500, 0),
        restore_from_disk=100,
        check=200,
        snapshot_bytes=6000,
    )
    figures = {one.what.partition(": ")[2]: one for one in first_tokens([one]) + snapshots([one])}
    verdicts = {what: figure.row()[3] for what, figure in figures.items() if figure.goal}
    assert verdicts == {
        "in its slot, more than bare": "≤ 15 NO",
        "restored, more than bare": "≤ 15 yes",
        "after kill -9, more than bare": "≤ 15 NO",
        "after kill -9, second request, more than bare": "≤ 15 yes",
        "in another workspace, of cold": "≥ 0.9 yes",
        "8 at once less their questions, of cold": "≤ 1.3 yes",
    }
    assert figures["8 at once less their questions, of cold"].median == 1.3
    assert figures["in its slot"].ratio == "0.06 of cold; 600 claimed"
    assert figures["restored"].ratio == "0.061 of cold; 500 claimed"
    assert figures["after kill -9, second request"].ratio == "0.06 of cold; 0 claimed"
    assert figures["in another workspace, of cold"].ratio == ""
    assert figures["snapshot, for each token"].median == 10
    assert figures["prompts are read at"].median == 622
    assert figures["the disk is slower from"].median == 6000
    assert figures["the disk is slower, with a check, from"].median == 2000


def test_reuse_across_workspaces_is_told_in_the_table() -> None:
    one = Round(cold=1000, bare_cold=1000, cold_again=100, elsewhere=80)
    told = [figure.ratio for figure in first_tokens([one]) if "workspace, of cold" in figure.what]
    assert told == ["noise, or KV of another workspace"]


def test_sizes_that_fit_no_slot_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal("prompt_cache", ["--sizes", "500,9000"], monkeypatch, capsys)
    assert "each size is a number of tokens, 100 to 8000" in said


@pytest.mark.soak
def test_slowest_imports_are_listed() -> None:
    command = (sys.executable, "-m", "benchmarks.startup", "--why")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert "antiphon.server.app" in ran.stdout or "all " in ran.stdout
