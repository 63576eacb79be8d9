"""The table of an exam, in 80 columns."""

from collections.abc import Callable, Iterator
from textwrap import fill
from typing import Final

from antiphon.cli.exam.result import ExamResult, Part
from antiphon.cli.output import decimal_size
from antiphon.cli.program import WIDTH

_NAMES: Final = 18
TITLES: Final = {
    "speed": "speed",
    "calls": "calls of tools",
    "objects": "structured outputs",
    "edits": "edits of files",
    "long_context": "long context",
}


def exam_table(result: ExamResult) -> str:
    """Return the report of an exam. Its lines have at most 80 columns, but for long names."""
    rows = [
        ("model", _model(result)),
        ("machine", _machine(result)),
        ("taken", f"{result.taken_at}, {result.minutes:g} minutes at most"),
        *((TITLES[name], _part(name, part)) for name, part in result.parts.items()),
        ("tokens/s", _speed(result)),
        (
            "memory",
            "not told" if result.memory_bytes is None else decimal_size(result.memory_bytes),
        ),
        ("result", _verdict(result)),
    ]
    return "\n".join(_row(name, text) for name, text in rows)


def exam_line(result: ExamResult) -> str:
    """Return an exam in a sentence."""
    parts = [
        f"{part.passed} of {part.done} {TITLES[name]}"
        for name, part in result.parts.items()
        if name != "speed"
    ]
    return f"{result.taken_at[:10]}: {', '.join(parts)}; {_speed(result)}; {_verdict(result)}"


def _row(name: str, text: str) -> str:
    indent = " " * (_NAMES + 2)
    filled = fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return name.ljust(_NAMES + 2) + filled[len(indent) :]


def _model(result: ExamResult) -> str:
    model = result.model
    facts = [model.id]
    if model.bytes is not None:
        facts.append(decimal_size(model.bytes))
    if model.context_tokens is not None:
        facts.append(f"{model.context_tokens:,} tokens of context")
    if result.engine is not None:
        facts.append(result.engine)
    return ", ".join(facts)


def _machine(result: ExamResult) -> str:
    machine = result.machine
    if machine.elsewhere:
        return "that of the server"
    cores = None if machine.cores is None else f"{machine.cores} cores"
    memory = None if machine.memory_bytes is None else decimal_size(machine.memory_bytes)
    return ", ".join(filter(None, (machine.processor, cores, memory, *machine.gpus)))


def _part(name: str, part: Part) -> str:
    said = f"{part.done} of {part.planned} done"
    if name != "speed":
        said += f", {part.passed} {_GOOD[name]}"
    said += "".join(f"; {more}" for more in _MORE.get(name, _nothing)(part))
    if part.done < part.planned:
        said += "; then its time was over"
    return said + (f" (first problem: {part.problem})" if part.problem else "")


_GOOD: Final = {
    "calls": "valid",
    "objects": "valid",
    "edits": "as asked",
    "long_context": "found",
}


def _calls(part: Part) -> Iterator[str]:
    facts = part.facts
    yield f"{facts['right']} with the right tool and values"
    yield (
        f"any: {facts['any_valid']} of {facts['any_done']}, "
        f"auto: {facts['auto_valid']} of {facts['auto_done']}"
    )


def _objects(part: Part) -> Iterator[str]:
    yield f"{part.facts['right']} with the right values"


def _edits(part: Part) -> Iterator[str]:
    turns = part.facts["turns"]
    yield "1 request" if turns == 1 else f"{turns} requests"


def _long_context(part: Part) -> Iterator[str]:
    yield f"the longest text had {part.facts['longest_asked'] or 0:,} tokens"


def _nothing(_: Part) -> Iterator[str]:
    return iter(())


_MORE: Final[dict[str, Callable[[Part], Iterator[str]]]] = {
    "calls": _calls,
    "objects": _objects,
    "edits": _edits,
    "long_context": _long_context,
}


def _speed(result: ExamResult) -> str:
    found = (("prompts", result.speed.prefill), ("answers", result.speed.decode))
    told = [f"{value:,.1f} of {name}" for name, value in found if value is not None]
    return " and ".join(told) + " in a second" if told else "not measured"


def _verdict(result: ExamResult) -> str:
    return "passed" if result.earned else "not passed"
