"""The environment of a child: what the system, Python and the libraries of llama.cpp need.

The child runs native code on what callers send. Its parent's environment may hold API keys, admin
keys, tokens of model hubs and URLs of databases, so only variables of this list are passed on.
"""

from collections.abc import Mapping
from typing import Final

from antiphon import settings

NAMES: Final = frozenset(
    {
        # the system
        "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP",
        "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "LD_PRELOAD", "DYLD_FALLBACK_LIBRARY_PATH",
        # Python, which must find the same packages
        "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED",
        "VIRTUAL_ENV",
    }
)  # fmt: skip
# Threads, memory, and the drivers of GPUs.
PREFIXES: Final = (
    "LC_", "MALLOC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "GGML_",
    "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "ROCM_", "GPU_", "AMD_", "VK_", "MESA_",
    "SYCL_", "ONEAPI_", "ZE_", "MTL_", "METAL_",
)  # fmt: skip


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the server that its llama.cpp child gets."""
    return settings.child_environment(environ, names=NAMES, prefixes=PREFIXES)
