"""What a command says of a server that is not there. Pure."""

import pytest

import antiphon
from antiphon.cli.command import CommandError
from antiphon.cli.talking.connection import told_by_api
from antiphon.sdk.environment import LOCAL, Environment

REFUSED = antiphon.APIConnectionError("GET /v1/models: no connection")


def told(error: antiphon.AntiphonError, base_url: str) -> str:
    client = antiphon.Client(base_url=base_url, environment=Environment())
    with pytest.raises(CommandError) as raised, told_by_api(client):
        raise error
    return str(raised.value)


def test_without_a_server_a_command_says_what_starts_one() -> None:
    said = told(REFUSED, LOCAL)
    assert said == f"{REFUSED}. `antiphon serve` starts a server; --base-url names one elsewhere"
    said = told(antiphon.CredentialsError("no key"), LOCAL)
    assert said.startswith(f"the server at {LOCAL} needs a key: set ANTIPHON_API_KEY, or name its ")
    assert said.endswith(". If no server runs yet, `antiphon serve` starts one, whose key is found")


def test_server_that_was_named_is_not_started_here() -> None:
    assert told(REFUSED, "http://elsewhere:1") == str(REFUSED)
    assert "antiphon serve" not in told(antiphon.CredentialsError("no key"), "http://elsewhere:1")
