"""Two nodes of a Ray cluster on this machine, and vLLM on them.

Ray is installed beside a prepared vLLM (`support.real_vllm`). Each node has an address of its own
on the loopback; 127.0.0.1 is none, as Ray puts the machine's own in its place. What has been
started is found by its parents and ended by its id: another cluster is not touched.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from support.real_vllm import free_port

RAY: Final = "2.60.0"
ADDRESSES: Final = ("127.0.0.2", "127.0.0.3")
APPLICATION: Final = Path(__file__).with_name("ray_application") / "two_replicas.py"
"""In a folder of its own, because Ray lets its processes import what lies beside it."""
READY: Final = "Application 'default' is ready"
"""What Serve tells when all replicas are; its `/v1/models` lists a model before."""
STARTING_S: Final = 400.0
REPLICA: Final = "ray::ServeReplica:default:LLMServer"
MEMORY: Final = "100000000"
"""The bytes of a node's object store, which answers do not need."""


class RayCluster:
    """The programs of a prepared folder, and the cluster that they find."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._python = folder / "v" / "bin" / "python"
        self._temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a path of sockets
        self._address = f"{ADDRESSES[0]}:{free_port()}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": f"{self._python.parent}:{os.environ['PATH']}",
            "RAY_ADDRESS": self._address,
            "RAY_USAGE_STATS_ENABLED": "0",
            "VLLM_HOST_IP": ADDRESSES[0],
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }

    def install(self) -> None:
        packages = (f"ray[serve]=={RAY}", "pyarrow")
        command = (str(self._python), "-m", "pip", "install", "-q", *packages)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def run(self, name: str, *command: str) -> "tuple[subprocess.Popen[bytes], Path]":
        """Start a program of the folder; return it and its log."""
        log = self._temporary / f"{name}.log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [str(self._python.parent / command[0]), *command[1:]],
                env=self.environ,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return process, log

    def start_node(self, number: int) -> None:
        ports = 20_000 + 1_000 * number
        which = (
            ("--head", "--port", self._address.rpartition(":")[2], "--include-dashboard=false")
            if number == 0
            else ("--address", self._address)
        )
        process, _ = self.run(
            f"node-{number}",
            *("ray", "start", *which, "--node-ip-address", ADDRESSES[number], "--block"),
            *("--num-cpus", "2", "--object-store-memory", MEMORY, "--disable-usage-stats"),
            *("--min-worker-port", str(ports), "--max-worker-port", str(ports + 999)),
            *("--dashboard-agent-listen-port", str(free_port())),
            *(("--temp-dir", str(self._temporary / "ray")) if number == 0 else ()),
        )
        self._nodes.append(process)

    def replicas(self) -> list[int]:
        """Return the processes of the replicas of vLLM on the nodes."""
        return [one for one in self._all() if _command(one).startswith(REPLICA)]

    def stop(self) -> None:
        """End every process of the nodes, by its id."""
        for one in self._all():
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        for process in self._nodes:
            process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _all(self) -> list[int]:
        """Return the nodes, what they have started, and what was left by one of those that died.

        The latter has lost its parent, and still has the cluster's address in its environment.
        """
        parents, found = {}, {one.pid for one in self._nodes}
        mark = f"RAY_ADDRESS={self._address}".encode()
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parents[int(place.name)] = _parent(place)
                if mark in (place / "environ").read_bytes():
                    found.add(int(place.name))
        while more := {one for one, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)


def _parent(process: Path) -> int:
    # Its name, in brackets, may contain anything.
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def ray_cluster(folder: Path) -> Iterator[RayCluster]:
    """Run two nodes until the block ends."""
    cluster = RayCluster(folder)
    cluster.install()
    try:
        for number in range(len(ADDRESSES)):
            cluster.start_node(number)
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def ray_serve(cluster: RayCluster) -> Iterator[str]:
    """Run a Ray Serve LLM application of two replicas; return its URL."""
    port = free_port()
    model = str(cluster.folder / "hf")
    process, log = cluster.run("application", "python", str(APPLICATION), model, str(port))
    with ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.kill)
        url = f"http://127.0.0.1:{port}"
        ends_at = time.monotonic() + STARTING_S
        while READY not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(log.read_text(errors="replace")[-3000:])
            time.sleep(1.0)
        yield url


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
