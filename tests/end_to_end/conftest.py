from collections.abc import Iterator
from pathlib import Path

import pytest

from support.databases import numbers, postgres, postgres_url, unused_port
from support.node import install
from support.processes import KEY, Program, serving

__all__ = ["numbers", "postgres", "postgres_url", "unused_port"]


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
    """A server with the real default model."""
    data_dir = tmp_path_factory.mktemp("real")
    settings = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_THREADS": "2",
        "ANTIPHON_LLAMA_CONTEXT": "2048",
    }
    with serving(data_dir, "--model", str(default_model), environ=settings) as program:
        yield program


@pytest.fixture(scope="session")
def typescript() -> None:
    """Install the packages that the programs in `typescript/` import."""
    install()
