"""`antiphon models exam` as a user takes it: of a server for the exam, the running one, and by URL.

The scripted engine answers as a model that can all of it, and as one that can nothing.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.exam.tasks import DEPTHS, EDITS, call_tasks, haystack, object_tasks
from support.processes import KEY, PROGRAM, environment, run, run_json, run_well, serving

Json = dict[str, Any]
MINUTES = ("--minutes", "3")


def able() -> list[Json]:
    """Return the replies of a model that passes every part."""
    replies: list[Json] = [
        {
            "when": re.escape(task.question),
            "text": "",
            "tool_calls": [{"name": task.name, "input": task.input}],
        }
        for task in call_tasks()
    ]
    replies += [
        {"when": re.escape(task.text), "text": json.dumps(task.value)} for task in object_tasks()
    ]
    for task in EDITS:
        edit = {"path": task.path, "old": task.before, "new": task.after}
        calls: list[tuple[str, Json]] = [
            (re.escape(task.instruction), {"name": "read_file", "input": {"path": task.path}}),
            (re.escape(task.before), {"name": "edit_file", "input": edit}),
        ]
        replies += [{"when": when, "text": "", "tool_calls": [call]} for when, call in calls]
    for depth in DEPTHS:
        number = haystack(1, depth).number
        replies.append({"when": f"lighthouse is {number}", "text": f"It is {number}."})
    return replies


def config(folder: Path, **options: Any) -> None:
    """Write settings of a scripted model. TOML takes its tables as JSON has them, but for `:`."""
    table = {"context_tokens": 12_000, **options}
    text = "\n".join(f"{name} = {_toml(value)}" for name, value in table.items())
    folder.joinpath("antiphon.toml").write_text(
        f'engine = "scripted"\n[scripted]\n{text}\n', encoding="utf-8"
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def passed(result: Json) -> dict[str, tuple[int, int, int]]:
    return {
        name: (part["planned"], part["done"], part["passed"])
        for name, part in result["parts"].items()
    }


def test_model_that_can_all_of_it_passes(tmp_path: Path) -> None:
    config(tmp_path, replies=able())
    result = run_json(tmp_path, "models", "exam", *MINUTES)
    assert passed(result) == {
        "speed": (7, 7, 7),
        "calls": (50, 50, 50),
        "objects": (10, 10, 10),
        "edits": (5, 5, 5),
        "long_context": (15, 15, 15),
    }
    assert result["parts"]["calls"]["facts"] == {
        "right": 50,
        "any_done": 25,
        "any_valid": 25,
        "auto_done": 25,
        "auto_valid": 25,
    }
    assert result["parts"]["objects"]["facts"]["right"] == 10
    assert result["parts"]["edits"]["facts"]["turns"] == 15
    assert result["parts"]["long_context"]["facts"]["longest_found"] == 12_000
    assert result["earned"] is True
    assert (result["model"]["id"], result["model"]["context_tokens"]) == ("scripted", 12_000)
    assert result["machine"]["cores"] >= 1
    assert result["speed"]["decode"] > 0
    # There is no file of a model, so the data folder has it.
    kept = tmp_path / "exams/scripted.exam.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == result


def test_model_that_can_nothing_fails_every_part(tmp_path: Path) -> None:
    config(tmp_path, text="I do not know.")
    result = run_json(tmp_path, "models", "exam", *MINUTES)
    found = passed(result)
    # The server guarantees that a call which has to be made fits, and so does an object.
    assert found["calls"] == (50, 50, 25)
    assert result["parts"]["calls"]["facts"]["auto_valid"] == 0
    assert result["parts"]["calls"]["facts"]["right"] == 0
    assert found["objects"] == (10, 10, 10)
    assert result["parts"]["objects"]["facts"]["right"] == 0
    assert found["edits"] == (5, 5, 0)
    assert found["long_context"] == (15, 15, 0)
    assert result["earned"] is False


def test_errors_of_the_server_are_told_and_the_exam_goes_on(tmp_path: Path) -> None:
    config(tmp_path, replies=[{"error": "failed"}])
    done = run(tmp_path, "models", "exam", *MINUTES)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "calls of tools 50 of 50 done, 0 valid" in said
    assert "structured outputs 10 of 10 done, 0 valid" in said
    assert "(first problem: " in said
    assert "not passed" in said
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Traceback" not in done.stderr


def test_exam_ends_with_its_time_and_says_how_much_it_did(tmp_path: Path) -> None:
    config(tmp_path, replies=[{"delay_s": 1.0, "text": "slow"}])
    result = run_json(tmp_path, "models", "exam", "--minutes", "0.1")
    found = passed(result)
    assert 0 < found["calls"][1] < 50
    assert 0 <= found["long_context"][1] < 15
    assert sum(part["seconds"] for part in result["parts"].values()) < 12


def test_running_server_is_examined_with_keys_that_end_with_it(tmp_path: Path) -> None:
    config(tmp_path, replies=able())
    with serving(tmp_path, environ={"ANTIPHON_API_KEY": KEY}) as program:
        result = run_json(tmp_path, "models", "exam", *MINUTES)
        assert result["earned"] is True
        keys = run_json(tmp_path, "keys", "list", "--all")
        ended = [key["status"] for key in keys if key["name"].startswith("models exam ")]
        assert ended == ["archived", "archived"]
        words = ("models", "exam", *MINUTES, "--base-url", f"{program.url}/v1", "--json")
        by_url = json.loads(run_well(tmp_path, *words, ANTIPHON_API_KEY=KEY))
        assert by_url["parts"].keys() == result["parts"].keys()
        assert by_url["machine"]["elsewhere"] is True
        assert by_url["earned"] is True


def test_server_that_is_not_there_is_told(tmp_path: Path, unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    done = run(tmp_path, "models", "exam", "--base-url", url, ANTIPHON_API_KEY=KEY)
    assert done.returncode == 1
    assert done.stderr.startswith(f"antiphon: {url} cannot be asked: ")
    assert "Traceback" not in done.stderr


@pytest.mark.soak
def test_real_model_is_examined_and_its_result_is_read_by_the_check(
    tmp_path: Path, default_model: Path
) -> None:
    weights = tmp_path / "toy.gguf"
    weights.symlink_to(default_model)
    words = ("models", "exam", "--model", str(weights), "--minutes", "4", "--json")
    done = subprocess.run(
        [*PROGRAM, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    result = json.loads(done.stdout)
    assert result["model"]["sha256"] is not None
    assert result["engine"].startswith("llama (xllamacpp ")
    assert result["memory_bytes"] > 100_000_000
    assert result["speed"]["prefill"] > 1
    assert result["speed"]["decode"] > 1
    calls = result["parts"]["calls"]
    # What has to be called fits, whatever the model is, unless it never ends.
    assert calls["facts"]["any_valid"] * 2 >= calls["facts"]["any_done"] > 0
    assert result["earned"] is False
    said = " ".join(run(tmp_path, "models", "check", str(weights)).stdout.split())
    assert f"exam {result['taken_at'][:10]}: " in said
