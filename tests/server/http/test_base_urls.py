"""What a client is told whose base URL is wrong."""

import time

import pytest

from antiphon.server.app import routes
from antiphon.server.http.base_urls import NOT_SERVED, base_url_hint
from antiphon.wire.errors import LONGEST_ECHO
from support.asgi import HELLO
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

BASE = "http://lab:8000"
BARE = f"The base URL should be {BASE}, without a path: the client adds /v1 itself."
SLASH = (
    f"The path has a slash too many: the base URL should be {BASE}, and no path ends with a slash."
)
GENERAL = (
    f"There is no such path. The base URL of a client of the Claude API should be {BASE}, without "
    f"a path, or {BASE}/v1 if the client does not add /v1 itself."
)


def versioned(path: str) -> str:
    return f"The base URL should be {BASE}/v1: this client adds {path} to it, without /v1."


def other_api(name: str) -> str:
    return (
        f"This is a path of the {name} API, and Antiphon serves the Claude API: use a client of "
        f"that, with the base URL {BASE}."
    )


HINTS = {
    "/v1/v1/messages": BARE,
    "/v1/v1/messages/count_tokens": BARE,
    "/v1/v1/models/claude-x": BARE,
    "/v1/messages/v1/messages": BARE,
    "/v1/chat/completions/v1/messages": BARE,
    "/api/v1/messages": BARE,
    "/anthropic/v1/messages": BARE,
    "/v1/v1/organizations/users/user_1": BARE,
    "/messages": versioned("/messages"),
    "/messages/count_tokens": versioned("/messages/count_tokens"),
    "/models": versioned("/models"),
    "/api/messages": versioned("/messages"),
    "/organizations/api_keys": versioned("/organizations/api_keys"),
    "/v1/messages/": SLASH,
    "/v1/messages//": SLASH,
    "//v1/messages": SLASH,
    "/v1//messages": SLASH,
    "/health/": SLASH,
    "/V1/Messages": f"Paths are in lower case: the base URL should be {BASE}.",
    "/v1/chat/completions": other_api("OpenAI"),
    "/chat/completions": other_api("OpenAI"),
    "/v1/v1/chat/completions": other_api("OpenAI"),
    "/v1/completions": other_api("OpenAI"),
    "/v1/responses": other_api("OpenAI"),
    "/v1/embeddings": other_api("OpenAI"),
    "/v1/audio/speech": other_api("OpenAI"),
    "/api/chat": other_api("Ollama"),
    "/api/generate": other_api("Ollama"),
    "/api/tags": other_api("Ollama"),
    "/v1/complete": f"Antiphon does not serve Text Completions; the base URL is {BASE}.",
    "/": GENERAL,
    "/v1": GENERAL,
    "/v1/": GENERAL,
    "/api": GENERAL,
    "/favicon.ico": GENERAL,
    "/v1/filesystem": GENERAL,
    "/v1/message": GENERAL,
    f"/v1/v1/messages/{'x' * 300}": GENERAL,
}


@pytest.mark.parametrize(("path", "hint"), HINTS.items(), ids=HINTS)
async def test_wrong_path_is_answered_with_a_hint(shared_client, path: str, hint: str) -> None:
    caller = await shared_client()
    with capture_logs() as logs:
        call = caller.start("POST", path, HELLO, {"host": "lab:8000"})
        answer = await call.task
    assert answer.headers["x-antiphon-hint"] == hint
    # The answer itself is that of the API.
    assert answer.error == (404, "not_found_error", "Not Found")
    assert set(answer.json) == {"type", "error", "request_id"}
    (line,) = (one for one in logs if one["event"] == "request")
    assert line["hint"] == hint


async def test_right_path_has_no_hint(client) -> None:
    caller = await client()
    with capture_logs() as logs:
        answers = [await caller.create(), await caller.get("/v1/models/unknown")]
    assert [answer.status for answer in answers] == [200, 404]
    assert not any("x-antiphon-hint" in answer.headers for answer in answers)
    assert not any("hint" in line for line in logs)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "10.0.0.5:8000"}, "http://10.0.0.5:8000,"),
        ({"host": "[::1]:8000"}, "http://[::1]:8000,"),
        ({"host": "lab.example", "x-forwarded-proto": "https"}, "https://lab.example,"),
        ({"host": "lab", "x-forwarded-proto": "gopher"}, "http://lab,"),
        ({"host": "lab", "x-forwarded-proto": "HTTPS, http"}, "https://lab,"),
        ({"host": "10.0.0.5", "x-forwarded-host": "lab.example:8443"}, "http://lab.example:8443,"),
        ({"host": "10.0.0.5", "x-forwarded-host": "[::1]:80, inner"}, "http://[::1]:80,"),
        ({"host": "lab", "x-forwarded-host": ""}, "http://lab,"),
        ({"host": "lab", "x-forwarded-host": "a/b?c"}, "http://lab,"),
        ({"host": "lab", "x-forwarded-host": "user@other"}, "http://lab,"),
        ({"x-forwarded-host": "lab"}, "http://lab,"),
        ({}, "http://HOST:PORT,"),
        ({"host": "a\tb\x7fé"}, "http://a?b???,"),
    ],
)
async def test_hint_names_the_host_that_the_client_used(
    shared_client, headers: dict[str, str], base: str
) -> None:
    caller = await shared_client()
    call = caller.start("POST", "/v1/v1/messages", HELLO, headers)
    hint = (await call.task).headers["x-antiphon-hint"]
    assert hint.startswith(f"The base URL should be {base} without a path")


@pytest.mark.parametrize(
    "text", ["a\r\nset-cookie: b", "a\x00b\x1b[2J", "日本", "…" * 3, "\ud800", "x" * 60_000]
)
@pytest.mark.parametrize("path", ["/v1/v1/messages", "/v1/{}/v1/messages", "/{}", "/messages/{}"])
def test_hint_is_one_short_line_of_printable_ascii(text: str, path: str) -> None:
    hint = base_url_hint(path.format(text), f"http://{text[:LONGEST_ECHO]}", lambda _: True)
    assert hint.isascii()
    assert hint.isprintable()
    assert len(hint) < 4 * LONGEST_ECHO


async def test_long_host_is_cut_in_the_hint(client) -> None:
    caller = await client()
    call = caller.start("POST", "/nothing", HELLO, {"host": "h" * 60_000})
    hint = (await call.task).headers["x-antiphon-hint"]
    assert "h" * (LONGEST_ECHO - 1) in hint
    assert "h" * LONGEST_ECHO not in hint


async def test_browser_may_read_the_hint(client) -> None:
    caller = await client()
    headers = {"origin": "http://page", "anthropic-dangerous-direct-browser-access": "true"}
    answer = await caller.start("POST", "/v1/v1/messages", HELLO, headers).task
    assert "x-antiphon-hint" in answer.headers
    assert answer.headers["access-control-expose-headers"] == "*"


async def test_parts_that_are_said_to_be_missing_are_missing(platform) -> None:
    served = {route.template for route in routes(await platform())}
    for part in NOT_SERVED:
        assert not any(path.startswith(f"/v1/{part}") for path in served), part


@pytest.mark.parametrize(
    "path",
    ["/v1" * 85, "/" * 256, "/messages" * 28, "/v1/models/" + "a" * 245, "/v1/" + "a/" * 126],
)
async def test_hint_for_any_path_asks_few_questions(path: str) -> None:
    asked: list[str] = []

    def is_served(one: str) -> bool:
        asked.append(one)
        return False

    base_url_hint(path, BASE, is_served)
    assert len(asked) <= 5


async def test_hint_takes_little_time(client) -> None:
    caller = await client()
    began = time.perf_counter()
    for _ in range(200):
        await caller.start("POST", "/v1" * 85, b"", {}).task
    assert time.perf_counter() - began < 2
