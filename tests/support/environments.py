"""Empty Python environments, into which a test installs a wheel."""

import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import Path as ZipPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
PATIENCE_S = 600.0


class Environment:
    """A virtual environment, which is made if it is not there, with nothing, not even pip."""

    def __init__(self, folder: Path) -> None:
        if not folder.exists():
            venv.create(folder, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.program = folder / "bin" / "antiphon"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self._packages = folder / "lib" / version / "site-packages"

    def install(self, *arguments: str) -> None:
        """Install by the pip of the tests."""
        run([*PIP, "--python", str(self.python), "install", "--quiet", *arguments])

    def install_with_locked(self, wheel: Path, *extras: str) -> None:
        """Install a wheel, and link what it requires from the environment of the tests.

        That has the versions of the lock, and needs no network.
        """
        self.install("--no-deps", "--no-index", str(wheel))
        self._link_required(_metadata(wheel), extras)

    def share_with_locked(self, other: "Environment", *extras: str) -> None:
        """Have the package of another environment, and link what it requires with these extras."""
        (metadata,) = other._packages.glob("antiphon-*.dist-info")
        for path in (metadata, metadata.with_name("antiphon")):
            (self._packages / path.name).symlink_to(path)
        program = other.program.read_text(encoding="utf-8")
        self.program.write_text(
            program.replace(str(other.python), str(self.python)), encoding="utf-8"
        )
        self.program.chmod(0o755)
        self._link_required(PathDistribution(metadata), extras)

    def _link_required(self, package: Distribution, extras: Iterable[str]) -> None:
        for found in closure(package, extras):
            for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                link = self._packages / name
                if not link.exists():
                    link.symlink_to(Path(str(found.locate_file(name))))

    def run(
        self, *command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that sees nothing of the tests' own environment."""
        return subprocess.run(
            command,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )


def run(command: Sequence[str], cwd: Path | None = None) -> None:
    """Run a command of the tests' own environment, which has to succeed."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


def closure(package: Distribution, extras: Iterable[str]) -> list[Distribution]:
    """Return the installed packages that a package with these extras requires, directly or not."""
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(package, extra) for extra in ("", *extras)]
    while waiting:
        parent, extra = waiting.pop()
        for text in parent.requires or ():
            wanted = Requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            name = canonicalize_name(wanted.name)
            found[name] = distribution(name)
            below = {(name, one) for one in ("", *wanted.extras)} - done
            done |= below
            waiting += [(found[name], one) for _, one in below]
    return list(found.values())


def _metadata(wheel: Path) -> Distribution:
    (folder,) = (one for one in ZipPath(wheel).iterdir() if one.name.endswith(".dist-info"))
    return PathDistribution(folder)
