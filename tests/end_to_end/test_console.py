"""The Console's sign-in against real servers, with the cookies of a browser."""

import json
import re
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.processes import Program, run_json, serving
from support.servers import environ as shared_environ
from support.valkey import Server

PASSWORD = "correct horse battery"
SCRIPTED = ("--engine", "scripted")
HELLO = {
    "model": "claude-local",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hi"}],
}


class Page:
    """A page of the Console in a browser, that talks to a server over a socket."""

    def __init__(self) -> None:
        self.cookies = SimpleCookie()

    def ask(
        self, url: str, method: str, path: str, body: Any = None, **more: str
    ) -> tuple[int, Any]:
        host = urlsplit(url).netloc
        headers = {
            "host": host,
            "origin": url,
            "x-antiphon-console": "1",
            "anthropic-version": "2026-10-21",
            "cookie": "; ".join(f"{one.key}={one.value}" for one in self.cookies.values()),
            **more,
        }
        connection = HTTPConnection(host, timeout=30)
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                self.cookies.load(value)
        for gone in [one.key for one in self.cookies.values() if one["max-age"] == "0"]:
            del self.cookies[gone]
        return answer.status, content


def setup_link(program: Program) -> str:
    found = re.search(r"Console\s+(\S+)", program.output)
    assert found, program.output
    return found[1]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_first_start_leads_to_a_session_that_survives_a_restart(tmp_path: Path, log: Path) -> None:
    data_dir, page = tmp_path / "data", Page()
    environ = {"ANTIPHON_LOG_LEVEL": "debug"}
    with serving(data_dir, *SCRIPTED, environ=environ, log=log) as program:
        link = setup_link(program)
        base, _, token = link.partition("/console/setup#token=")
        assert base == program.url
        setup = {
            "token": token,
            "email": "ada@example.org",
            "name": "Ada",
            "password": PASSWORD,
        }
        status, session = page.ask(base, "POST", "/v1/console/setup", setup)
        assert (status, session["user"]["role"]) == (200, "admin")
        status, key = page.ask(base, "POST", "/v1/organizations/api_keys", {"name": "laptop"})
        assert status == 200, key
        status, message = page.ask(base, "POST", "/v1/messages", HELLO)
        assert (status, message["type"]) == (200, "message")
        stolen = page.cookies["antiphon_session"].value
    with serving(data_dir, *SCRIPTED, environ=environ) as program:
        base = program.url
        assert setup_link(program) == f"{base}/console"
        assert page.ask(base, "GET", "/v1/console/session")[1] == session
        opened = run_json(data_dir, "console", "open", "--url", base)["link"]
        other = Page()
        token = opened.partition("#token=")[2]
        status, _ = other.ask(base, "POST", "/v1/console/session/link", {"token": token})
        assert status == 200
        assert other.ask(base, "POST", "/v1/console/sign_out_everywhere", {})[0] == 200
        assert page.ask(base, "GET", "/v1/console/session")[0] == 401
        assert page.ask(base, "GET", "/v1/organizations/api_keys")[0] == 401
    # Neither the tokens nor the password are in the log.
    said = log.read_text(encoding="utf-8")
    assert '"/v1/console/setup"' in said
    for secret in (PASSWORD, setup["token"], stolen):
        assert secret not in said


def test_form_of_another_site_is_refused_over_a_socket(tmp_path: Path) -> None:
    page = Page()
    with serving(tmp_path / "data", *SCRIPTED) as program:
        base, _, token = setup_link(program).partition("/console/setup#token=")
        setup = {"token": token, "email": "ada@example.org", "name": "A", "password": PASSWORD}
        assert page.ask(base, "POST", "/v1/console/setup", setup)[0] == 200
        path = "/v1/organizations/api_keys"
        for foreign in (
            {"origin": "https://evil.example.com"},
            {"sec-fetch-site": "cross-site"},
            {"x-antiphon-console": ""},
        ):
            status, refusal = page.ask(base, "POST", path, {"name": "x"}, **foreign)
            assert (status, refusal["error"]["type"]) in {
                (403, "permission_error"),
                (401, "authentication_error"),
            }
        assert page.ask(base, "POST", path, {"name": "x"})[0] == 200


@pytest.fixture
async def pair(
    tmp_path: Path, postgres_url: str, valkey: Server
) -> AsyncIterator[tuple[Program, Program]]:
    """Two servers of one organization."""
    environ = shared_environ(database_url=postgres_url, counters_url=valkey.url)
    with (
        serving(tmp_path / "one", *SCRIPTED, environ=environ) as one,
        serving(tmp_path / "two", *SCRIPTED, environ=environ) as two,
    ):
        yield one, two


@pytest.mark.anyio
async def test_session_counts_on_every_server_until_it_ends_on_one(
    pair: tuple[Program, Program],
) -> None:
    one, two = pair
    page, other = Page(), Page()
    # Each server has printed a link, and either works, once.
    token = setup_link(one).partition("#token=")[2]
    setup = {"token": token, "email": "ada@example.org", "name": "Ada", "password": PASSWORD}
    assert page.ask(two.url, "POST", "/v1/console/setup", setup)[0] == 200
    again = setup_link(two).partition("#token=")[2]
    assert other.ask(one.url, "POST", "/v1/console/setup", {**setup, "token": again})[0] == 401
    sign_in = {"email": "ada@example.org", "password": PASSWORD}
    assert other.ask(one.url, "POST", "/v1/console/session", sign_in)[0] == 200
    for server in (one, two):
        assert page.ask(server.url, "GET", "/v1/console/session")[0] == 200
        assert other.ask(server.url, "GET", "/v1/console/session")[0] == 200
    thief = Page()
    thief.cookies.load(page.cookies.output(header="").strip())
    assert thief.ask(one.url, "GET", "/v1/console/session")[0] == 200
    assert page.ask(two.url, "DELETE", "/v1/console/session")[0] == 200
    assert _until_ended(thief, one) == 401
    assert other.ask(one.url, "GET", "/v1/console/session")[0] == 200


def _until_ended(page: Page, server: Program) -> int:
    """Ask until the notice of PostgreSQL has reached the server: milliseconds."""
    for _ in range(1000):
        status, _ = page.ask(server.url, "GET", "/v1/console/session")
        if status != 200:
            return status
    return 200
