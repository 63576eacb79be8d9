"""The programs in `examples/` run as their README says, against a real server."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.fork_server import fork_server
from support.processes import KEY, Program, environment, serving

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PATIENCE_S = 60.0
ORDER = {
    "customer": "Rosa Lindqvist",
    "email": "rosa@lindqvist.example",
    "items": [
        {"article": "sketchbook", "pieces": 12, "dollars_each": 4.5},
        {"article": "charcoal", "pieces": 3, "dollars_each": 11.2},
    ],
    "urgent": True,
}
# What the model of these tests answers: the steps of the agent, and an answer for each example.
REPLIES: tuple[dict[str, object], ...] = (
    {"when": "oat milk", "tool_calls": [{"name": "list_files", "input": {}}]},
    {"when": "^today.txt$", "tool_calls": [{"name": "read_file", "input": {"path": "today.txt"}}]},
    {
        "when": "the milk",
        "tool_calls": [
            {
                "name": "edit_file",
                "input": {"path": "today.txt", "old": "the milk", "new": "the oat milk"},
            }
        ],
    },
    {"when": "Changed today", "text": "It is oat milk now."},
    {
        "when": "Look around",
        "tool_calls": [
            {"name": "read_file", "input": {"path": "../secret.txt"}},
            {"name": "write_file", "input": {"path": "away/new.txt", "text": "written"}},
            {"name": "edit_file", "input": {"path": "twice.txt", "old": "a", "new": "b"}},
            {"name": "write_file", "input": {"path": "below/new.txt", "text": "written"}},
        ],
    },
    {"when": "is outside of the folder", "text": "There is nothing else."},
    {"when": "Go on", "tool_calls": [{"name": "list_files", "input": {}}]},
    {"when": "^again.txt$", "tool_calls": [{"name": "list_files", "input": {}}]},
    {"when": "a long letter", "text": json.dumps({**ORDER, "customer": "very " * 2000})},
    {"when": "say no end", "text": "on and " * 5000},
    {"when": "sketchbooks", "text": json.dumps(ORDER)},
    {"when": "charged|invoice", "text": '{"topic": "billing"}'},
    {"when": "parcel", "text": '{"topic": "delivery"}'},
    {"when": "chair|lamp", "text": '{"topic": "defect"}'},
    {"when": "Lyon", "text": '{"topic": "other"}'},
    {"when": "refused", "error": "unsupported"},
    {"when": "card", "text": "Twelve dollars a year."},
    {"when": "Stonebridge", "text": "On Tuesdays from two to five."},
)


def toml(value: object) -> str:
    """Write a value of the replies in TOML, whose texts and lists are JSON's."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {toml(one)}' for name, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("example-programs")
    # A reply of calls says nothing beside them.
    replies = ", ".join(toml({"text": "", **reply}) for reply in REPLIES)
    folder.joinpath("antiphon.toml").write_text(
        f'engine = "scripted"\nscripted.replies = [{replies}]\n', encoding="utf-8"
    )
    with serving(folder, environ={"ANTIPHON_API_KEY": KEY}) as program:
        yield program


def variables(program: Program) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": program.url, "ANTHROPIC_API_KEY": KEY}


def shell(text: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Run lines of the README in a folder that looks like a clone; return what they print."""
    for name, target in ((".venv", Path(sys.prefix)), ("examples", EXAMPLES)):
        if not (folder / name).exists():
            (folder / name).symlink_to(target)
    done = subprocess.run(
        ["/bin/sh", "-euc", text],
        cwd=folder,
        env={**environment(folder / "data"), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def line(start: str) -> str:
    """Return the lines of the README that run a program."""
    (found,) = (text for text in LINES if start in text)
    return found


def agent(program: Program, folder: Path, task: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "agent.py", folder, task],
        env={**environment(folder), **variables(program)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_agent_edits_a_file(program: Program, tmp_path: Path) -> None:
    printed = shell(line("agent.py"), tmp_path, variables(program))
    assert printed.splitlines() == [
        "list_files()",
        "read_file(today.txt)",
        "edit_file(today.txt)",
        "It is oat milk now.",
    ]
    changed = tmp_path.joinpath("notes/today.txt").read_text(encoding="utf-8")
    assert changed == "Remember the oat milk.\n"


def test_agent_stays_in_its_folder(program: Program, tmp_path: Path) -> None:
    folder, away = tmp_path / "folder", tmp_path / "away"
    folder.mkdir()
    away.mkdir()
    tmp_path.joinpath("secret.txt").write_text("secret", encoding="utf-8")
    folder.joinpath("away").symlink_to(away)
    folder.joinpath("twice.txt").write_text("a a", encoding="utf-8")
    done = agent(program, folder, "Look around.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "read_file(../secret.txt) failed",
        "write_file(away/new.txt) failed",
        "edit_file(twice.txt) failed",
        "write_file(below/new.txt)",
        "There is nothing else.",
    ]
    assert list(away.iterdir()) == []
    assert folder.joinpath("twice.txt").read_text(encoding="utf-8") == "a a"
    assert folder.joinpath("below/new.txt").read_text(encoding="utf-8") == "written"


@pytest.mark.soak
@pytest.mark.soak
def test_agent_that_finds_no_end_is_stopped(program: Program, tmp_path: Path) -> None:
    tmp_path.joinpath("again.txt").touch()
    done = agent(program, tmp_path, "Go on.")
    assert (done.returncode, done.stderr) == (1, "The task was not done in 20 steps.\n")
    assert done.stdout.splitlines() == ["list_files()"] * 20


def test_order_is_extracted(program: Program, tmp_path: Path) -> None:
    printed = shell(line("extract.py"), tmp_path, variables(program))
    text, _, total = printed.rstrip().rpartition("\n")
    assert json.loads(text) == ORDER
    assert total == "87.60 dollars in all"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("extract.py letter.txt", "The answer was cut off before its end."),
        pytest.param(
            "agent.py . 'say no end'",
            "The answer was cut off: it ended by max_tokens.",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_answer_that_is_cut_off_is_told(
    program: Program, tmp_path: Path, command: str, said: str
) -> None:
    tmp_path.joinpath("letter.txt").write_text("a long letter", encoding="utf-8")
    line = f".venv/bin/python examples/{command} 2>&1 >/dev/null || true"
    assert shell(line, tmp_path, variables(program)) == f"{said}\n"


def test_rows_get_their_topics(program: Program, tmp_path: Path) -> None:
    shell(f"{line('classify.py').rstrip()} --poll 0.1", tmp_path, variables(program))
    with tmp_path.joinpath("topics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["topic"] for row in rows} == {
        "101": "billing",
        "102": "delivery",
        "103": "defect",
        "104": "other",
        "105": "billing",
        "106": "defect",
    }
    with EXAMPLES.joinpath("data/tickets.csv").open(newline="", encoding="utf-8") as file:
        assert [{**row, "topic": ""} for row in csv.DictReader(file)] == [
            {**row, "topic": ""} for row in rows
        ]


@pytest.mark.soak
def test_row_that_fails_says_why_beside_the_others(program: Program, tmp_path: Path) -> None:
    tmp_path.joinpath("in.csv").write_text("text\nThe parcel\nrefused\n", encoding="utf-8")
    command = "examples/classify.py in.csv out.csv --poll 0.1"
    printed = shell(f".venv/bin/python {command}", tmp_path, variables(program))
    assert printed.splitlines()[-1] == "1 of 2 succeeded; the rows are in out.csv."
    with tmp_path.joinpath("out.csv").open(newline="", encoding="utf-8") as file:
        first, second = (row["topic"] for row in csv.DictReader(file))
    assert first == "delivery"
    assert second.startswith("error: ")


def test_second_question_reads_the_document_from_the_cache(
    program: Program, tmp_path: Path
) -> None:
    printed = shell(line("ask.py"), tmp_path, variables(program)).splitlines()
    assert printed[1::3] == ["  Twelve dollars a year.", "  On Tuesdays from two to five."]
    first, second = (
        [int(count) for count in re.findall(r"\d+", counts)] for counts in printed[2::3]
    )
    read, written, _ = first
    assert read == 0
    assert written > 512  # the shortest prefix that is kept
    assert second[:2] == [written, 0]


@pytest.mark.soak
def test_tests_of_a_program_pass_and_can_fail(tmp_path: Path) -> None:
    """As they stand, and with a server that answers otherwise."""
    folder, programs = tmp_path / "examples/ci", tmp_path / "bin"
    programs.mkdir()
    antiphon = programs / "antiphon"
    antiphon.write_text(f'#!/bin/sh\nexec {shlex.join(fork_server().command)} "$@"\n')
    antiphon.chmod(0o755)
    folder.mkdir(parents=True)
    # In a clone they stand below settings of pytest that are not theirs.
    files = ("antiphon.toml", "assistant.py", "pytest.ini", "test_assistant.py")
    for name in ("pyproject.toml", *(f"examples/ci/{file}" for file in files)):
        tmp_path.joinpath(name).write_bytes(ROOT.joinpath(name).read_bytes())

    def outcome() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/ci"],
            cwd=tmp_path,
            env={**environment(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.stdout.splitlines()[-1]

    assert outcome().startswith("3 passed")
    settings = folder / "antiphon.toml"
    settings.write_text(
        settings.read_text(encoding="utf-8").replace("HIGH", "LOW"), encoding="utf-8"
    )
    assert outcome().startswith("1 failed, 2 passed")


def test_every_program_has_a_line_and_a_row() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert {name for name in names if any(name in text for text in LINES)} == names
    assert {name for name in names if f"| [{name}]({name}) |" in README} == names
