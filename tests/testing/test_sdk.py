import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import antiphon
from antiphon import testing
from antiphon.testing import Server

HELLO = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with testing.server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server of the module, as new."""
    running.reset()
    return running


def test_client_tries_again_without_a_pause(server: Server) -> None:
    server.fails(testing.rate_limit_error(retry_after=30)).fails(testing.connection_lost)
    client, began = server.client(), time.monotonic()
    assert client.post("/v1/messages", cast_to=dict, body=HELLO)["content"][0]["text"] == "Hi"
    assert time.monotonic() - began < 25
    assert [one.status for one in server.requests] == [429, None, 200]
    server.fails(testing.overloaded_error, times=None)
    with pytest.raises(antiphon.OverloadedError):
        server.client(max_retries=1).post("/v1/messages", cast_to=dict, body=HELLO)
    server.requests.assert_count(5)


def test_client_tells_of_errors_and_of_what_is_no_error_of_the_api(server: Server) -> None:
    client = server.client(max_retries=0)
    server.fails(testing.raw(), path="/v1/models")
    with pytest.raises(antiphon.APIStatusError) as told:
        client.models.list()
    assert told.value.status_code == 502
    server.fails(testing.permission_error("Not you"), path="/v1/models")
    with pytest.raises(antiphon.PermissionDeniedError, match="Not you"):
        client.models.list()


def test_environment_changes_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: another")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://elsewhere")
    assert [one.id for one in server.client().models.list()] == ["scripted"]


@pytest.mark.anyio
async def test_asynchronous_client_does_the_same(server: Server) -> None:
    server.fails(testing.overloaded_error(retry_after=30)).answers("Good morning")
    client, began = server.async_client(), time.monotonic()
    message = await client.post("/v1/messages", cast_to=dict, body=HELLO)
    assert message["content"][0]["text"] == "Good morning"
    assert time.monotonic() - began < 25


def test_cassette_records_over_a_port_and_plays_without_a_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTIPHON_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "models.jsonl"
    with testing.cassette(path) as tape:
        client = tape.client(api_key=server.key, base_url=server.url)
        recorded = [one.id for one in client.models.list()]
    server.requests.assert_count(1)
    with testing.cassette(path) as tape:
        assert [one.id for one in tape.client().models.list()] == recorded == ["scripted"]
    server.requests.assert_count(1)


@pytest.mark.anyio
async def test_cassette_does_so_asynchronously(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "message.jsonl"
    async with testing.cassette(path) as tape:
        client = tape.async_client(api_key=server.key, base_url=server.url)
        first = await client.post("/v1/messages", cast_to=dict, body=HELLO)
    async with testing.cassette(path) as tape:
        again = tape.async_client()
        assert await again.post("/v1/messages", cast_to=dict, body=HELLO) == first


IMPORTS = """
import sys
import time
import antiphon.testing.plugin
from antiphon.testing import cassette, overloaded_error, server, tool_call
with cassette(sys.argv[1], "new") as tape:
    tape.transport()
server().answers(tool_call("x"))
print(*sys.modules)
"""


def test_neither_plugin_nor_cassettes_import_the_server(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTS, str(tmp_path / "one.jsonl")]
    imported = set(subprocess.check_output(command, text=True).split())
    heavy = {"sqlalchemy", "starlette", "uvicorn", "uvloop", "antiphon.settings", "antiphon.server"}
    assert not heavy & imported


WITHOUT = """
import sys
import time
sys.modules["starlette"] = None
sys.modules["starlette.types"] = None
from antiphon.testing import MissingExtraError, server
try:
    server().__enter__()
except MissingExtraError as error:
    print(error)
"""


def test_missing_extra_is_named() -> None:
    told = subprocess.check_output([sys.executable, "-c", WITHOUT], text=True)
    assert "pip install 'antiphon[server]'" in told


def test_module_needs_no_import_of_its_own() -> None:
    # Whatever has been imported before: this is what `antiphon.testing` asks for then.
    assert antiphon.__getattr__("testing") is import_module("antiphon.testing")
