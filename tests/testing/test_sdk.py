from collections.abc import Iterator

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
    client = server.client()
    assert client.post("/v1/messages", cast_to=dict, body=HELLO)["content"][0]["text"] == "Hi"
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
    client = server.async_client()
    message = await client.post("/v1/messages", cast_to=dict, body=HELLO)
    assert message["content"][0]["text"] == "Good morning"
