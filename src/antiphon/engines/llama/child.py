"""The program that runs llama.cpp: `python -m antiphon.engines.llama.child`, one per model.

It reads one line of JSON (`ChildConfig`) from stdin, answers one line (`ChildReport`) on stdout
and serves until its stdin ends. llama.cpp holds the GIL while it loads a model (seconds in which no
other Python thread runs) and may abort the whole process, so it runs in a process of its own.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from antiphon.children import claim_stdout, die_with_parent
from antiphon.engines.llama.context import context_facts, context_here, gpu_memory
from antiphon.engines.llama.memory import TooLargeError, physical_memory, refuse_too_large

OPENMP_SPINS: Final = "2000"
"""How often a thread polls the others before it sleeps. By default it polls for milliseconds, a
thousand times a token: with as many threads as cores, any other program made four streams collapse
from 110 to 10 tokens/s. With this value they keep their speed, and a single stream is as fast."""
CPU_BATCH: Final = 256
"""Tokens of a prompt read in one batch. During a batch every other answer stands still and no
request can be cancelled; on a CPU larger batches (llama.cpp's own are of 2048) are no faster."""

IMAGE_BATCH: Final = 512
"""The same for a model with a projector. In some models, all tokens of an image see one another,
and llama.cpp lets them do so within one batch only. An image of Gemma 4 has up to 280."""


class ChildConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The parent's configuration of a child. `http_threads` serve one open request each.

    A `context` of 0 is chosen by the child, which alone knows of a GPU.
    """

    parent: int
    weights: str
    context: int
    slots: int
    threads: int
    http_threads: int
    gpu_layers: int
    api_key: str
    batch: int | None = None
    slot_dir: str | None = None
    mmproj: str | None = None


class ChildReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of the start: an address, or an error; whether there is a GPU, and the context.

    Before it comes a report that the start has `begun`: from then on the child ends with its
    parent, also while it stands still.
    """

    begun: bool = False
    address: str | None = None
    gpu: bool = False
    context: int = 0
    error: str | None = None


def main() -> None:
    """Serve the model that stdin names, for as long as the parent lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the parent, which decides
    os.umask(0o077)  # its files hold what callers have said
    report_to = claim_stdout()
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildConfig)
    die_with_parent(config.parent, b"antiphon-llama")
    _report(report_to, ChildReport(begun=True))
    try:
        server, loaded = _serve(config)
    except TooLargeError as error:
        _report(report_to, ChildReport(error=str(error)))
        sys.exit(1)
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
        _report(report_to, ChildReport(error=f"{type(error).__name__}: {error}"))
        sys.exit(1)
    _report(report_to, replace(loaded, address=server.listening_address))
    # The parent never writes again: this returns when the parent has ended, for any reason. That
    # ends the child on every system; on Linux PR_SET_PDEATHSIG does so even while a model loads.
    sys.stdin.buffer.read()
    os._exit(0)  # without its parent the child has nothing to finish


def _report(descriptor: int, report: ChildReport) -> None:
    os.write(descriptor, msgspec.json.encode(report) + b"\n")


def _serve(config: ChildConfig) -> tuple[Any, ChildReport]:
    """Return the server, and what is known of it but its address."""
    # OpenMP reads it when it is loaded. A value of the operator stays.
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)
    import xllamacpp  # noqa: PLC0415 - heavy, and no other process may load it

    devices = xllamacpp.get_device_info()
    has_gpu = _has_gpu(devices)
    if not config.context:
        config = replace(config, context=_chosen(config, devices))
    if not has_gpu:
        refuse_too_large(Path(config.weights), config.context, config.slots, physical_memory())
    params = xllamacpp.CommonParams()
    params.model.path = config.weights
    params.n_ctx = config.context * config.slots
    params.n_parallel = config.slots
    params.n_gpu_layers = config.gpu_layers
    params.cpuparams.n_threads = config.threads
    params.cpuparams_batch.n_threads = config.threads
    # Fitting layers to a GPU's memory reads the model twice, in vain without a GPU.
    params.fit_params = has_gpu
    _set_batch(params, batch_of(config, has_gpu=has_gpu))
    if config.mmproj is not None:
        params.mmproj.path = config.mmproj
    _bound_memory(params)
    _listen(params, config)
    return xllamacpp.Server(params), ChildReport(gpu=has_gpu, context=config.context)


def _chosen(config: ChildConfig, devices: list[dict[str, Any]]) -> int:
    """Return the context that no setting names."""
    projector = None if config.mmproj is None else Path(config.mmproj)
    facts = context_facts(Path(config.weights), projector)
    gpu = gpu_memory(devices) if config.gpu_layers else 0
    return context_here(facts, config.slots, gpu).tokens


def batch_of(config: ChildConfig, *, has_gpu: bool) -> int | None:
    """Return the tokens of a batch; `None` leaves them to llama.cpp, which takes 512 and more."""
    if config.batch is not None or has_gpu:
        return config.batch
    return CPU_BATCH if config.mmproj is None else IMAGE_BATCH


def _set_batch(params: Any, batch: int | None) -> None:
    if batch is not None:
        params.n_batch = batch
        params.n_ubatch = min(batch, params.n_ubatch)


def _bound_memory(params: Any) -> None:
    params.cache_ram_mib = 0  # the default is a copy of old slots in up to 8 GiB of memory
    params.cache_idle_slots = False


def _listen(params: Any, config: ChildConfig) -> None:
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # Every user and web page of this machine can reach loopback, so the server needs a key.
    params.api_keys = [config.api_key]
    params.n_threads_http = config.http_threads
    params.endpoint_slots = True
    params.ui = False
    if config.slot_dir is not None:
        params.slot_save_path = config.slot_dir


def _has_gpu(devices: list[dict[str, Any]]) -> bool:
    return any("DEVICE_TYPE_GPU" in device["type"].name for device in devices)


if __name__ == "__main__":
    main()
