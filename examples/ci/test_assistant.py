"""Tests of a program against the real server, without a model: `pytest examples/ci`.

A copy of this file needs `pytest`, `anthropic` and `antiphon[server]`, and no network.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from assistant import BusyError, urgency

SETTINGS = Path(__file__).with_name("antiphon.toml")
KEY = "a-key-for-the-tests"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[anthropic.Anthropic]:
    """Start a server on a free port, with an empty data folder, and stop it after the tests."""
    command = ["antiphon", "serve", "--port", "0", "--config", str(SETTINGS)]
    command += ["--data-dir", str(tmp_path_factory.mktemp("antiphon"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        # It prints its address when it is ready.
        found = (re.search(r"URL\s+(http\S+)", line) for line in server.stdout)
        address = next((match[1] for match in found if match), None)
        assert address, "the server did not start; its messages are above"
        try:
            # A 529 is tried again by the SDK; the tests need not wait for that.
            with anthropic.Anthropic(base_url=address, api_key=KEY, max_retries=0) as client:
                yield client
        finally:
            server.terminate()


def test_a_fire_is_urgent(client: anthropic.Anthropic) -> None:
    assert urgency(client, "The server room is on fire.") == "high"


def test_anything_else_is_not(client: anthropic.Anthropic) -> None:
    assert urgency(client, "The coffee is cold.") == "low"


def test_a_busy_server_is_told_of(client: anthropic.Anthropic) -> None:
    with pytest.raises(BusyError):
        urgency(client, "It is always like this at noon.")
