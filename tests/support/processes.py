"""Runs the program in its own process, on a free port of the loopback.

It is forked (see fork_server.py), unless a test names the command that starts it as a user would.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO, TypeAlias

from support.fork_server import ForkedProcess, fork_server

Process: TypeAlias = ForkedProcess | subprocess.Popen[bytes]

KEY = "sk-antiphon-key-of-the-tests"
PATIENCE_S = 60.0


class Program:
    """A running `antiphon serve` or `worker`; `lines` are the lines that it has printed so far."""

    def __init__(self, process: Process, output: TextIO, errors: TextIO | None) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._ready = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines))
            for stream, lines in ((output, self.lines), (errors, self.errors))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: TextIO, lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line)
                # The last line of the welcome, or the only one of a worker.
                if line.endswith("}]}'\n") or "Ctrl-C stops it." in line:
                    self._ready.set()
        self._ready.set()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def error_output(self) -> str:
        return "".join(self.errors)

    @property
    def url(self) -> str:
        found = re.search(r"URL\s+(\S+)", self.output)
        assert found, self.output + self.error_output
        return found[1]

    @property
    def curl(self) -> str:
        """The command in the welcome that the user can paste."""
        return self.output[self.output.index("curl ") :]

    def wait_ready(self) -> None:
        assert self._ready.wait(PATIENCE_S), self.error_output
        assert self.process.poll() is None, self.error_output

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings of Antiphon and no others."""
    # Without its bytecode a program takes seconds to start.
    dropped = ("ANTIPHON_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "ANTIPHON_DATA_DIR": str(data_dir), **settings}


# As `python -m` starts it, and so nearly as a user does.
PROGRAM = (sys.executable, "-m", "antiphon.cli")


def start(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    streams: tuple[int, int],
    program: Sequence[str] | None = None,
) -> Process:
    """Start `program`, or fork `antiphon`; `streams` is where its output and its errors go."""
    if program is None:
        return ForkedProcess(fork_server().address, arguments, environ, folder, streams)
    return subprocess.Popen(
        [*program, *arguments],
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=streams[0],
        stderr=streams[1],
    )


@contextmanager
def serving(
    data_dir: Path,
    *flags: str,
    environ: Mapping[str, str] | None = None,
    program: Sequence[str] | None = None,
    log: Path | None = None,
) -> Iterator[Program]:
    """Serve on a free port until the block ends.

    `program` is the command of another `antiphon`, or `PROGRAM`; with `log`, standard error goes to
    that file.
    """
    arguments = ("serve", "--port", "0", *flags)
    with _running(data_dir, arguments, environ, program, log) as running:
        yield running


@contextmanager
def working(data_dir: Path, *, environ: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Work on batches until the block ends."""
    with _running(data_dir, ("worker",), environ) as running:
        yield running


@contextmanager
def _running(
    data_dir: Path,
    arguments: Sequence[str],
    environ: Mapping[str, str] | None,
    program: Sequence[str] | None = None,
    log: Path | None = None,
) -> Iterator[Program]:
    data_dir.mkdir(parents=True, exist_ok=True)
    wanted = environment(data_dir, **(environ or {}))
    with ExitStack() as stack:
        output, write_output = _pipe(stack)
        if log is None:
            errors, write_errors = _pipe(stack)
        else:
            errors, write_errors = None, stack.enter_context(log.open("wb")).fileno()
        process = start(arguments, wanted, data_dir, (write_output, write_errors), program)
    running = Program(process, output, errors)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def _pipe(stack: ExitStack) -> tuple[TextIO, int]:
    """Return the two ends of a pipe; `stack` closes that which is written to."""
    read, write = os.pipe()
    stack.callback(os.close, write)
    return os.fdopen(read, encoding="utf-8"), write


def run(
    data_dir: Path, *arguments: str, program: Sequence[str] | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        wanted, streams = environment(data_dir, **settings), (output.fileno(), errors.fileno())
        process = start(arguments, wanted, data_dir, streams, program)
        try:
            status = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        for stream in (output, errors):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())


def run_well(data_dir: Path, *arguments: str, **settings: str) -> str:
    """Run one command that goes well; return what it prints."""
    done = run(data_dir, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_json(data_dir: Path, *arguments: str) -> Any:
    return json.loads(run_well(data_dir, *arguments, "--json"))
