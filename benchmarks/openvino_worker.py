"""OpenVINO GenAI as a child process: it reads tokens from stdin and writes tokens to stdout.

It runs in the environment that has OpenVINO, which is not the one of Antiphon, and so imports
neither. Each line of stdin is a request, `{"tokens": [...], "n": N}`; the answer is a line for
each token and an empty line. The first line says that the model is loaded.
"""

import importlib
import json
import os
import sys
from typing import Any

CACHE_GB = 1
"""Room for the KV of prompts, of which prefixes are found again."""


def main() -> None:
    """Load the model that the arguments name, with so many threads and so large batches."""
    weights, threads, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Libraries may write to stdout: what they write goes to stderr.
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    openvino: Any = importlib.import_module("openvino")
    genai: Any = importlib.import_module("openvino_genai")
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = CACHE_GB
    scheduler.max_num_batched_tokens = batch
    scheduler.enable_prefix_caching = True
    properties = {"INFERENCE_NUM_THREADS": threads}
    pipeline = genai.ContinuousBatchingPipeline(weights, scheduler, "CPU", properties)
    print(f"ready {genai.__version__}", file=out)
    for number, line in enumerate(sys.stdin):
        asked = json.loads(line)
        config = genai.GenerationConfig()
        config.max_new_tokens = asked["n"]
        config.ignore_eos = True
        tokens = openvino.Tensor(_row(asked["tokens"]))
        handle = pipeline.add_request(number, tokens, config)
        while pipeline.has_non_finished_requests():
            pipeline.step()
            while handle.can_read():
                for part in handle.read().values():
                    for token in part.generated_ids:
                        print(token, file=out)
        print(file=out)


def _row(tokens: list[int]) -> Any:
    numpy: Any = importlib.import_module("numpy")
    return numpy.array([tokens], dtype=numpy.int64)


if __name__ == "__main__":
    main()
