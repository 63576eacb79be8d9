"""Programs of others, each installed once from its registry into a folder of its own.

They lie in `.cache/race` of the checkout, and nothing of ours imports them.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CACHE = Path(__file__).parents[1] / ".cache" / "race"
INSTALLED = ".installed"
INSTALL_S = 600.0
MOST_SAID = 160


class InstallError(Exception):
    """A package that cannot be had here. The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Package:
    """A release of a program in a registry."""

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    extra: str = ""
    held: tuple[tuple[str, str], ...] = ()
    """Releases of packages of npm that it needs, where it asks for any newer one too."""

    @property
    def folder(self) -> str:
        """The name of the folder that it is installed into."""
        return f"{self.name.strip('@').replace('/', '-')}-{self.version}"

    def commands(self, folder: Path) -> Iterator[Sequence[str]]:
        """Tell what installs it into `folder`: nothing is built, and npm runs no script."""
        if self.registry == "npm":
            quiet = ("--ignore-scripts", "--no-audit", "--no-fund")
            yield ("npm", "install", "--prefix", str(folder), *quiet, f"{self.name}@{self.version}")
            return
        yield (sys.executable, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet")
        yield (*pip, "--only-binary", ":all:", f"{self.name}{self.extra}=={self.version}")


def install(package: Package, cache: Path = CACHE) -> Path:
    """Return the folder that has the package; install it if it is not there yet.

    Raises `InstallError`.
    """
    folder = cache / package.folder
    whole, names = folder / INSTALLED, repr(package)
    if not whole.exists() or whole.read_text(encoding="utf-8") != names:
        shutil.rmtree(folder, ignore_errors=True)  # cut off, or of other names
        folder.mkdir(parents=True)
        if package.held:
            project = {"private": True, "overrides": dict(package.held)}
            (folder / "package.json").write_text(json.dumps(project), encoding="utf-8")
        for words in package.commands(folder):
            _run(words)
        whole.write_text(names, encoding="utf-8")
    return folder


def _run(words: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            words,
            env=outside(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
    except FileNotFoundError as error:
        raise InstallError(f"{words[0]} is not there") from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"installing took more than {INSTALL_S:.0f} s") from error
    if done.returncode:
        raise InstallError(reason(done.stdout))


def outside() -> dict[str, str]:
    """Return the environment of programs of others: no module of ours, and their own bytecode."""
    ours = ("ANTIPHON_", "PYTHON")
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}


def reason(text: str) -> str:
    """Return the line in which a program says why it failed: its last error, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if "rror: " in line]
    named = [line for line in lines if "error" in line.lower()]
    found = [*lines[-1:], *named[:1], *causes[-1:]]
    return found[-1][:MOST_SAID] if found else "it says nothing"
