"""A type checker sees the types of tools and of outputs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_type_checker_sees_what_is_returned() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "tests/sdk/typed.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
