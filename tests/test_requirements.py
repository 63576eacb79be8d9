"""What is installed: lower bounds above known vulnerabilities, and nothing without a hash."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPLOY = ROOT / "requirements" / "deploy.lock"
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

# The first release without any vulnerability known for the package.
SOUND = {
    "aiohttp": "3.13.4",  # CVE-2026-22815, CVE-2026-34516, CVE-2026-34525
    "filelock": "3.20.3",  # CVE-2026-22701
    "jinja2": "3.1.6",  # CVE-2025-27516
    "pip": "26.0",  # CVE-2026-1703
    "starlette": "1.0.1",  # CVE-2026-48710
}


def numbers(version: str) -> tuple[int, ...]:
    return (*(int(part) for part in re.findall(r"[0-9]+", version)), 0, 0, 0)


def declared() -> dict[str, str]:
    """Return the lower bound of every dependency."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    found = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    parts = [re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", one) for one in found]
    assert all(parts), found
    return {part[1].lower(): part[2] for part in parts if part}


@pytest.mark.parametrize(("name", "sound"), SOUND.items())
def test_lower_bound_excludes_vulnerable_releases(name: str, sound: str) -> None:
    assert numbers(declared()[name])[:3] >= numbers(sound)[:3]


def locked(lock: Path) -> dict[str, str]:
    """Return the version of each package of a lock file, which has a hash for every one."""
    packages = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    assert all("--hash=sha256:" in package for package in packages)
    found = (re.match(r"([\w.-]+)==([\w.]+)", package) for package in packages)
    return {part[1]: part[2] for part in found if part}


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[>=]", one)[0].lower().replace("_", "-") for one in requirements}


BUILD = names([*PROJECT["build-system"]["requires"], *PROJECT["dependency-groups"]["build"]])


@pytest.mark.parametrize("lock", sorted({*LOCKS} - {DEPLOY}), ids=lambda lock: lock.name)
def test_lock_has_the_build_backend_and_a_hash_for_everything(lock: Path) -> None:
    assert locked(lock).keys() >= BUILD


def test_lock_of_a_finished_wheel_has_every_extra_as_tested_and_nothing_that_builds() -> None:
    found = locked(DEPLOY)
    assert found.items() <= locked(ROOT / "requirements" / "dev.lock").items()
    assert names(declared()) <= found.keys()
    assert not found.keys() & BUILD


def test_editable_install_fetches_no_build_backend() -> None:
    script = (ROOT / "scripts/environment").read_text(encoding="utf-8")
    installs = [line for line in script.splitlines() if "--editable" in line]
    assert len(installs) == 2
    assert all("--no-build-isolation" in line and "--no-deps" in line for line in installs)
