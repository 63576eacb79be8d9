"""The chat templates of llama.cpp's repository: those of many models, as they were published.

They are in the source archive of `llama_cpp_python` on the package index, which is fetched once.
"""

import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from _pytest.mark.structures import ParameterSet
from filelock import FileLock

from support.environments import PIP, run

NAME: Final = "llama_cpp_python-0.3.36"
REQUIREMENT: Final = (
    "llama_cpp_python==0.3.36"
    " --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
)
INSIDE: Final = f"{NAME}/vendor/llama.cpp/models/templates/"
NAMES: Final = (
    "Apertus-8B-Instruct",
    "Apriel-1.6-15b-Thinker-fixed",
    "Bielik-11B-v3.0-Instruct",
    "ByteDance-Seed-OSS",
    "Cohere2MoE",
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "GLM-4.6",
    "GLM-4.7-Flash",
    "GigaChat3-10B-A1.8B",
    "GigaChat3.1-10B-A1.8B",
    "HuggingFaceTB-SmolLM3-3B",
    "Kimi-K2-Instruct",
    "Kimi-K2-Thinking",
    "Kimi-K3",
    "LFM2-8B-A1B",
    "LFM2.5-8B-A1B",
    "LFM2.5-Instruct",
    "MiMo-VL",
    "MiniMax-M1",
    "MiniMax-M2",
    "MiniMax-M3",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "NVIDIA-Nemotron-Nano-v2",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-QwQ-32B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Qwen3-Coder",
    "Qwen3.5-4B",
    "Reka-Edge",
    "Spark2.5",
    "StepFun3.5-Flash",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
    "deepseek-ai-DeepSeek-V3.2",
    "deepseek-ai-DeepSeek-V4",
    "deepseek-ai-DeepSeek-V4-Flash-0731",
    "fireworks-ai-llama-3-firefunction-v2",
    "google-gemma-2-2b-it",
    "google-gemma-4-31B-it",
    "google-gemma-4-31B-it-interleaved",
    "ibm-granite-granite-3.3-2B-Instruct",
    "ibm-granite-granite-4.0",
    "ibm-granite-granite-4.1",
    "inclusionai-ling-3.0-flash",
    "llama-cpp-deepseek-r1",
    "llama-cpp-rwkv-world",
    "meetkai-functionary-medium-v3.1",
    "meetkai-functionary-medium-v3.2",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "microsoft-Phi-3.5-mini-instruct",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "moonshotai-Kimi-K2",
    "muse-glimmer",
    "openai-gpt-oss-120b",
    "openbmb-MiniCPM5-1B",
    "poolside-Laguna-S-2.1",
    "poolside-Laguna-XS-2.1",
    "poolside-Laguna-XS.2",
    "tencent-Hy3",
    "unsloth-Apriel-1.5",
    "unsloth-mistral-Devstral-Small-2507",
    "upstage-Solar-Open-100B",
)
"""The templates of this version, so that tests can be named after them before they are fetched."""


def template_corpus(models_dir: Path) -> Mapping[str, str]:
    """Return the templates by their names; the archive (77 MB) is fetched unless they are there."""
    folder = models_dir / "templates" / NAME
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{NAME}.lock")):
        if not folder.exists():
            _fetch(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.jinja")}


def _fetch(folder: Path) -> None:
    """Fetch the archive, and put its templates in a new folder. pip checks the hash."""
    with TemporaryDirectory(dir=folder.parent) as temporary:
        wanted = Path(temporary) / "requirements.txt"
        wanted.write_text(f"{REQUIREMENT}\n", encoding="utf-8")
        # By its name: what pip builds the metadata with may come as wheels.
        kinds = ("--no-deps", "--no-binary", "llama_cpp_python", "--no-cache-dir", "--no-input")
        run([*PIP, "download", "--quiet", *kinds, "--dest", temporary, "-r", str(wanted)])
        found = Path(temporary) / "found"
        found.mkdir()
        with tarfile.open(Path(temporary) / f"{NAME}.tar.gz") as archive:
            for member in archive:
                if member.name.startswith(INSIDE) and member.name.endswith(".jinja"):
                    content = archive.extractfile(member)
                    assert content is not None, member.name
                    with content, (found / Path(member.name).name).open("wb") as file:
                        shutil.copyfileobj(content, file)
        found.rename(folder)


def every_other(names: Iterable[str]) -> list[ParameterSet]:
    """Return the parameters of a test that all templates pass; every other one in `make soak`.

    Neighbours are relatives, so what is left has something of each family.
    """
    return [
        pytest.param(name, marks=[pytest.mark.soak] if number % 2 else [])
        for number, name in enumerate(names)
    ]
