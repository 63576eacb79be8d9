"""One run of the child process of llama.cpp: its start, its last lines and its end."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.child import ChildConfig, ChildReport
from antiphon.engines.llama.child_environment import child_environment
from antiphon.engines.llama.memory import advice, physical_memory
from antiphon.engines.llama.options import LlamaOptions, available_cores
from antiphon.engines.llama.projector_file import mismatch

CHILD: Final = "antiphon.engines.llama.child"
LAST_LINES: Final = 50
GRACE_S: Final = 5.0
CHORES: Final = 8
"""Small requests (tokenizing, health) that may be open beside the answers."""


class ChildProcess:
    """A child that serves a model at `address` until it ends or is ended.

    `has_gpu` says whether there is a GPU for it, `context` how many tokens each slot has.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.address = ""
        self.has_gpu = False
        self.context = 0
        self._still = False
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        self._drain = asyncio.create_task(self._keep_last_lines())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end of the child, and return its code as `returncode` of subprocess does."""
        code = await self._process.wait()
        await self._drain
        return code

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def stand_still(self) -> None:
        """Let the process stand still (SIGSTOP), with all that it has in memory."""
        self._still = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the process go on where it stood still."""
        self._still = False
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)

    async def aclose(self, grace_s: float = GRACE_S) -> None:
        if self._still:
            self.go_on()  # else it would not notice its end
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self.kill()
        await self.wait()

    async def configure(self, config: ChildConfig) -> None:
        stdin = self._process.stdin
        if stdin is None:  # pragma: no cover - it is opened with a pipe
            raise EngineStartError("The child has no stdin.")
        stdin.write(msgspec.json.encode(config) + b"\n")
        with contextlib.suppress(ConnectionError):  # the child has ended: its report has the reason
            await stdin.drain()

    async def report(self) -> ChildReport:
        stdout = self._process.stdout
        line = await stdout.readline() if stdout is not None else b""
        if line:
            return msgspec.json.decode(line, type=ChildReport)
        return ChildReport(error=_ending(await self.wait()))

    async def _keep_last_lines(self) -> None:
        stderr = self._process.stderr
        if stderr is None:  # pragma: no cover - it is opened with a pipe
            return
        # Not by `readline`, which raises on a line longer than its limit.
        rest = ""
        while piece := await stderr.read(65_536):
            *lines, rest = (rest + piece.decode(errors="replace")).split("\n")
            self.last_lines.extend(lines)
            rest = rest[-65_536:]


async def start_child(
    config: ChildConfig,
    timeout_s: float,
    *,
    begun: Callable[[ChildProcess], None] = lambda _: None,
) -> ChildProcess:
    """Start a child and wait until it serves. Raises `EngineStartError` with one sentence.

    `begun` gets the child before it loads the model: from then on it ends with this process.
    """
    check_weights(Path(config.weights))
    if config.mmproj is not None:
        check_weights(Path(config.mmproj))
    child = ChildProcess(await _spawn(config.weights))
    try:
        await _load(child, config, timeout_s, begun)
    except BaseException:
        child.kill()
        await child.wait()
        raise
    return child


async def _spawn(weights: str) -> asyncio.subprocess.Process:
    # `-P` keeps the working directory off the import path. The weights are an argument only for
    # `ps` to show. In a session of its own it gets no signal that is sent to the whole group of the
    # server (by a terminal, systemd, `timeout`): running answers end within the grace time.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", CHILD, weights,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
    )  # fmt: skip


async def _load(
    child: ChildProcess,
    config: ChildConfig,
    timeout_s: float,
    begun: Callable[[ChildProcess], None],
) -> None:
    """Have a child load its model, and learn where it serves it."""
    try:
        async with asyncio.timeout(timeout_s):
            await child.configure(config)
            report = await child.report()
            if report.begun:
                begun(child)
                report = await child.report()
    except TimeoutError as error:
        raise EngineStartError(
            f"{config.weights} was not loaded within {timeout_s:g} s (`start_timeout_s`)."
        ) from error
    if report.address is None:
        child.kill()
        await child.wait()
        raise EngineStartError(load_failure(config, report.error or "", child.last_lines))
    child.address, child.has_gpu = report.address, report.gpu
    child.context = report.context


def load_failure(
    config: ChildConfig, reported: str, lines: deque[str], memory: int | None = None
) -> str:
    """Return why a model was not loaded, and for a lack of `memory` (in bytes) what would fit."""
    reason = complaint(lines) or reported
    said = f"{config.weights} cannot be loaded by llama.cpp: {reason.rstrip('.')}."
    more = advice(
        Path(config.weights),
        config.context,
        config.slots,
        memory or physical_memory(),
        "\n".join((reported, *lines)),
    )
    other = None if config.mmproj is None else mismatch(Path(config.weights), Path(config.mmproj))
    return " ".join([said, *(f"{one}." for one in (other, more) if one is not None)])


def complaint(lines: deque[str]) -> str | None:
    """Return the reason of a failure in the log of llama.cpp: the deepest, not its last echo."""
    errors = [line.split(" E ", 1)[1].strip() for line in lines if " E " in line]
    for error in errors:
        _, found, reason = error.partition("error loading model: ")
        if found and "failed to load model from" not in reason:
            return reason.rstrip(".")
    return errors[0].rstrip(".") if errors else None


def check_weights(weights: Path) -> None:
    """Refuse a file that is no model. Raises `EngineStartError`."""
    try:
        with weights.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError as error:
        raise EngineStartError(f"{weights} does not exist.") from error
    except OSError as error:
        raise EngineStartError(f"{weights} cannot be read: {error.strerror}.") from error
    if magic != b"GGUF":
        raise EngineStartError(f"{weights} is not a GGUF file.")


def child_config(options: LlamaOptions, weights: Path, slot_dir: Path | None) -> ChildConfig:
    """Return the configuration of a child, with a new key each time the engine is opened."""
    return ChildConfig(
        parent=os.getpid(),
        weights=str(weights),
        context=options.context,
        slots=options.slots,
        threads=options.threads_of(available_cores()),
        # An answer holds its thread until it ends: without spare threads, health checks and
        # tokenizing would get no answer while all slots are in use (observed).
        http_threads=options.slots + 2 * CHORES,
        gpu_layers=options.gpu_layers,
        batch=options.batch,
        api_key=secrets.token_urlsafe(24),
        mmproj=options.mmproj,
        slot_dir=None if slot_dir is None else f"{slot_dir}{os.sep}",
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"the child ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (the system may be out of memory)" if -code == signal.SIGKILL else ""
    return f"the child was ended by {name}{hint}"
