"""`antiphon launch` says what is missing before it starts anything."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from antiphon.cli import main
from cli.conftest import Shell


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cluade", "claude"),
        ("claude-code", "claude"),
        ("code", "vscode"),
        ("open-code", "opencode"),
        ("zeb", "zed"),
    ],
)
def test_program_that_is_mistyped_is_corrected(shell: Shell, typed: str, meant: str) -> None:
    said = shell.misunderstood(f"launch {typed}")
    assert said.endswith(f"there is no {typed!r}; did you mean `{meant}`?")


def test_unknown_program_is_told_the_known_ones(shell: Shell) -> None:
    said = shell.misunderstood("launch emacs")
    assert said.endswith("choose from claude, opencode, zed, vscode, copilot")


def test_program_that_is_not_installed_is_told_with_how_it_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert shell.complaint("launch claude") == (
        "Claude Code is not installed: there is no `claude` on the PATH. Install it: "
        "`npm install -g @anthropic-ai/claude-code`"
    )


def test_server_that_does_not_run_is_told_with_what_starts_it(shell: Shell) -> None:
    said = shell.complaint("launch claude --print-env")
    assert said.startswith(f"no server runs on the data folder {shell.data_dir}: start one with")
    assert said.endswith("or name one with --base-url")


def test_server_elsewhere_needs_a_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    typed = "launch claude --print-env --base-url http://127.0.0.1:9"
    assert "name its file with --key-file" in shell.complaint(typed)
    (shell.data_dir / "empty").touch()
    assert shell.complaint(f"{typed} --key-file {shell.data_dir}/empty").endswith("has no key")
    said = shell.complaint(f"{typed} --key-file {shell.data_dir}/missing")
    assert said.endswith("missing: No such file or directory")


def test_server_that_does_not_answer_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-antiphon-of-another-server")
    typed = "launch claude --print-env --base-url"
    said = shell.complaint(f"{typed} http://127.0.0.1:9/v1/")
    assert said == "http://127.0.0.1:9 does not answer: Connection refused"
    assert "begins with http" in shell.complaint(f"{typed} 127.0.0.1:8000")


def test_only_what_stands_behind_two_dashes_goes_to_the_program(shell: Shell) -> None:
    said = shell.misunderstood("launch claude -p")
    assert "unrecognized arguments: -p" in said
    with pytest.raises(SystemExit) as status:
        main(["launch", "claude", "--print-env", "--write-settings", "--", "--model"])
    assert status.value.code == 2


NOBODY = "launch claude --print-env --base-url http://127.0.0.1:9"


@pytest.mark.parametrize("secret", ["sk-one\ntwo", "sk-one\r", "sk-\u00e4", "sk-\x1b[2J"])
def test_key_that_cannot_be_sent_is_not_shown(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", secret)
    assert shell.complaint(NOBODY) == "this key has characters that no key has"


def test_key_that_can_be_read_once_alone_is_refused(shell: Shell) -> None:
    os.mkfifo(shell.data_dir / "pipe")
    said = shell.complaint(f"{NOBODY} --key-file {shell.data_dir}/pipe")
    assert said.endswith("pipe is no file that can be read again; set ANTHROPIC_AUTH_TOKEN instead")


class Elsewhere(ThreadingHTTPServer):
    """A server of somebody else, which says the same to everybody."""

    said = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Saying(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Elsewhere)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.said)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-of-another-server")
    with Elsewhere(("127.0.0.1", 0), Saying) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_names_of_a_strange_server_move_no_cursor(shell: Shell, elsewhere: Elsewhere) -> None:
    model = {
        "id": "m\x1b[2J\x00\n",
        "display_name": "\x07",
        "max_input_tokens": -5,
        "max_tokens": 10**30,
    }
    elsewhere.said = json.dumps({"data": [model]}).encode()
    said = shell.both(f"launch claude --print-env --base-url {elsewhere.url}")
    assert "\x1b" not in said
    assert "claude-local/m\\x1b[2J\\x00\\n" in said
    assert "MAX_CONTEXT" not in said
    assert "MAX_OUTPUT" not in said


@pytest.mark.parametrize(
    "said", [b"<html>", b'{"data": [{"id": 5}]}', b"\xff", b"[" * 50_000, b'{"data": []}']
)
def test_server_of_another_kind_is_told(shell: Shell, elsewhere: Elsewhere, said: bytes) -> None:
    elsewhere.said = said
    complaint = shell.complaint(f"launch claude --print-env --base-url {elsewhere.url}")
    assert complaint.startswith(elsewhere.url)


def test_user_without_a_home_folder_is_told(
    shell: Shell, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.said = b'{"data": [{"id": "m"}]}'
    # Of a user whom the system does not know.
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    said = shell.complaint(f"launch claude --print-env --base-url {elsewhere.url}")
    assert said == "this user has no home folder: set HOME"


def test_program_begins_with_the_signals_of_a_shell() -> None:
    script = "from antiphon.cli.launch import _become; _become('/bin/sh', ['-c', {!r}], {{}})"
    done = subprocess.run(
        [sys.executable, "-c", script.format("grep SigIgn /proc/self/status")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))
