"""What an exam has found, and where it is kept: beside the model, or in the data folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from antiphon.weights.elsewhere import OtherStores, other_stores
from antiphon.weights.model_store import write_whole

FORMAT: Final = 1
ENDING: Final = ".exam.json"
FOLDER: Final = "exams"

EARNED: Final[Mapping[str, float]] = {
    "calls": 0.9,
    "objects": 0.9,
    "edits": 0.6,
    "long_context": 0.8,
}
"""The part of its tasks that a model has to pass in each part of the exam, of those it did."""
DONE: Final = 0.5
"""The part of the tasks that has to be done for a part to count."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an exam: of `planned` tasks, `done` were done in its time, and `passed` are good.

    `facts` are its further figures. `problem` is the first error that kept a task from being good.
    """

    planned: int
    done: int
    passed: int
    seconds: float
    facts: dict[str, int | float | None] = {}
    problem: str | None = None


class Speed(msgspec.Struct, frozen=True):
    """Tokens in a second of one request: of prompts, and of answers; `None` is not known."""

    prefill: float | None
    decode: float | None


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The model that was examined. What the server does not tell of it is `None`."""

    id: str
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    context_tokens: int | None = None


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that the exam was taken on; of a server elsewhere only that is known."""

    elsewhere: bool = False
    system: str | None = None
    processor: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()


class ExamResult(msgspec.Struct, frozen=True, kw_only=True):
    """A whole exam. `earned` says whether the model passed, by `EARNED`."""

    format: Literal[1] = FORMAT
    taken_at: str
    minutes: float
    seed: int
    antiphon: str
    engine: str | None
    model: ModelFacts
    machine: MachineFacts
    speed: Speed
    memory_bytes: int | None
    parts: dict[str, Part]
    earned: bool = False


def has_earned(parts: Mapping[str, Part]) -> bool:
    """Return whether every part was done to half at least, and passed well enough."""
    return all(
        name in parts
        and parts[name].done >= max(1, parts[name].planned * DONE)
        and parts[name].passed >= parts[name].done * least
        for name, least in EARNED.items()
    )


def keep_result(
    result: ExamResult, weights: Path | None, data_dir: Path, stores: OtherStores | None = None
) -> Path:
    """Write the result beside the model's file, else into the data folder; return where.

    Nothing is written where another program keeps its models: into `stores`, by default those of
    this machine. Raises `OSError` if it can be written to neither.
    """
    content = msgspec.json.format(msgspec.json.encode(result))
    if weights is not None and not _is_of_others(weights, stores or other_stores()):
        try:
            return _written(_beside(weights), content)
        except OSError:
            pass  # a model of somebody else, or on a disk that cannot be written
    file = _in_folder(data_dir, result.model)
    file.parent.mkdir(parents=True, exist_ok=True)
    return _written(file, content)


def kept_result(weights: Path, data_dir: Path) -> ExamResult | None:
    """Return the last result of a model's file; `None` without one, or of another file."""
    size = weights.stat().st_size
    facts = ModelFacts(id="", file=weights.name, bytes=size)
    found = [
        result
        for file in (_beside(weights), _in_folder(data_dir, facts))
        if (result := _read(file)) is not None and result.model.bytes == size
    ]
    return max(found, key=lambda one: one.taken_at, default=None)


def as_json(result: ExamResult) -> Any:
    """Return a result for programs."""
    return msgspec.to_builtins(result)


def _is_of_others(weights: Path, stores: OtherStores) -> bool:
    folders = (*stores.ollama, *stores.lm_studio, *stores.hub_cache)
    return any(weights.is_relative_to(folder) for folder in folders)


def _beside(weights: Path) -> Path:
    return weights.with_name(f"{weights.name}{ENDING}")


def _in_folder(data_dir: Path, model: ModelFacts) -> Path:
    name = model.id.replace("/", "-") if model.file is None else f"{model.file}-{model.bytes}"
    return data_dir / FOLDER / f"{name}{ENDING}"


def _written(file: Path, content: bytes) -> Path:
    write_whole(file, content)
    return file


def _read(file: Path) -> ExamResult | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=ExamResult)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
