"""The options of a llama engine: a model's table in the settings, decoded."""

import os
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Annotated, Any

from msgspec import Meta

from antiphon.engines.base import EngineStartError
from antiphon.engines.base import decode_options as options_of
from antiphon.engines.llama.control_groups import cpu_shares
from antiphon.engines.llama.snapshots.budget import DEFAULT_BYTES
from antiphon.engines.token.options import TemplateOptions

LARGEST_CONTEXT = 8_000_000
"""With the most slots still a number of 32 bits, as llama.cpp has it."""


class LlamaOptions(TemplateOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a child process, or the address of a running server.

    - `url`: a running `llama-server` to use instead of a child process, and `api_key`, its key.
    - `mmproj`: the file of a vision projector for images, made for this very model.
    - `temperature`: that of requests that name none; 1 by default, as the API has it.
    - `threads`: at most and by default the cores that this process may use.
    - `context`: tokens per slot (prompt and answer); 0 is chosen by the model and the free memory
      (`context.py`). llama.cpp rounds it up to a multiple of 256.
    - `slots`: requests computed at once; more wait in line.
    - `gpu_layers`: layers kept on the GPU; -1 is as many as fit. Without a GPU it has no effect.
    - `batch`: tokens of prompts read in one batch, during which other answers stand still; by
      default 256 without a GPU, 512 with a projector, and the default of llama.cpp with a GPU.
    - `snapshot_bytes`: the bytes that saved prefixes of prompts may take on the disk, but never
      more than a tenth of what is free; 0 saves none.
    - `batch_child`: whether a second child computes the requests of batches, if there is memory for
      it, and stands still while others are computed. It takes as much as the first one
      without the file of the weights. Only on Linux, without a GPU and without a `url`.
    - `start_timeout_s`: how long loading may take.
    - `wait_s`: how long a request waits for a child that is restarting.
    - `silence_timeout_s`: the longest silence in a completion, then the child is restarted. While
      one batch of a prompt is read, other answers are silent.
    """

    url: Annotated[str, Meta(pattern="^https?://")] | None = None
    api_key: str | None = None
    mmproj: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    threads: Annotated[int, Meta(ge=1)] | None = None
    context: Annotated[int, Meta(ge=0, le=LARGEST_CONTEXT)] = 0
    slots: Annotated[int, Meta(ge=1, le=256)] = 4
    gpu_layers: Annotated[int, Meta(ge=-1)] = -1
    batch: Annotated[int, Meta(ge=32)] | None = None
    snapshot_bytes: Annotated[int, Meta(ge=0)] = DEFAULT_BYTES
    batch_child: bool = True
    start_timeout_s: Annotated[float, Meta(gt=0)] = 300.0
    wait_s: Annotated[float, Meta(ge=0)] = 30.0
    silence_timeout_s: Annotated[float, Meta(gt=0)] = 60.0

    def __repr__(self) -> str:
        key = "None" if self.api_key is None else "'***'"
        return f"LlamaOptions(url={self.url!r}, api_key={key}, slots={self.slots}, …)"

    def threads_of(self, available: int) -> int:
        """Return the threads to use: more threads than cores only slow each other down."""
        return min(self.threads or available, available)


def decode_options(model: str, options: Mapping[str, Any]) -> LlamaOptions:
    """Decode a model's options. Raises `EngineStartError`, which names the wrong option."""
    decoded = options_of(model, options, LlamaOptions)
    if decoded.url is not None and decoded.mmproj is not None:
        raise EngineStartError(
            f"Model `{model}`: the server at `url` has its own projector; remove `mmproj`."
        )
    return decoded


def available_cores(shares: Sequence[float] | None = None) -> int:
    """Return the cores this process may use: its affinity, in a container its share of the CPU.

    A container with two cores' worth of time on a machine of 64 would otherwise run 64 threads,
    which wait for one another most of the time. `shares` are by default those of this process.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    shares = cpu_shares() if shares is None else shares
    return max(1, min([cores, *map(ceil, shares)]))
