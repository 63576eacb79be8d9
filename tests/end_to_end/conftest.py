from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from antiphon.store.database.database import sqlite_url
from support.databases import numbers, postgres, postgres_template, postgres_url, unused_port
from support.node import install
from support.processes import KEY, Program, serving
from support.servers import environ

__all__ = ["numbers", "postgres", "postgres_template", "postgres_url", "unused_port"]


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server on the scripted engine that echoes, and fails where it is asked to."""
    data_dir = tmp_path_factory.mktemp("scripted")
    config = data_dir / "antiphon.toml"
    config.write_text(
        """
        engine = "scripted"
        scripted.text = "One two three END four five."
        [[scripted.replies]]
        when = "be overloaded"
        error = "overloaded"
        [[scripted.replies]]
        when = "break off"
        error = "failed"
        after = 3
        [[scripted.replies]]
        when = "cite the colours"
        text = "Grass has one [source 1], and the sky is blue on every fine day. No [source 9]."
        [[scripted.replies]]
        when = "go on"
        text = "LONG"
        [[scripted.replies]]
        when = "be slow"
        text = "Slowly."
        delay_s = 300
        """.replace("LONG", "on and " * 5000),
        encoding="utf-8",
    )
    # The head of a stream without a token is sent with its first ping.
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_PING_INTERVAL_S": "0.3"}
    with serving(data_dir, environ=environ) as program:
        yield program


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Iterator[Program]:
    """A server with the real default model, which pings while it reads a prompt."""
    data_dir = tmp_path_factory.mktemp("real")
    with serving_model(data_dir, default_model, ANTIPHON_PING_INTERVAL_S="0.02") as program:
        yield program


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Program]:
    """A server with the tiny model, which speaks random words without end."""
    with serving_model(tmp_path_factory.mktemp("tiny"), tiny_model) as program:
        yield program


def serving_model(
    data_dir: Path, weights: Path, **settings: str
) -> AbstractContextManager[Program]:
    environ = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_THREADS": "2",
        "ANTIPHON_LLAMA_CONTEXT": "2048",
        **settings,
    }
    return serving(data_dir, "--model", str(weights), environ=environ)


@pytest.fixture(scope="session")
def typescript() -> None:
    """Install the packages that the programs in `typescript/` import."""
    install()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """The URL of the database, and the settings of a server that uses it."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "antiphon.db"), environ()
    url: str = request.getfixturevalue("postgres_url")
    return url, environ(database_url=url)
