"""The folders of systemd's units, and its command."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from antiphon.cli.command import CommandError
from antiphon.cli.unit import NAME

Run: TypeAlias = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]

PATIENCE_S = 120


def run_command(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command, and keep what it prints. Raises `CommandError` if it cannot be run."""
    try:
        return subprocess.run(  # noqa: S603 - the words are those of this module
            words, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"`{' '.join(words)}` cannot be run: {error}") from error


class Systemd:
    """The services of one user, or with `system` those of the machine.

    `root` is where its folders are, and `run` runs a command.
    """

    def __init__(
        self, *, system: bool, home: Path, root: Path = Path("/"), run: Run = run_command
    ) -> None:
        folder = root / "etc" if system else home / ".config"
        self.settings = folder / "antiphon"
        self.path = folder / "systemd" / ("system" if system else "user") / NAME
        self._system = system
        self._running = root / "run/systemd/system"
        self._run = run

    def is_running(self) -> bool:
        """Return whether systemd runs this machine; in a container it seldom does."""
        return self._running.is_dir()

    def command(self, *words: str) -> list[str]:
        """Return the command of systemd with these words."""
        return ["systemctl", *([] if self._system else ["--user"]), *words]

    def do(self, *words: str) -> str:
        """Have systemd do something; return the command. Raises `CommandError` if it fails."""
        command = self.command(*words)
        done = self._run(command)
        shown = " ".join(command)
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[:300] or f"it exits with {done.returncode}"
            raise CommandError(f"`{shown}` fails: {said}")
        return shown

    def ask(self, *words: str) -> str:
        """Return what systemd says of something: one word, such as `active`."""
        return self._run(self.command(*words)).stdout.strip() or "unknown"
