"""`antiphon models recommended`: the models of the catalogue that fit a machine."""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.doctor.machine import Device, devices
from antiphon.cli.exam.result import ExamResult, kept_result
from antiphon.cli.output import decimal_size, say, say_json
from antiphon.cli.program import folded
from antiphon.engines.llama.bandwidth import memory_bandwidth
from antiphon.engines.llama.memory import free_memory, physical_memory
from antiphon.engines.llama.options import available_cores
from antiphon.settings import Settings
from antiphon.weights.catalogue import (
    CLAUDE_CODE,
    CONTEXT,
    SHARE,
    CatalogueModel,
    Fit,
    Machine,
    best,
    fits,
    read_catalogue,
)
from antiphon.weights.pull import located
from antiphon.weights.source import PullError
from antiphon.weights.spec import parse_spec

PAGE: Final = "docs/how-to/choose-a-model.md"
_UNITS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]?)(?P<binary>i?)B?", re.IGNORECASE)
_INDENT: Final = 24


Recommended: TypeAlias = Callable[[], Fit | None]
"""Returns the model to recommend for a machine."""


def recommended_here() -> Fit | None:
    """Return the model to recommend for this machine, by its memory alone: no GPU is asked for."""
    return best(Machine(free_memory()), read_catalogue())


def serve_command(model: CatalogueModel) -> str:
    """Return the command that serves a model."""
    return f"antiphon serve --model {model.name}"


def print_recommended(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what fits this machine, or one that is told; 1 if nothing does but the toy."""
    models = read_catalogue()
    machine, told = _machine(arguments)
    found = fits(machine, models)
    chosen = best(machine, models)
    exams = _exams(models, settings)
    left_out = [model for model in models if all(fit.model is not model for fit in found)]
    if arguments.json:
        too_large = left_out if arguments.all else ()
        say_json(_as_json(machine, found, too_large, chosen, exams))
    else:
        for line in (told, "", *_blocks(found, chosen, exams)):
            say(line)
        if arguments.all:
            for model in left_out:
                say(_too_large(model))
        for line in _explained(machine, chosen):
            say(folded(line))
    return 0 if chosen is not None else 1


def _machine(arguments: argparse.Namespace) -> tuple[Machine, str]:
    """Return the machine to choose for, and what is said of it."""
    if arguments.memory is not None or arguments.gpu_memory is not None:
        memory = free_memory() if arguments.memory is None else size_of(arguments.memory)
        gpu = size_of(arguments.gpu_memory or "0")
        on_gpu = f" and a GPU with {decimal_size(gpu)}" if gpu else ""
        return Machine(memory, gpu), f"For a machine with {decimal_size(memory)} free{on_gpu}:"
    gpus = _gpus()
    cores = available_cores()
    machine = Machine(free_memory(), max((one.memory for one in gpus), default=0))
    measured = memory_bandwidth(cores, min(256 << 20, machine.memory // 8 or 1))
    machine = msgspec.structs.replace(machine, bandwidth=measured)
    facts = [
        f"{decimal_size(machine.memory)} of {decimal_size(physical_memory())} memory free",
        f"{cores} core{'' if cores == 1 else 's'}",
        ", ".join(f"{one.description} ({decimal_size(one.memory)})" for one in gpus) or "no GPU",
    ]
    if measured is not None:
        facts.append(f"memory read at {decimal_size(int(measured))}/s (measured)")
    return machine, folded(f"This machine: {', '.join(facts)}.")


def _gpus() -> Sequence[Device]:
    try:
        return [one for one in devices() if one.is_gpu]
    except OSError:
        return ()


def _exams(models: Sequence[CatalogueModel], settings: Settings) -> Mapping[str, ExamResult]:
    """Return the last exam of each model that is here and was examined, by its name."""
    found: dict[str, ExamResult] = {}
    for model in models:
        with suppress(PullError, OSError):
            path = located(parse_spec(model.model), settings.data_dir)
            exam = None if path is None else kept_result(path, settings.data_dir)
            if exam is not None:
                found[model.name] = exam
    return found


def _blocks(
    found: Sequence[Fit], chosen: Fit | None, exams: Mapping[str, ExamResult]
) -> Iterator[str]:
    """Yield a block of lines for each model: what it is, what it can, and its command."""
    indent = " " * _INDENT
    for fit in found:
        model = fit.model
        facts = [decimal_size(model.size), f"{fit.context:,} tokens of context"]
        if fit.speed is not None:
            facts.append(f"about {_rounded(fit.speed)} tokens/s")
        if fit.on_gpu:
            facts.append("on the GPU")
        can = ", ".join(model.can) or model.note or ""
        run = "" if model.run_here else "; not run here"
        mark = "* " if fit == chosen else "  "
        yield f"{mark}{model.name:{_INDENT - 2}}{', '.join(facts)}"
        yield f"{indent}{can}; {model.licence.partition(',')[0]}{run}"
        if (exam := exams.get(model.name)) is not None:
            passed = "passed" if exam.earned else "not passed"
            yield f"{indent}examined here on {exam.taken_at[:10]}: {passed}"
        yield f"{indent}{serve_command(model)}"


def _too_large(model: CatalogueModel) -> str:
    needed = decimal_size(model.needed(min(CONTEXT, model.context)))
    return f"  {model.name:{_INDENT - 2}}does not fit: it needs {needed}"


def _explained(machine: Machine, chosen: Fit | None) -> Iterator[str]:
    yield ""
    if chosen is None:
        yield (
            f"No model that does real work fits: the smallest needs "
            f"{decimal_size(min(one.needed(CONTEXT) for one in read_catalogue() if one.can))}. "
            "End other programs, or choose a machine with more memory."
        )
    else:
        yield f"* is the best for this: `{serve_command(chosen.model)}`"
    yield (
        f"The context is that of one conversation; Claude Code needs about {CLAUDE_CODE:,} tokens. "
        "Facts are those of the models' pages."
    )
    if machine.bandwidth is not None:
        yield (
            f"Tokens/s are estimates: {SHARE:.0%} of the measured speed of the memory, divided by "
            f"the weights that are read for each token ({PAGE})."
        )


def _as_json(
    machine: Machine,
    found: Sequence[Fit],
    too_large: Sequence[CatalogueModel],
    chosen: Fit | None,
    exams: Mapping[str, ExamResult],
) -> dict[str, Any]:
    def entry(model: CatalogueModel) -> dict[str, Any]:
        facts: dict[str, Any] = msgspec.to_builtins(model)
        exam = exams.get(model.name)
        return {
            **facts,
            "needed": model.needed(min(CONTEXT, model.context)),
            "earned": None if exam is None else exam.earned,
        }

    return {
        "machine": machine,
        "recommended": None if chosen is None else chosen.model.name,
        "models": [
            {
                **entry(fit.model),
                "fits": True,
                "context_here": fit.context,
                "on_gpu": fit.on_gpu,
                "estimated_tokens_per_s": None if fit.speed is None else round(fit.speed, 1),
                "command": serve_command(fit.model),
            }
            for fit in found
        ]
        + [{**entry(model), "fits": False} for model in too_large],
    }


def size_of(text: str) -> int:
    """Return the bytes of a size: `8GiB`, `16 GB`, `512M`; without `i`, thousands.

    Raises `CommandError`.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise CommandError(f"{text[:40]!r} is no size, such as 8GiB, 16GB or 512MB")
    base = 1024 if found["binary"] else 1000
    return int(float(found["number"]) * base ** _UNITS[found["unit"].upper()])


def _rounded(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"  # noqa: PLR2004 - two digits
