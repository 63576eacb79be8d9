"""Which engines the contracts of engines run on."""

from pathlib import Path

import pytest

from support.configured_engines import openers_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a contract on its module's `ENGINES`, or on the engines of `--engine-settings`.

    Those that the module names in `SOAK` run in `make soak` alone.
    """
    built_in = getattr(metafunc.module, "ENGINES", None)
    if built_in is None or "engine" not in metafunc.fixturenames:
        return
    file: Path | None = metafunc.config.getoption("--engine-settings")
    openers = openers_of(file) if file else {one.__name__: one for one in built_in}
    soak = () if file else getattr(metafunc.module, "SOAK", ())
    values = [
        pytest.param(one, id=name, marks=[pytest.mark.soak] * (name in soak))
        for name, one in openers.items()
    ]
    metafunc.parametrize("engine", values, indirect=True, scope="module")
