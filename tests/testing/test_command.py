"""The server for tests as a program, which tests in other languages use."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from antiphon import testing
from support.node import node

SCRIPT = """
const {url, key, control} = JSON.parse(process.argv[1]);
const headers = {"x-api-key": key, "anthropic-version": "2023-06-01"};
const post = (to, body) => fetch(to, {method: "POST", headers, body: JSON.stringify(body)});
await post(`${control}failures`, {type: "overloaded_error", times: 2});
await post(`${control}answers`, {text: "Good morning", tool_calls: [{name: "look"}]});
const body = {model: "claude-x", max_tokens: 9, messages: [{role: "user", content: "Hi"}]};
const told = [];
for (let tries = 0; tries < 3; tries++) {
  const answer = await post(`${url}/v1/messages`, body);
  told.push(answer.status);
  if (answer.ok) told.push((await answer.json()).content.map((block) => block.type));
}
const requests = await (await fetch(`${control}requests`, {headers})).json();
told.push(requests.map((request) => [request.body.model, request.status]));
console.log(JSON.stringify(told));
"""


@contextmanager
def command(*arguments: str) -> Iterator[dict[str, str]]:
    """Run the command, and yield what it tells."""
    process = subprocess.Popen(
        [sys.executable, "-m", "antiphon.testing", "--stdin", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        # The end of its input is the end of its parent.
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, str]]:
    with command("--set", "ping_interval_s = 1", "--set", "model_id = 'mine'") as started:
        yield started


def ask(
    told: dict[str, str], url: str, body: Any = None, key: str | None = None
) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": key or told["key"], "anthropic-version": "2023-06-01"}
    try:
        with urlopen(Request(url, content, headers)) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_program_of_another_language_scripts_it_and_reads_its_requests(
    told: dict[str, str],
) -> None:
    said = json.loads(node("--input-type=module", "-e", SCRIPT, json.dumps(told)))
    assert said == [
        529,
        529,
        200,
        ["text", "tool_use"],
        [["claude-x", 529], ["claude-x", 529], ["claude-x", 200]],
    ]


def test_control_sets_limits_and_forgets(told: dict[str, str]) -> None:
    control = told["control"]
    assert ask(told, f"{control}reset", {}) == (200, {})
    assert ask(told, f"{control}requests") == (200, [])
    answers = [{"text": "It rains", "when": "weather"}, {"text": "Ever", "times": None}]
    status, left = ask(told, f"{control}answers", answers)
    assert (status, len(left["unused"])) == (200, 2)
    assert ask(told, f"{control}limits", {"requests_per_minute": 1})[0] == 200
    body = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    assert [ask(told, f"{told['url']}/v1/messages", body)[0] for _ in range(2)] == [200, 429]
    assert ask(told, f"{control}limits", {"requests_per_minute": None})[0] == 200
    unused = ask(told, f"{control}unused")[1]["unused"]
    assert [line.partition("(")[0] for line in unused] != []
    assert ask(told, f"{control}failures", {"type": "raw", "status": 503, "body": "down"})[0] == 200
    assert ask(told, f"{told['url']}/v1/models")[1]["data"][0]["id"] == "mine"


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("answers", {"txt": "x"}, "txt"),
        ("answers", {"text": "x", "times": 0}, "times"),
        ("answers", {"when": "("}, "no regular expression"),
        ("failures", {"type": "none_error"}, "none_error"),
        ("failures", {"type": "raw", "headers": {"a": "\u4e2d"}}, "cannot carry"),
        ("limits", {"requests": 1}, "requests"),
    ],
)
def test_mistake_in_a_script_is_named(
    told: dict[str, str], path: str, body: object, fault: str
) -> None:
    status, answer = ask(told, told["control"] + path, body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert fault in answer["error"]["message"]


def test_control_wants_the_key_and_knows_its_paths(told: dict[str, str]) -> None:
    assert ask(told, f"{told['control']}requests", key="sk-other")[0] == 401
    status, answer = ask(told, f"{told['control']}other")
    assert status == 404
    assert "POST /testing/answers" in answer["error"]["message"]


def test_wrong_setting_ends_the_command_with_a_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "antiphon.testing", "--set", "ping_interval_s = -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: ")
    assert "ping" in run.stderr


def test_port_that_is_taken_ends_it_with_a_sentence(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    port = told["url"].rpartition(":")[2]
    with pytest.raises(OSError, match="another program listens there"), testing.server() as server:
        server.listen(int(port))
    assert capsys.readouterr().err == ""
