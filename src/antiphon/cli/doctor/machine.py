"""What `antiphon doctor` says of the machine: Python, memory, cores, GPU."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from antiphon.cli.doctor.finding import Finding, note, ok, problem
from antiphon.cli.output import decimal_size
from antiphon.engines.llama.child_environment import child_environment
from antiphon.engines.llama.memory import available_memory, physical_memory
from antiphon.engines.llama.options import available_cores

OLDEST_PYTHON: Final = (3, 11)
LITTLE_MEMORY: Final = 512 << 20
PATIENCE_S: Final = 60.0
# In a process of its own, as no server loads the library into itself.
_ASK: Final = (
    "import json, xllamacpp; print(json.dumps([[one['type'].name, one['description'],"
    " one['memory_total']] for one in xllamacpp.get_device_info()]))"
)
_WHEELS: Final = "https://xorbitsai.github.io/xllamacpp/whl"
# What shows that there is a GPU with its driver, and the wheels that use it.
_DRIVERS: Final = {
    "proc/driver/nvidia/version": ("NVIDIA", "cu128"),
    "dev/kfd": ("AMD", "rocm-7.2.4"),
}


class Device(msgspec.Struct, frozen=True, array_like=True):
    """A device that llama.cpp computes on; `memory` is in bytes."""

    kind: str
    description: str
    memory: int

    @property
    def is_gpu(self) -> bool:
        return "DEVICE_TYPE_GPU" in self.kind


def check_machine() -> Iterator[Finding]:
    """Look at Python, the memory and the cores."""
    yield check_python(sys.version_info[:3])
    yield check_memory(physical_memory(), available_memory())
    cores, all_cores = available_cores(), os.cpu_count() or 1
    of_all = f" of {all_cores}" if cores < all_cores else ""
    yield ok("cores", f"{cores}{of_all}")


def check_python(version: tuple[int, ...]) -> Finding:
    """Look at a version of Python."""
    said = f"{'.'.join(map(str, version))} on {platform.system()}, {sys.executable}"
    if version[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return problem("python", said, f"install Antiphon with Python {wanted} or newer")
    return ok("python", said)


def check_memory(whole: int, available: int) -> Finding:
    """Look at the memory of this process, in bytes; `available` is 0 if it is not known."""
    free = f", {decimal_size(available)} available now" if available else ""
    said = f"{decimal_size(whole)}{free}"
    if 0 < available < LITTLE_MEMORY:
        return note("memory", said, "end other programs, or choose a small model with --model")
    return ok("memory", said)


def devices(program: Sequence[str] = (sys.executable, "-P", "-c", _ASK)) -> tuple[Device, ...]:
    """Ask llama.cpp for its devices. Raises `OSError` if it cannot be loaded."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            program,
            capture_output=True,
            check=False,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"no answer within {PATIENCE_S:g} s") from error
    try:
        # The library may print lines of its own before.
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=tuple[Device, ...])
    except (IndexError, msgspec.DecodeError) as error:
        lines = done.stderr.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        raise OSError(last.strip() or f"it ended with {done.returncode}") from error


def check_gpu(found: Sequence[Device], root: Path = Path("/")) -> Finding:
    """Look whether a GPU of this machine is used. `root` is the root of its file system."""
    if gpus := [one for one in found if one.is_gpu]:
        named = ", ".join(f"{one.description} ({decimal_size(one.memory)})" for one in gpus)
        return ok("gpu", f"llama.cpp uses {named}")
    for path, (maker, wheels) in _DRIVERS.items():
        if (root / path).exists():
            return problem(
                "gpu",
                f"there is a GPU of {maker}, and the installed llama.cpp does not use it",
                f"`pip install xllamacpp --force-reinstall --index-url {_WHEELS}/{wheels}`; or set "
                "`[llama] gpu_layers = 0` to leave it to others",
            )
    return ok("gpu", "none found; the processor computes")
