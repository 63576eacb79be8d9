"""`antiphon batches --base-url` and `antiphon models served`: a server, through its API alone."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from antiphon.cli import main
from support.processes import run_well, serving

Run = Callable[..., tuple[int, str, str]]
REQUEST = {"model": "claude-local", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the file of a key for it."""
    folder = tmp_path_factory.mktemp("server")
    folder.joinpath("antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    config = {"ANTIPHON_CONFIG": str(folder / "antiphon.toml")}
    with serving(folder / "data", environ=config) as program:
        key = folder / "key"
        key.write_text(run_well(folder / "data", "keys", "create", "k").strip(), encoding="utf-8")
        yield program.url, key


@pytest.fixture
def run(
    server: tuple[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.chdir(tmp_path)
    # A data folder that has nothing: all comes from the server.
    monkeypatch.setenv("ANTIPHON_DATA_DIR", str(tmp_path / "nothing"))
    url, key = server

    def run(*words: str) -> tuple[int, str, str]:
        status = main([*words, "--base-url", url, "--key-file", str(key)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def questions(tmp_path: Path) -> str:
    lines = [json.dumps({"custom_id": f"q-{number}", "params": REQUEST}) for number in range(3)]
    path = tmp_path / "questions.jsonl"
    path.write_text("\ufeff" + "\n\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_batch_is_made_watched_read_and_deleted(run: Run, questions: str) -> None:
    made = json.loads(run("batches", "create", questions, "--json")[1])
    assert made["request_counts"]["processing"] == 3
    assert f"\n{made['id']}  " in run("batches", "list")[1]
    status, said, _ = run("batches", "watch", made["id"])
    assert status == 0
    assert said.splitlines()[-2] == "3/3 done"
    assert said.splitlines()[-1].startswith(f"Batch {made['id']} has ended: 3 succeeded, 0 errored")
    # What is said to be typed next finds the same server.
    assert "--base-url http://127.0.0.1:" in said
    assert "--key-file" in said
    printed = run("batches", "results", made["id"], "--output", "answers.jsonl")[1]
    assert printed == "Wrote answers.jsonl.\n"
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text("utf-8").splitlines()]
    assert {row["custom_id"] for row in rows} == {"q-0", "q-1", "q-2"}
    assert {row["result"]["type"] for row in rows} == {"succeeded"}
    status, _, why = run("batches", "results", made["id"], "--output", "answers.jsonl")
    assert (status, why) == (1, "antiphon: answers.jsonl exists; name another file\n")
    assert run("batches", "delete", made["id"])[1] == f"Batch {made['id']} is deleted.\n"
    status, _, why = run("batches", "watch", made["id"])
    assert status == 1
    assert f"there is no batch {made['id']!r} in the workspace of the key" in why


def test_same_file_with_the_same_key_is_one_batch(run: Run, questions: str) -> None:
    words = ("batches", "create", questions, "--idempotency-key", "mine", "--json")
    first, second = (json.loads(run(*words)[1])["id"] for _ in range(2))
    assert first == second
    third = json.loads(run("batches", "create", questions, "--json")[1])["id"]
    assert third != first


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no requests"),
        ("{", "line 1: Input data was truncated"),
        ('{"custom_id": "a"}', "line 1: Object missing required field `params`"),
        ('{"custom_id": "a", "params": {}, "body": 1}', "line 1: Object contains unknown field"),
        ("[" * 100_000, "line 1: "),
    ],
)
def test_file_that_is_none_is_refused_by_its_line(
    run: Run, tmp_path: Path, text: str, why: str
) -> None:
    tmp_path.joinpath("file.jsonl").write_text(text, encoding="utf-8")
    status, said, told = run("batches", "create", "file.jsonl")
    assert (status, said) == (1, "")
    assert f"file.jsonl{' ' if why.startswith('has') else ', '}{why}" in told
    assert told.count("\n") == 1


def test_what_the_server_refuses_is_told(run: Run, tmp_path: Path) -> None:
    line = json.dumps({"custom_id": "a b", "params": REQUEST})
    tmp_path.joinpath("file.jsonl").write_text(line, encoding="utf-8")
    status, _, why = run("batches", "create", "file.jsonl")
    assert status == 1
    assert "400 invalid_request_error: requests.0.custom_id" in why


def test_standard_input_is_read(run: Run, questions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(questions).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    assert run("batches", "create", "-")[1].startswith("Batch msgbatch_")


def test_workspace_is_that_of_the_key(run: Run) -> None:
    status, _, why = run("batches", "list", "--workspace", "other")
    assert status == 1
    assert why == "antiphon: --workspace: a server shows the batches of the workspace of the key\n"


def test_models_of_a_server_are_listed(run: Run) -> None:
    status, said, _ = run("models", "served")
    assert status == 0
    assert said.split()[0] == "id"
    models = json.loads(run("models", "served", "--json")[1])
    assert models[0]["id"] in said
