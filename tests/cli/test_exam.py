"""The parts of `antiphon models exam` that need no server: tasks, time, result, table."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.exam.api import RefusedError
from antiphon.cli.exam.budget import SHARES, Budget, OutOfTimeError, PartTime
from antiphon.cli.exam.parts import (
    alike,
    examine_long_context,
    is_right,
    is_valid,
    sizes_up_to,
)
from antiphon.cli.exam.report import TITLES, exam_line, exam_table
from antiphon.cli.exam.result import (
    EARNED,
    ExamResult,
    MachineFacts,
    ModelFacts,
    Part,
    Speed,
    has_earned,
    keep_result,
    kept_result,
)
from antiphon.cli.exam.tasks import (
    CALLS,
    DEPTHS,
    EDITS,
    call_tasks,
    haystack,
    object_tasks,
    run_edit_tool,
    schema_of,
)
from antiphon.schemas.check import fits
from antiphon.weights.elsewhere import OtherStores
from cli.conftest import Shell


def test_tasks_follow_from_the_seed_alone() -> None:
    assert call_tasks(1) == call_tasks(1) != call_tasks(2)
    assert object_tasks(1) == object_tasks(1) != object_tasks(2)
    assert haystack(50, 0.5) == haystack(50, 0.5) != haystack(51, 0.5)


def test_half_of_the_calls_have_to_be_made_and_every_answer_fits_its_schema() -> None:
    tasks = call_tasks()
    assert len(tasks) == CALLS == 50
    assert [task.choice for task in tasks] == ["any", "auto"] * 25
    for task in tasks:
        assert len({tool["name"] for tool in task.tools}) == 3
        call = {"name": task.name, "input": task.input}
        assert is_valid(task, call)
        assert is_right(task, call)
        # What is asked for stands in the question.
        for value in _leaves(task.input):
            assert isinstance(value, bool) or str(value) in task.question
    for task in object_tasks():
        assert fits(task.value, task.schema)
    # No tool is asked for so often that one answer passes.
    assert max([task.name for task in tasks].count(task.name) for task in tasks) < 20


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    return [leaf for one in value for leaf in _leaves(one)] if isinstance(value, list) else [value]


def test_call_of_another_tool_or_with_another_input_is_not_valid() -> None:
    task = call_tasks()[0]
    assert not is_valid(task, {"name": "no_such_tool", "input": task.input})
    assert not is_valid(task, {"name": task.name, "input": {}})
    assert not is_valid(task, {"name": task.name, "input": {**task.input, "more": 1}})
    other = next(tool["name"] for tool in task.tools if tool["name"] != task.name)
    assert schema_of(task, other) is not None
    assert not is_right(task, {"name": other, "input": task.input})


@pytest.mark.parametrize(
    ("given_", "wanted", "same"),
    [
        ("oslo", "Oslo", True),
        (" Oslo. ", "Oslo", True),
        ("Oslo now", "Oslo", False),
        (20.0, 20, True),
        (True, 1, False),
        (1, True, False),
        ("20", 20, False),
        ({"a": ["X"]}, {"a": ["x"]}, True),
        ({"a": ["x"], "b": 1}, {"a": ["x"]}, False),
        (["x", "y"], ["x"], False),
        ([], {}, False),
        (None, [], False),
    ],
)
def test_values_are_alike_but_for_case_and_spaces(given_: Any, wanted: Any, same: bool) -> None:
    assert alike(given_, wanted) is same


@pytest.mark.parametrize("task", EDITS)
def test_edit_is_made_by_one_replacement(task: Any) -> None:
    files = {task.path: task.before}
    assert run_edit_tool(files, "read_file", {"path": task.path}) == (task.before, False)
    change = {"path": task.path, "old": task.before, "new": task.after}
    assert run_edit_tool(files, "edit_file", change) == ("Done.", False)
    assert files == {task.path: task.after} != {task.path: task.before}


@pytest.mark.parametrize(
    ("name", "given_", "said"),
    [
        ("read_file", {"path": "b"}, "There is no file 'b'. Files: a"),
        ("read_file", {}, "There is no file ''. Files: a"),
        ("edit_file", {"path": "a", "old": "x", "new": "y"}, "The old text stands 2 times in a."),
        ("edit_file", {"path": "a", "old": "", "new": "y"}, "The old text stands 0 times in a."),
        ("remove", {"path": "a"}, "There is no tool 'remove'."),
    ],
)
def test_tool_that_fails_says_why_and_changes_nothing(
    name: str, given_: dict[str, Any], said: str
) -> None:
    files = {"a": "x x"}
    assert run_edit_tool(files, name, given_) == (said, True)
    assert files == {"a": "x x"}


@given(sentences=st.integers(1, 300), depth=st.sampled_from(DEPTHS))
def test_sentence_that_is_asked_for_stands_once_at_its_depth(sentences: int, depth: float) -> None:
    found = haystack(sentences, depth)
    assert found.text.count(found.number) == 1
    before = found.text[: found.text.index("The code of")].count(". ")
    assert before == round(sentences * depth)
    assert found.number not in found.question


@given(context=st.integers(256, 2_000_000))
def test_long_texts_end_with_the_whole_context(context: int) -> None:
    sizes = sizes_up_to(context)
    assert sizes[-1] == context
    assert list(sizes) == sorted(set(sizes))


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(used=st.lists(st.floats(0, 1), min_size=len(SHARES), max_size=len(SHARES)))
def test_parts_never_take_more_than_the_whole(used: list[float]) -> None:
    clock = FakeClock()
    budget = Budget(600, clock)
    for name, share in zip(SHARES, used, strict=True):
        left = budget.part(name).left_s
        # What the parts before have left is for this one and those behind it.
        assert left >= 600 * SHARES[name] / sum(SHARES.values()) - 1e-6
        clock.now += left * share
    assert clock.now <= 1600 + 1e-6


def test_part_without_time_does_nothing() -> None:
    clock = FakeClock()
    part = Budget(10, clock).part("speed")

    async def late() -> None:
        async with part.task():
            clock.now += 5
        with pytest.raises(OutOfTimeError):
            async with part.task():
                raise AssertionError

    asyncio.run(late())
    assert part.used_s == 5


def test_task_ends_with_the_time_of_its_part() -> None:
    async def slow() -> None:
        loop = asyncio.get_running_loop()
        part = Budget(0.05, loop.time).part("long_context")
        with pytest.raises(OutOfTimeError):
            async with part.task():
                await asyncio.sleep(60)

    asyncio.run(slow())


def parts(**passed: int) -> dict[str, Part]:
    found = {
        name: Part(planned=10, done=10, passed=passed.get(name, 10), seconds=1.0)
        for name in ("speed", *EARNED)
    }
    found["calls"] = Part(
        planned=10,
        done=10,
        passed=passed.get("calls", 10),
        seconds=1.0,
        facts={"right": 9, "any_done": 5, "any_valid": 5, "auto_done": 5, "auto_valid": 4},
    )
    return found


def result(**changes: Any) -> ExamResult:
    fields: dict[str, Any] = {
        "taken_at": "2026-11-29T20:00:00Z",
        "minutes": 10.0,
        "seed": 15,
        "antiphon": "0.1.0",
        "engine": "llama (xllamacpp 2026.10)",
        "model": ModelFacts(id="m", file="m.gguf", bytes=8, sha256="a" * 64, context_tokens=8192),
        "machine": MachineFacts(processor="Chip", cores=2, memory_bytes=24 * 10**9),
        "speed": Speed(812.3, 41.2),
        "memory_bytes": 5_200_000_000,
        "parts": {
            **parts(),
            "objects": Part(planned=10, done=10, passed=9, seconds=3.0, facts={"right": 7}),
            "edits": Part(planned=5, done=5, passed=3, seconds=3.0, facts={"turns": 14}),
            "long_context": Part(
                planned=10,
                done=6,
                passed=5,
                seconds=60.0,
                facts={"longest_asked": 8192, "longest_found": 2048},
                problem="prompt is too long",
            ),
        },
    }
    return ExamResult(**{**fields, **changes})


@pytest.mark.parametrize("name", EARNED)
def test_model_has_earned_what_every_part_has_passed(name: str) -> None:
    assert has_earned(parts())
    just = round(10 * EARNED[name])
    assert has_earned(parts(**{name: just}))
    assert not has_earned(parts(**{name: just - 1}))
    few = {**parts(), name: Part(planned=10, done=4, passed=4, seconds=1.0)}
    assert not has_earned(few)
    assert not has_earned({key: part for key, part in parts().items() if key != name})


def test_result_is_kept_beside_the_file_and_found_for_it(tmp_path: Path) -> None:
    weights, data = tmp_path / "m.gguf", tmp_path / "data"
    weights.write_bytes(b"GGUF1234")
    assert kept_result(weights, data) is None
    assert keep_result(result(), weights, data) == tmp_path / "m.gguf.exam.json"
    assert kept_result(weights, data) == result()
    # Another file by the same name has not been examined.
    weights.write_bytes(b"GGUF12345")
    assert kept_result(weights, data) is None


def test_result_that_cannot_stand_beside_the_file_is_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    weights, data = folder / "m.gguf", tmp_path / "data"
    folder.mkdir()
    weights.write_bytes(b"GGUF1234")
    # A folder in its place: a test as root can write everywhere.
    (folder / "m.gguf.exam.json").mkdir()
    kept = keep_result(result(), weights, data)
    assert kept == data / "exams" / "m.gguf-8.exam.json"
    assert kept_result(weights, data) == result()


def test_nothing_is_written_beside_the_model_of_another_program(tmp_path: Path) -> None:
    blobs, data = tmp_path / ".ollama/models/blobs", tmp_path / "data"
    blobs.mkdir(parents=True)
    weights = blobs / f"sha256-{'a' * 64}"
    weights.write_bytes(b"GGUF1234")
    examined = result(model=ModelFacts(id="m", file=weights.name, bytes=8))
    stores = OtherStores(ollama=(tmp_path / ".ollama/models",))
    kept = keep_result(examined, weights, data, stores)
    assert kept.parent == data / "exams"
    assert list(blobs.iterdir()) == [weights]
    assert kept_result(weights, data) == examined


def test_result_of_a_server_elsewhere_is_in_the_data_folder(tmp_path: Path) -> None:
    elsewhere = result(model=ModelFacts(id="org/m"), machine=MachineFacts(elsewhere=True))
    kept = keep_result(elsewhere, None, tmp_path / "data")
    assert kept == tmp_path / "data/exams/org-m.exam.json"
    assert json.loads(kept.read_text())["machine"]["elsewhere"] is True


@pytest.mark.parametrize(
    "damaged", [b'{"format": 2}', b'{"taken_at": "\xff"}', b"", b"[" * 100_000]
)
def test_damaged_result_is_none(tmp_path: Path, damaged: bytes) -> None:
    weights = tmp_path / "m.gguf"
    weights.write_bytes(b"GGUF1234")
    (tmp_path / "m.gguf.exam.json").write_bytes(damaged)
    assert kept_result(weights, tmp_path) is None


def test_table_has_every_part_in_eighty_columns() -> None:
    table = exam_table(result())
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    for title in TITLES.values():
        assert any(line.startswith(title) for line in lines)
    said = " ".join(table.split())
    assert "10 of 10 done, 10 valid; 9 with the right tool and values" in said
    assert "any: 5 of 5, auto: 4 of 5" in said
    assert "6 of 10 done, 5 found" in said
    assert "then its time was over (first problem: prompt is too long)" in said
    assert "812.3 of prompts and 41.2 of answers in a second" in said
    assert lines[-1].split() == ["result", "not", "passed"]
    assert exam_line(result(earned=True)).endswith("; passed")


def test_exam_that_cannot_be_taken_says_why(shell: Shell) -> None:
    assert "a number up to" in shell.complaint("models exam --minutes 0")
    both = "models exam --base-url http://127.0.0.1:1 --model m.gguf"
    assert "a server elsewhere has its own models" in shell.complaint(both)
    said = shell.complaint("models exam --base-url http://127.0.0.1:1")
    assert "wants a key: ANTIPHON_API_KEY=" in said
    assert "choose a model with --id; models of the settings: scripted" in shell.complaint(
        "models exam --id other"
    )


class LongReader:
    """A model that finds everything in its context, and whose tokens are few in short texts."""

    def __init__(self, context: int) -> None:
        self.context = context

    async def count(self, body: Any) -> int:
        text = body["messages"][0]["content"]
        return int(len(text) / 5 * (1.03 if len(text) > 50_000 else 1))

    async def message(self, body: Any) -> Any:
        if await self.count(body) + body["max_tokens"] > self.context:
            raise RefusedError(400, "prompt is too long")
        (number,) = re.findall(r"lighthouse is (\d+)", body["messages"][0]["content"])
        return {"content": [{"type": "text", "text": number}]}


@pytest.mark.anyio
@pytest.mark.parametrize("context", [600, 8_192, 131_072])
async def test_longest_text_fits_into_the_context(context: int) -> None:
    reader: Any = LongReader(context)
    part = await examine_long_context(reader, PartTime(lambda: 0.0, 60), context)
    assert (part.problem, part.passed) == (None, part.planned)
    assert part.facts["longest_found"] == context
