"""Real server processes on free loopback ports, one at a time on the first core."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import msgspec
import psutil

API_KEY = "sk-antiphon-only-for-benchmarks"
HEADERS = {
    "x-api-key": API_KEY,
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}
MESSAGES = "/v1/messages"
HOST = "127.0.0.1"

HUNDRED = "Say a hundred words."
"""What makes the scripted engine answer with a hundred tokens; anything else gets ten."""

SCRIPT = f"""
engine = "scripted"

[scripted]
text = "{" ".join(["word"] * 10)}"

[[scripted.replies]]
when = "^{HUNDRED}$"
text = "{" ".join(["word"] * 100)}"
"""

STOP_S = 20.0
START_S = 300.0
_URL = re.compile(r"http://127\.0\.0\.1:(\d+)")


class ServerError(Exception):
    """A server that did not start or did not end as it should."""


@dataclass(slots=True)
class Server:
    """A server that is ready. `ready_s` is how long that took from its process's start."""

    process: subprocess.Popen[str]
    port: int
    ready_s: float
    killed: bool = False

    def kill(self) -> None:
        """Kill the process and its children, as `kill -9` does, and wait for their end."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.killed = True
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # it ends with its parent
                child.kill()
        self.process.wait(STOP_S)
        psutil.wait_procs(children, STOP_S)

    def stop(self) -> float:
        """End the process by SIGTERM, and return the seconds that this took."""
        began = time.perf_counter()
        self.process.terminate()
        self.process.wait(STOP_S)
        return time.perf_counter() - began

    @property
    def cpu_s(self) -> float:
        """Processor time that the process has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    @property
    def loop_cpu_s(self) -> float:
        """What the event loop's thread has of it."""
        threads = psutil.Process(self.process.pid).threads()
        return sum(one.user_time + one.system_time for one in threads if one.id == self.process.pid)

    @property
    def rss_mb(self) -> float:
        """Resident memory of the process and of its children now."""
        return sum(one.memory_info().rss for one in tree(self.process.pid)) / 1e6


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it."""
    whole = psutil.Process(pid)
    return [whole, *whole.children(recursive=True)]


def cpu_s_of(processes: Sequence[psutil.Process]) -> float:
    """Processor time that the processes have used so far, together."""
    return sum(one.user + one.system for one in (each.cpu_times() for each in processes))


BYTECODE = "PYTHONPYCACHEPREFIX"


@cache
def environment() -> dict[str, str]:
    """Return the environment of whatever is measured: no settings of ours, but bytecode.

    An installed program has its bytecode, so what runs twice here finds it too, in a folder of
    its own unless the caller names one: a variable that forbids to write it would make each start
    compile 600 modules.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ANTIPHON_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    if BYTECODE not in kept:
        kept[BYTECODE] = tempfile.mkdtemp(prefix="antiphon-bench-bytecode-")
        atexit.register(shutil.rmtree, kept[BYTECODE], ignore_errors=True)
    return kept


def default_weights() -> Path:
    """Return the file of the default model; fetch it if it is not there yet."""
    from antiphon.settings import DEFAULT_MODEL, Settings  # noqa: PLC0415 - only without --weights
    from antiphon.weights.pull import ensure_model  # noqa: PLC0415 - the same

    return ensure_model(DEFAULT_MODEL, Settings.load({}).data_dir)


def request(content: str, *, stream: bool = False, max_tokens: int = 200) -> bytes:
    """Return the body of a small request."""
    message = {"role": "user", "content": content}
    body = {"model": "claude-local", "max_tokens": max_tokens, "messages": [message]}
    return msgspec.json.encode({**body, "stream": True} if stream else body)


@contextmanager
def pinned(place: int | None) -> Iterator[None]:
    """Keep the block, and what it starts, on one core, if there are cores to choose from.

    What is on place 0 and what is on place 1 do not take time from each other.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if place is None or len(before) < 2:
        yield
        return
    os.sched_setaffinity(0, {sorted(before)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def scripted(settings: str = "", **variables: str) -> Iterator[Server]:
    """Run Antiphon on the scripted engine, on the first core. `settings` are lines of its file."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        config = Path(folder, "antiphon.toml")
        config.write_text(settings + SCRIPT, encoding="utf-8")
        variables |= {"ANTIPHON_CONFIG": str(config)}
        with antiphon(Path(folder), variables, place=0) as server:
            yield server


@contextmanager
def antiphon(
    folder: Path,
    settings: Mapping[str, str],
    place: int | None = None,
    program: Sequence[str] = ("antiphon.cli",),
) -> Iterator[Server]:
    """Run `antiphon serve`, with its keys and its log in `folder`.

    `program` is a module, with words before `serve`.
    """
    variables = {
        "ANTIPHON_PORT": "0",
        "ANTIPHON_DATA_DIR": str(folder),
        "ANTIPHON_API_KEY": API_KEY,
        "ANTIPHON_LOG_FORMAT": "json",
        **settings,
    }
    command = (sys.executable, "-m", *program, "serve")
    with started(command, folder / "server.log", variables, place) as server:
        yield server


def administer(folder: Path, *words: str) -> str:
    """Run a command of Antiphon on a data folder, and return what it prints."""
    command = (sys.executable, "-m", "antiphon.cli", *words)
    variables = {**environment(), "ANTIPHON_DATA_DIR": str(folder)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{' '.join(words)} failed: {done.stderr}")
    return done.stdout


@contextmanager
def started(
    command: Sequence[str],
    log: Path,
    variables: Mapping[str, str] | None = None,
    place: int | None = None,
) -> Iterator[Server]:
    """Run a server that prints its URL when it is ready, and end it by SIGTERM.

    `place` is the core it is kept on.
    """
    with log.open("w", encoding="utf-8") as said:
        began = time.perf_counter()
        with pinned(place):
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**environment(), **(variables or {})},
                text=True,
            )
        try:
            port = _port(process.stdout)
            if port is None:
                raise ServerError(f"{' '.join(command)} did not start:\n{_end_of(log)}")
            server = Server(process, port, time.perf_counter() - began)
            yield server
        finally:
            _stop(process)
    if process.returncode not in {0, -signal.SIGTERM} and not server.killed:
        raise ServerError(f"{' '.join(command)} ended with {process.returncode}:\n{_end_of(log)}")


def _port(stdout: IO[str] | None) -> int | None:
    for line in stdout or ():
        if found := _URL.search(line):
            return int(found[1])
    return None


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
