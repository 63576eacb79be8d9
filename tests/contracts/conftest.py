"""Which engines the contracts of engines run on."""

from pathlib import Path

import pytest

from support.configured_engines import openers_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a contract on its module's `ENGINES`, or on the engines of `--engine-settings`."""
    built_in = getattr(metafunc.module, "ENGINES", None)
    if built_in is None or "engine" not in metafunc.fixturenames:
        return
    file: Path | None = metafunc.config.getoption("--engine-settings")
    openers = openers_of(file) if file else {one.__name__: one for one in built_in}
    metafunc.parametrize("engine", openers.values(), ids=openers, indirect=True, scope="module")
