"""The parts of the exam: each asks the model for its tasks, and judges the answers."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, Final

from antiphon.cli.exam.api import ExamApi, RefusedError, Timed
from antiphon.cli.exam.budget import OutOfTimeError, PartTime
from antiphon.cli.exam.result import Part, Speed
from antiphon.cli.exam.tasks import (
    DEPTHS,
    EDIT_TOOLS,
    EDITS,
    CallTask,
    EditTask,
    Haystack,
    Json,
    ObjectTask,
    call_tasks,
    filler,
    haystack,
    object_tasks,
    run_edit_tool,
    schema_of,
)
from antiphon.schemas.check import fits
from antiphon.schemas.steps import TooComplexError

TURNS: Final = 8
"""The most requests of one edit."""
PROMPTS: Final = (256, 1_024, 2_048)
"""About the tokens of the prompts whose speed is measured; the middle one counts."""
ANSWER_TOKENS: Final = 64
SENTENCES: Final = 100
SENTENCE_TOKENS: Final = 16
"""About as many as a sentence has."""
SIZES: Final = (2_048, 8_192, 32_768, 131_072, 524_288)
"""The tokens of long texts. The last one is what the context of the model holds."""
FOUND_TOKENS: Final = 64
"""The most tokens of the answer to a long text."""
TRIES: Final = 3
FRAME: Final = 512
"""Tokens of a long prompt that are not its text: the question, the template, the answer."""


class _Tally:
    """Counts the tasks of a part as they are done."""

    def __init__(self, planned: int, time: PartTime) -> None:
        self._time = time
        self._planned = planned
        self.done = 0
        self.passed = 0
        self.facts: dict[str, int | float | None] = {}
        self._problem: str | None = None

    def count(self, fact: str, amount: int = 1) -> None:
        self.facts[fact] = (self.facts.get(fact) or 0) + amount

    @asynccontextmanager
    async def task(self) -> AsyncGenerator[None]:
        """Do one task in the time of the part. A refusal of the server is a task without a pass."""
        async with self._time.task():
            try:
                yield
            except RefusedError as error:
                self._problem = self._problem or str(error)
            self.done += 1

    def part(self) -> Part:
        return Part(
            planned=self._planned,
            done=self.done,
            passed=self.passed,
            seconds=round(self._time.used_s, 1),
            facts=self.facts,
            problem=self._problem,
        )


async def examine_speed(
    api: ExamApi, time: PartTime, context: int, mark: str
) -> tuple[Part, Speed]:
    """Measure how fast prompts are read and answers written, after a first request.

    Prompts begin with the `mark` of this exam, so that nothing is reused of an earlier one.
    """
    tally = _Tally(2 * len(PROMPTS) + 1, time)
    read: list[float] = []
    written: list[float] = []
    try:
        async with tally.task():
            await api.message({"max_tokens": 1, "messages": _asked("Hello")})
            tally.passed += 1
        for number, size in enumerate(PROMPTS):
            sentences = max(1, min(size, context // 2) // SENTENCE_TOKENS)
            async with tally.task():
                text = f"{mark} {number}. {filler(sentences)}"
                timed = await api.timed({"max_tokens": 1, "messages": _asked(text)})
                tally.passed += _add(read, timed.input_tokens, timed.first_s)
            async with tally.task():
                asked = _asked(f"Write a long story about {number + 2} lighthouses.")
                timed = await api.timed({"max_tokens": ANSWER_TOKENS, "messages": asked})
                tally.passed += _add_decode(written, timed)
    except OutOfTimeError:
        pass
    return tally.part(), Speed(
        prefill=round(median(read), 1) if read else None,
        decode=round(median(written), 1) if written else None,
    )


def _add(speeds: list[float], tokens: int, seconds: float) -> bool:
    if tokens > 0 and seconds > 0:
        speeds.append(tokens / seconds)
        return True
    return False


def _add_decode(speeds: list[float], timed: Timed) -> bool:
    """Note the speed of an answer. The first token is there when the time of the others begins."""
    return _add(speeds, timed.output_tokens - 1, timed.last_s - timed.first_s)


async def examine_calls(api: ExamApi, time: PartTime) -> Part:
    """Ask for calls of tools: they pass if they call one of them, with an input that fits it."""
    tasks = call_tasks()
    tally = _Tally(len(tasks), time)
    tally.facts.update(right=0, any_done=0, any_valid=0, auto_done=0, auto_valid=0)
    try:
        for task in tasks:
            async with tally.task():
                answer = await api.message(
                    {
                        "messages": _asked(task.question),
                        "tools": list(task.tools),
                        "tool_choice": {"type": task.choice},
                    }
                )
                calls = [one for one in answer["content"] if one["type"] == "tool_use"]
                if calls and all(is_valid(task, call) for call in calls):
                    tally.passed += 1
                    tally.count(f"{task.choice}_valid")
                    tally.count("right", any(is_right(task, call) for call in calls))
            tally.count(f"{task.choice}_done")
    except OutOfTimeError:
        pass
    return tally.part()


def is_valid(task: CallTask, call: Json) -> bool:
    """Return whether a call is of an offered tool, and its input fits the tool's schema."""
    schema = schema_of(task, call["name"])
    return schema is not None and _fits(call["input"], schema)


def is_right(task: CallTask, call: Json) -> bool:
    """Return whether a call is the one that was asked for."""
    return bool(call["name"] == task.name and alike(call["input"], task.input))


def alike(given: Any, wanted: Any) -> bool:
    """Return whether two values are the same, but for case, spaces and full stops around texts."""
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and given.keys() == wanted.keys()
            and all(alike(given[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(given, list) and len(given) == len(wanted) and all(map(alike, given, wanted))
        )
    if isinstance(wanted, str):
        return isinstance(given, str) and _plain(given) == _plain(wanted)
    # True is 1 for Python, and no number for JSON.
    return isinstance(given, bool) == isinstance(wanted, bool) and bool(given == wanted)


def _plain(text: str) -> str:
    return text.strip(" .\n").lower()


async def examine_objects(api: ExamApi, time: PartTime) -> Part:
    """Ask for objects by a schema: they pass if they are JSON that fits."""
    tasks = object_tasks()
    tally = _Tally(len(tasks), time)
    tally.facts.update(right=0)
    try:
        for task in tasks:
            async with tally.task():
                value = _value(await api.message(_object_request(task)))
                if value is not None and _fits(value, task.schema):
                    tally.passed += 1
                    tally.count("right", alike(value, task.value))
    except OutOfTimeError:
        pass
    return tally.part()


def _object_request(task: ObjectTask) -> Json:
    return {
        "messages": _asked(f"Take the facts out of this text: {task.text}"),
        "output_config": {"format": {"type": "json_schema", "schema": task.schema}},
    }


def _value(answer: Json) -> Any:
    try:
        return json.loads(text_of(answer))
    except ValueError:
        return None


async def examine_edits(api: ExamApi, time: PartTime) -> Part:
    """Have files edited over several turns: they pass if the file is then as it is to be."""
    tally = _Tally(len(EDITS), time)
    tally.facts.update(turns=0)
    try:
        for task in EDITS:
            async with tally.task():
                files = {task.path: task.before}
                tally.count("turns", await _edit(api, task, files))
                tally.passed += files == {task.path: task.after}
    except OutOfTimeError:
        pass
    return tally.part()


async def _edit(api: ExamApi, task: EditTask, files: dict[str, str]) -> int:
    """Let the model edit the files; return the requests that it took."""
    messages = _asked(f"{task.instruction} Read the file first.")
    for turn in range(1, TURNS + 1):
        answer = await api.message({"messages": messages, "tools": list(EDIT_TOOLS)})
        calls = [one for one in answer["content"] if one["type"] == "tool_use"]
        if not calls:
            return turn
        messages += [
            {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": [_result(files, call) for call in calls]},
        ]
    return TURNS


def _result(files: dict[str, str], call: Json) -> Json:
    given = call["input"] if isinstance(call["input"], dict) else {}
    said, failed = run_edit_tool(files, call["name"], given)
    return {
        "type": "tool_result",
        "tool_use_id": call["id"],
        "content": said,
        "is_error": failed,
    }


async def examine_long_context(api: ExamApi, time: PartTime, context: int) -> Part:
    """Ask for a sentence of texts that become longer, at several depths of each."""
    tasks = [(size, depth) for size in sizes_up_to(context) for depth in DEPTHS]
    tally = _Tally(len(tasks), time)
    tally.facts.update(longest_found=0, longest_asked=0)
    try:
        async with time.task():
            each = await api.count({"messages": _asked(filler(SENTENCES))}) / SENTENCES
        for size, depth in tasks:
            async with tally.task():
                straw = await _fitting(api, size, depth, each)
                answer = await api.message(
                    {"max_tokens": FOUND_TOKENS, "messages": _asked(_question_in(straw))}
                )
                tally.facts["longest_asked"] = size
                if straw.number in text_of(answer).replace(",", ""):
                    tally.passed += 1
                    tally.facts["longest_found"] = size
    except OutOfTimeError:
        pass
    return tally.part()


async def _fitting(api: ExamApi, size: int, depth: float, each: float) -> Haystack:
    """Return a text that fits into so many tokens with its answer.

    `each` is about what a sentence has. In a long text an error of one in a hundred would be more
    than the frame, and the model be blamed for it.
    """
    straw = haystack(sentences := max(1, int((size - FRAME) / each)), depth)
    for _ in range(TRIES):
        counted = await api.count({"messages": _asked(_question_in(straw))})
        if counted <= size - FOUND_TOKENS:
            break
        sentences = max(1, int(sentences * (size - FRAME) / counted))
        straw = haystack(sentences, depth)
    return straw


def _question_in(straw: Haystack) -> str:
    return f"{straw.text}\n\n{straw.question}"


def sizes_up_to(context: int) -> tuple[int, ...]:
    """Return the sizes of long prompts for a context: some that are smaller, and all of it."""
    smaller = [size for size in SIZES if size * 4 <= context * 3]
    return (*smaller, context)


def text_of(answer: Json) -> str:
    """Return the text of an answer."""
    return "".join(one["text"] for one in answer["content"] if one["type"] == "text")


def _asked(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def _fits(value: Any, schema: Json) -> bool:
    try:
        return fits(value, schema)
    except TooComplexError:
        return False
