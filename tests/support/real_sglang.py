"""A real SGLang on a CPU, with the default model: prepared once, beside a prepared vLLM.

It takes a minute, so only `make soak` does. The folder has what SGLang imports and vLLM does not;
PyTorch, transformers, xgrammar and the model are those of vLLM's folder. SGLang imports the names
of its own kernels at its start. They are built for graphics cards, and for a Llama in float32 on a
processor it calls none of them: a module that has any name stands for them.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.real_vllm import NAME, RunningVllm, free_port, running

VERSION: Final = "0.5.23"
PACKAGES: Final = (
    f"sglang=={VERSION}",
    *("distro==1.9.0", "easydict==1.14", "modelscope==1.40.2", "nvidia-ml-py==13.615.71"),
    *("openai==2.8.0", "openai-harmony==0.0.4", "orjson==3.13.0", "python-dateutil==4.0.0"),
    *("scipy==1.17.1", "soundfile==0.13.1", "torchaudio==2.11.1", "torchvision==0.28.0"),
    *("xxhash==4.1.0", "zstandard==0.25.0", "ipython==9.18.1", "traitlets==5.16.1"),
    *("decorator==5.3.1", "build==1.6.1"),
)
KERNELS: Final = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def absent(*_, **__):
        raise NotImplementedError(name)

    return absent
"""
LAUNCH: Final = """
import runpy
import torch

# torchvision's own operators are built for graphics cards; that these two are known is enough.
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
if __name__ == "__main__":
    runpy.run_module("sglang.launch_server", run_name="__main__")
"""


def prepare_sglang(folder: Path, vllm: Path) -> None:
    """Install SGLang beside the vLLM of another folder, if that was not done."""
    if (folder / "ready").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(folder / "v"))
    python = str(folder / "v" / "bin" / "python")
    _run(python, "-m", "pip", "install", "-q", "--no-deps", *PACKAGES)
    (packages,) = (folder / "v" / "lib").glob("*/site-packages")
    (beside,) = (vllm / "v" / "lib").glob("*/site-packages")
    (packages / "zz_vllm.pth").write_text(f"{beside.resolve()}\n", encoding="utf-8")
    (packages / "sgl_kernel").mkdir(exist_ok=True)
    (packages / "sgl_kernel" / "__init__.py").write_text(KERNELS, encoding="utf-8")
    # Without its library torchaudio does what needs none.
    for library in (packages / "torchaudio" / "lib").glob("*.so"):
        library.unlink()
    (folder / "launch.py").write_text(LAUNCH, encoding="utf-8")
    (folder / "ready").touch()


@contextmanager
def real_sglang(
    folder: Path, vllm: Path, *flags: str, port: int | None = None
) -> Iterator[RunningVllm]:
    """Run a prepared SGLang with the model of vLLM's folder until the block ends."""
    port = free_port() if port is None else port
    command = [
        *(str(folder / "v" / "bin" / "python"), str(folder / "launch.py")),
        *("--model-path", str(vllm / "hf"), "--served-model-name", NAME, "--device", "cpu"),
        *("--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)),
        *("--attention-backend", "torch_native", "--sampling-backend", "pytorch"),
        *("--grammar-backend", "xgrammar", "--disable-overlap-schedule"),
        *("--cuda-graph-backend-decode", "disabled", "--cuda-graph-backend-prefill", "disabled"),
        *("--context-length", "4096", "--max-total-tokens", "20000", "--sleep-on-idle"),
        *("--enable-priority-scheduling", *flags),
    ]
    environ = {
        "SGLANG_USE_CPU_ENGINE": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
    }
    with running(command, environ, folder / f"log-{port}", port) as server:
        yield server


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
