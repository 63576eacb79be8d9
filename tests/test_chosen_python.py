"""Of which Python `make` makes the environment of the checkout."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "python"
# Runs a piece of Python as an interpreter with these facts would.
FAKE = """#!/bin/sh
exec {python} -c '
import sys, sysconfig
sys.version_info = {version}
sys.base_prefix = "{prefix}"
sysconfig.get_config_vars()["CONFIG_ARGS"] = "{arguments}"
sys.modules.update(dict.fromkeys("{missing}".split()))
exec(sys.argv[1])' "$2"
"""
PROFILED = "--enable-optimizations --with-lto"


class Install(Protocol):
    def __call__(
        self,
        path: str,
        version: tuple[int, int] = (3, 11),
        prefix: str = "/opt",
        arguments: str = "",
        missing: str = "",
    ) -> None: ...


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Puts an interpreter with these facts at a path."""

    def install(
        path: str,
        version: tuple[int, int] = (3, 11),
        prefix: str = "/opt",
        arguments: str = "",
        missing: str = "",
    ) -> None:
        program = tmp_path / path
        program.parent.mkdir(exist_ok=True)
        facts = {"prefix": prefix, "arguments": arguments, "missing": missing}
        text = FAKE.format(python=sys.executable, version=version, **facts)
        program.write_text(text, encoding="utf-8")
        program.chmod(0o700)

    return install


def chosen(tmp_path: Path, *folders: str, **environ: str) -> str:
    """Return the interpreter that is chosen of these folders of the path, or what is said."""
    path = ":".join(str(tmp_path / folder) for folder in folders)
    ran = subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={"PATH": path, **environ},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == (1 if ran.stderr else 0)
    return (ran.stdout or ran.stderr).strip().removeprefix(f"{tmp_path}/")


def test_first_interpreter_that_was_compiled_with_its_profile_is_chosen(
    tmp_path: Path, install: Install
) -> None:
    install("shims/python3", (3, 13))
    install("local/python3", (3, 10), arguments=PROFILED)
    install("local/python3.12", (3, 12), arguments=PROFILED)
    install("usr/python3", prefix="/usr")
    assert chosen(tmp_path, "shims", "local", "usr") == "local/python3.12"
    assert chosen(tmp_path, "shims", "usr", "local") == "usr/python3"


def test_first_interpreter_that_is_new_enough_is_chosen_where_none_has_its_profile(
    tmp_path: Path, install: Install
) -> None:
    install("old/python3", (3, 9), prefix="/usr")
    install("shims/python3.12", (3, 12))
    install("usr/python3", prefix="/usr", missing="ensurepip")
    assert chosen(tmp_path, "old", "shims", "usr") == "shims/python3.12"


def test_interpreter_that_somebody_names_is_chosen(tmp_path: Path, install: Install) -> None:
    install("usr/python3", prefix="/usr")
    install("own/python3", (3, 12))
    install("old/python3", (3, 10), prefix="/usr")
    own, old = tmp_path / "own/python3", tmp_path / "old/python3"
    assert chosen(tmp_path, "usr", PYTHON=str(own)) == "own/python3"
    told = chosen(tmp_path, "usr", PYTHON=str(old))
    assert told == f"Antiphon needs Python 3.11 or newer, and PYTHON is {old}."


def test_path_without_an_interpreter_that_is_new_enough_is_told(
    tmp_path: Path, install: Install
) -> None:
    install("old/python3", (3, 10), prefix="/usr")
    assert chosen(tmp_path, "old").startswith("Antiphon needs Python 3.11 or newer, and found none")
