"""The sources of the Console, and what builds them."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "console"


def load_builder() -> ModuleType:
    """Return `console/build.py`, which is in no package: hatchling loads it by its path."""
    found = importlib.util.spec_from_file_location("console_build", SOURCES / "build.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
