"""llama-server's own Messages API: the server that llama.cpp builds, as xllamacpp has it.

`python -m benchmarks.llama_messages WEIGHTS [TEMPLATE]` prints its address, and serves until it is
ended.
It is set as Antiphon sets its child, with llama-server's defaults for tools and templates.
"""

import os
import signal
import sys
from pathlib import Path

from antiphon.engines.llama.child import OPENMP_SPINS
from benchmarks.servers import API_KEY

CONTEXT = 2048
SLOTS = 4


def main(weights: str, template: str | None = None) -> None:
    """Serve a model, with another template than its own if one is given."""
    # Its threads wait for one another as those of Antiphon's child do.
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)
    import xllamacpp  # noqa: PLC0415 - it reads the variable

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.n_ctx = CONTEXT * SLOTS
    params.n_parallel = SLOTS
    cores = os.cpu_count() or 1
    params.cpuparams.n_threads = cores
    params.cpuparams_batch.n_threads = cores
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [API_KEY]
    if template is not None:
        params.chat_template = Path(template).read_text(encoding="utf-8")
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:])
