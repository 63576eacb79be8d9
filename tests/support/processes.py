"""Runs the program in its own process, as a user would, on a free port of the loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli import main

KEY = "sk-antiphon-key-of-the-tests"
PATIENCE_S = 60.0


class Program:
    """A running `antiphon serve`; `lines` are the lines that it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._ready = threading.Event()
        streams = ((process.stdout, self.lines), (process.stderr, self.errors))
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines))
            for stream, lines in streams
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            # The last line of the welcome.
            if line.endswith("}]}'\n"):
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
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings of Antiphon and no others."""
    # Without its bytecode a program takes seconds to start.
    dropped = ("ANTIPHON_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "ANTIPHON_DATA_DIR": str(data_dir), **settings}


PROGRAM = (sys.executable, "-m", "antiphon.cli")


def command(*arguments: str) -> list[str]:
    return [*PROGRAM, *arguments]


@contextmanager
def serving(
    data_dir: Path,
    *flags: str,
    environ: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    log: Path | None = None,
) -> Iterator[Program]:
    """Serve on a free port until the block ends.

    `program` is the command of another `antiphon`; with `log`, standard error goes to that file.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        errors = subprocess.PIPE if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [*program, "serve", "--port", "0", *flags],
            env=environment(data_dir, **(environ or {})),
            cwd=data_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    running = Program(process)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def run(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(data_dir, **settings),
        cwd=data_dir,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def run_here(data_dir: Path, *arguments: str, **settings: str) -> str:
    """Run one command that goes well in this process; return what it prints.

    It spares the start of a process, and for a running server this one is another as well.
    """
    printed, errors = StringIO(), StringIO()
    wanted = environment(data_dir, **settings)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(errors):
        patch.chdir(data_dir)
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        assert main(arguments) == 0, errors.getvalue()
    return printed.getvalue()


def run_json(data_dir: Path, *arguments: str) -> Any:
    done = run(data_dir, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
