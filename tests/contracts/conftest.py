from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from support.valkey import Server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(Path(tmp_path_factory.mktemp("valkey")))
    yield server
    server.close()


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Names under which tests on one server do not see one another."""
    return (f"test{number}" for number in count())
