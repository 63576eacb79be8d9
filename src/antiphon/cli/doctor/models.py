"""What `antiphon doctor` says of the served models: their files, memory and templates."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.cli.checked_model import Checked
from antiphon.cli.command import CommandError
from antiphon.cli.doctor.finding import Finding, note, ok, problem, told
from antiphon.cli.doctor.machine import Device, check_gpu, devices
from antiphon.cli.doctor.upstreams import check_server
from antiphon.cli.model_check import check
from antiphon.cli.output import decimal_size
from antiphon.cli.recommended import recommended_here, serve_command
from antiphon.cli.successor import all_served
from antiphon.cli.toy import toy_note
from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.memory import TooLargeError, physical_memory, refuse_too_large
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.engines.llama.split_files import size_of_files
from antiphon.service.models import ENGINES_FOLDER
from antiphon.service.rehearsal import check_engines
from antiphon.settings import ModelSettings, Settings
from antiphon.weights.catalogue import named_in_catalogue, read_catalogue
from antiphon.weights.pull import is_here, located
from antiphon.weights.resolve import stands_for
from antiphon.weights.source import PullError
from antiphon.weights.space import check_space
from antiphon.weights.spec import (
    PINNED,
    PathSpec,
    Pin,
    PypiSpec,
    ShortName,
    SpecError,
    canonical,
    parse_spec,
)

_ANOTHER = "choose another model"
_INSTALL = "`pip install --force-reinstall 'antiphon[server]'`"


def check_models(settings: Settings) -> Iterator[Finding]:
    """Look at the engines of all served models, and at the files that they run."""
    gpus: Sequence[Device] = ()
    options = [options for model in all_served(settings) for _, options in _local(model)]
    # Somebody who keeps every layer in memory leaves the GPU to others.
    if any(one.get("gpu_layers") != 0 for one in options):
        try:
            found = devices()
        except OSError as error:
            yield problem("llama.cpp", f"it cannot be loaded: {error}", _INSTALL)
        else:
            gpus = [one for one in found if one.is_gpu]
            yield check_gpu(found)
    for model in all_served(settings):
        yield from _model(model, settings.data_dir, has_gpu=bool(gpus))
    if settings.successor is None:
        yield from check_toy(settings.served())


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
    elsewhere = []
    for one in (one for one in model.runs_on() if one.source is None):
        found = check_server(one.engine, model.id, one.options, data_dir / ENGINES_FOLDER)
        if found is None:
            elsewhere.append(one.engine)
        else:
            yield found
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
        yield problem(
            "model",
            str(error).partition("\n")[0],
            "correct it; docs/reference/models.md has the forms of a name",
        )
        return
    except (CommandError, PullError) as error:
        yield problem("model", str(error).partition("\n")[0], _mend(source))
        return
    if checked.unusable is not None:
        yield problem("model", f"{name}: {checked.unusable}", _another())
        return
    decoded = decode_options(name, options)
    weights = located(parse_spec(source), data_dir)
    # What fits into the memory of a GPU is not known before it is tried.
    context = decoded.context or checked.context_for(decoded.slots)
    if weights is not None and not has_gpu:
        try:
            refuse_too_large(weights, context, decoded.slots, physical_memory())
        except TooLargeError as error:
            yield told("model", f"{name}: {error}", _another())
            return
        if (size := size_of_files(weights)) > (memory := physical_memory()):
            yield note(
                "model",
                f"{name}: {decimal_size(size)}, more than the {decimal_size(memory)} of memory: it "
                "is read from the disk again and again",
                _another(),
            )
            return
    yield ok("model", _described(name, checked, decoded, context))


def check_toy(models: Sequence[ModelSettings]) -> Iterator[Finding]:
    """Say that the default model is a toy, if it is served, and which one fits this machine."""
    if (said := toy_note(models)) is not None:
        text, _, mend = said.partition(". ")
        yield note("recommended", text, mend.rstrip("."))


def _missing(name: str, source: str, data_dir: Path) -> Finding:
    pin, entry = _pin(source), named_in_catalogue(parse_spec(source), read_catalogue())
    fetched, needed = 0, 0
    if pin is not None:
        # The wheel lies beside the file that is taken out of it.
        fetched, needed = pin.wheel_size, pin.wheel_size + pin.size
    elif entry is not None:
        fetched = needed = entry.size
    if needed:
        folder = next(one for one in (data_dir, *data_dir.absolute().parents) if one.is_dir())
        try:
            check_space(folder, needed)
        except PullError as error:
            return told("model", str(error), "free some space")
    size = f" ({decimal_size(fetched)})" if fetched else ""
    return ok(
        "model",
        f"{name}: not here yet; the first start fetches it{size}, and so does "
        f"`antiphon models pull {source}`",
    )


def _pin(source: str) -> Pin | None:
    """Return the size of a file that is pinned."""
    name = parse_spec(source)
    spec = canonical(stands_for(name) if isinstance(name, ShortName) else name)
    return PINNED.get(spec) if isinstance(spec, PypiSpec) else None


def _another() -> str:
    """Return what mends a model that cannot be served: the one that fits this machine."""
    fit = recommended_here()
    if fit is None:
        return f"{_ANOTHER}: `antiphon models recommended` says which fit"
    return f"{_ANOTHER}: `{serve_command(fit.model)}` fits this machine"


def _mend(source: str) -> str:
    name = parse_spec(source)
    if isinstance(name, ShortName):
        return f"correct the name; or {_another()}"
    if isinstance(name, PathSpec):
        return f"fetch the file again, or {_another()}"
    return f"`antiphon models remove {source}`, then `antiphon models pull {source}`"


def _described(name: str, checked: Checked, options: LlamaOptions, context: int) -> str:
    facts = [name]
    if checked.file is not None and checked.file.bytes is not None:
        facts.append(decimal_size(checked.file.bytes))
    if checked.learned is not None:
        calls = checked.learned.calls
        why = "" if calls.native else f" ({calls.reason})"
        facts.append(f"{calls.format} call format{why}")
    if checked.file is not None and checked.file.context:
        context = min(context, checked.file.context)
    facts.append(f"{context:,} tokens of context in each of {options.slots} slots")
    return ", ".join(facts)
