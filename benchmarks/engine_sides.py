"""The engines that `benchmarks.engines` compares: each continues tokens in a process of its own."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import aiohttp
import msgspec

from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from benchmarks.answers import AnswerError, unbounded

WORKER = Path(__file__).with_name("openvino_worker.py")
BATCH = 256
"""Tokens of prompts read in one batch, as Antiphon has llama.cpp do it without a GPU."""
Server: TypeAlias = tuple[str, str, int]
"""The name, address and process of a running server."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on the clock and on the processor clock of an engine's process, in seconds."""

    wall: float
    processor: float

    def since(self, earlier: "Moment") -> "Moment":
        """Return what has passed."""
        return Moment(self.wall - earlier.wall, self.processor - earlier.processor)


@dataclass(frozen=True, slots=True)
class Work:
    """What passed until the first token, and from there to the last one."""

    first: Moment
    rest: Moment


class Side(Protocol):
    """An engine that is loaded. `loaded` is what that took, if it was loaded here."""

    name: str
    pid: int
    loaded: Moment | None

    async def complete(self, tokens: list[int], n: int) -> Work:
        """Continue tokens by `n`, the most likely each time. Raises `AnswerError`."""
        ...


class LlamaSide:
    """A `llama-server`: the child of Antiphon, or one of another build at an address."""

    def __init__(
        self,
        name: str,
        pid: int,
        address: str,
        session: aiohttp.ClientSession,
        loaded: Moment | None = None,
    ) -> None:
        self.name, self.pid, self.loaded = name, pid, loaded
        self._url = f"{address.rstrip('/')}/completion"
        self._session = session

    async def complete(self, tokens: list[int], n: int) -> Work:
        body = {
            "prompt": tokens, "n_predict": n, "temperature": 0, "ignore_eos": True,
            "stream": True, "cache_prompt": True,
        }  # fmt: skip
        asked, first, produced = moment(self.pid), None, 0
        async with self._session.post(self._url, json=body) as response:
            if response.status != 200:
                raise AnswerError(f"status {response.status}: {await response.text()}")
            async for line in response.content:
                if line.startswith(b"data: {"):
                    first = first or moment(self.pid)
                    event = msgspec.json.decode(line[6:])
                    produced = event.get("tokens_predicted", produced)
        return _work(asked, first, moment(self.pid), produced, n)


class OpenVinoSide:
    """OpenVINO GenAI in the environment that has it."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, loaded: Moment) -> None:
        self.name, self.pid = name, process.pid
        self.loaded: Moment | None = loaded
        self._process = process

    async def complete(self, tokens: list[int], n: int) -> Work:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # pragma: no cover - both are pipes
            raise AnswerError("the worker has no pipes")
        asked, first, produced = moment(self.pid), None, 0
        stdin.write(json.dumps({"tokens": tokens, "n": n}).encode() + b"\n")
        await stdin.drain()
        while (line := await stdout.readline()).strip():
            first = first or moment(self.pid)
            produced += 1
        if not line:
            raise AnswerError("the worker of OpenVINO ended")
        return _work(asked, first, moment(self.pid), produced, n)


@asynccontextmanager
async def llama_child(weights: Path, threads: int) -> AsyncGenerator[Side]:
    """Run llama.cpp as Antiphon does."""
    options = LlamaOptions(batch=BATCH, threads=threads)
    config, began = child_config(options, weights, None), time.perf_counter()
    child = await start_child(config, options.start_timeout_s)
    loaded = Moment(time.perf_counter() - began, processor_time(child.pid))
    try:
        async with unbounded(config.api_key) as session:
            yield LlamaSide("llama.cpp", child.pid, child.address, session, loaded)
    finally:
        await child.aclose()


@asynccontextmanager
async def llama_server(name: str, url: str, pid: int) -> AsyncGenerator[Side]:
    """Use a `llama-server` that runs as the process `pid`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield LlamaSide(name, pid, url, session)


@asynccontextmanager
async def openvino(python: str, weights: Path, threads: int) -> AsyncGenerator[Side]:
    """Run OpenVINO GenAI with the interpreter `python`. Raises `AnswerError`."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        python, "-P", str(WORKER), str(weights), str(threads), str(BATCH),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said = await process.stdout.readline() if process.stdout is not None else b""
        if not said.startswith(b"ready"):
            raise AnswerError(f"OpenVINO GenAI did not load {weights}")
        loaded = Moment(time.perf_counter() - began, processor_time(process.pid))
        yield OpenVinoSide(process, "OpenVINO", loaded)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def has_openvino(python: str) -> bool:
    """Return whether an interpreter finds OpenVINO GenAI."""
    look = "import importlib.util as u, sys; sys.exit(u.find_spec('openvino_genai') is None)"
    try:
        process = await asyncio.create_subprocess_exec(python, "-c", look)
    except OSError:
        return False
    return await process.wait() == 0


async def opened(
    stack: AsyncExitStack,
    weights: Path,
    threads: int,
    python: str | None,
    servers: Sequence[Server],
) -> list[Side]:
    """Open what there is to compare: llama.cpp first."""
    sides = [await stack.enter_async_context(llama_child(weights, threads))]
    if python is not None:
        sides.append(await stack.enter_async_context(openvino(python, weights, threads)))
    return sides + [await stack.enter_async_context(llama_server(*one)) for one in servers]


def moment(pid: int) -> Moment:
    """Return the time now."""
    return Moment(time.perf_counter(), processor_time(pid))


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that all threads of a process have used (Linux)."""
    # What clock_getcpuclockid(3) returns, which Python has for threads only.
    return time.clock_gettime(~pid << 3 | 2)


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process in MB, and the part of it that is not a file's."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    kilobytes = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)
        if name in ("VmRSS", "RssAnon")
    }  # fmt: skip
    return kilobytes["VmRSS"] / 1024, kilobytes["RssAnon"] / 1024


def _work(asked: Moment, first: Moment | None, end: Moment, produced: int, n: int) -> Work:
    if first is None or produced != n:
        raise AnswerError(f"{produced} tokens instead of {n}")
    return Work(first.since(asked), end.since(first))
