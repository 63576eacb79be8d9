"""The facts that an exam is kept with: of the machine, of the engine, and of the model's file."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from antiphon.cli.doctor.machine import devices
from antiphon.cli.exam.result import MachineFacts
from antiphon.engines.llama.memory import physical_memory
from antiphon.engines.llama.options import available_cores
from antiphon.weights.pull import open_model_store
from antiphon.weights.source import sha256_of

PROCESSOR: Final = Path("/proc/cpuinfo")
_LIBRARIES: Final = {"llama": "xllamacpp"}


def machine_facts(engine: str | None) -> MachineFacts:
    """Return what is known of this machine; its GPUs only for an engine that may use them."""
    gpus: tuple[str, ...] = ()
    if engine == "llama":
        try:
            gpus = tuple(one.description for one in devices() if one.is_gpu)
        except OSError:
            gpus = ()
    return MachineFacts(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=processor_name(),
        cores=available_cores(),
        memory_bytes=physical_memory(),
        gpus=gpus,
    )


def processor_name(facts: Path = PROCESSOR) -> str | None:
    """Return what the processor is called."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)


def engine_version(engine: str | None) -> str | None:
    """Return an engine with the version of its library."""
    library = _LIBRARIES.get(engine or "")
    if library is None:
        return engine
    try:
        return f"{engine} ({library} {version(library)})"
    except PackageNotFoundError:  # pragma: no cover - a server could not have been started
        return engine


def sha256_of_model(weights: Path, data_dir: Path) -> str:
    """Return the SHA-256 of a model's file, which is known of one that was pulled."""
    for model in open_model_store(data_dir).models():
        if model.path == weights:
            return model.manifest.sha256
    return sha256_of(weights)
