"""`antiphon launch` beside a running server: a key of its own, and a program that takes over."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.processes import PATIENCE_S, PROGRAM, Program, environment, run, serving

CONFIG = """
[[models]]
id = "small"
engine = "scripted"
aliases = ["claude-*"]
options = { text = "Well.", context_tokens = 8192 }

[[models]]
id = "large"
engine = "scripted"
display_name = "Large 27B"
options = { text = "Very well.", context_tokens = 131072 }
"""
# Stands for each program: it says how it was started, and ends as its first argument says.
FAKE = f"""#!{sys.executable}
import json, os, sys, time
told = {{"arguments": sys.argv[1:], "environ": dict(os.environ), "pid": os.getpid()}}
print(json.dumps(told), flush=True)
if sys.argv[1:2] == ["wait"]:
    time.sleep(60)
sys.exit(int(sys.argv[1]) if sys.argv[1:2] and sys.argv[1].isdigit() else 0)
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launching")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    for name in ("claude", "opencode", "zed", "code", "copilot"):
        programs.joinpath(name).write_text(FAKE, encoding="utf-8")
        programs.joinpath(name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[Program]:
    with serving(data_dir) as program:
        yield program


def variables(data_dir: Path, **more: str) -> dict[str, str]:
    home = data_dir / "home"
    home.mkdir(exist_ok=True)
    path = f"{data_dir / 'bin'}:{os.environ['PATH']}"
    clean = {"ANTHROPIC_AUTH_TOKEN": "", "ANTHROPIC_API_KEY": "", "XDG_CONFIG_HOME": ""}
    config = str(data_dir / "antiphon.toml")
    return {"PATH": path, "HOME": str(home), "ANTIPHON_CONFIG": config, **clean, **more}


def launch(data_dir: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run(data_dir, "launch", *words, **variables(data_dir, **more))


def started(data_dir: Path, *words: str, **more: str) -> Any:
    done = launch(data_dir, *words, **more)
    return json.loads(done.stdout), done


def models_with(server: Program, secret: str) -> int:
    headers = {"authorization": f"Bearer {secret}", "anthropic-version": "2023-06-01"}
    return httpx2.get(f"{server.url}/v1/models", headers=headers).status_code


def test_program_gets_the_server_a_key_and_its_arguments(server: Program, data_dir: Path) -> None:
    told, done = started(data_dir, "claude", "--", "7", "-p", "How are you?", "--")
    assert (done.returncode, told["arguments"]) == (7, ["7", "-p", "How are you?", "--"])
    environ = told["environ"]
    assert environ["ANTHROPIC_BASE_URL"] == server.url
    assert environ["ANTHROPIC_API_KEY"] == ""
    assert environ["ANTHROPIC_DEFAULT_OPUS_MODEL"] == "claude-local/small"
    assert environ["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "8192"
    assert models_with(server, environ["ANTHROPIC_AUTH_TOKEN"]) == 200
    assert "Claude Code needs about 57,000 tokens of context; small has 8,192" in done.stderr
    assert environ["ANTHROPIC_AUTH_TOKEN"] not in done.stderr


def test_other_model_is_chosen_by_its_id(server: Program, data_dir: Path) -> None:
    told, done = started(data_dir, "claude", "--model", "large")
    assert told["environ"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "claude-local/large"
    assert done.stderr == ""
    refused = launch(data_dir, "claude", "--model", "larg")
    assert "there is no model 'larg'; did you mean 'large'?" in refused.stderr
    assert server.url


def test_key_of_a_program_is_made_once_and_is_for_its_user_alone(
    server: Program, data_dir: Path
) -> None:
    first, again = (started(data_dir, "opencode")[0]["environ"] for _ in range(2))
    assert first["OPENCODE_CONFIG_CONTENT"] == again["OPENCODE_CONFIG_CONTENT"]
    file = data_dir / "launch/opencode.key"
    assert str(file) in first["OPENCODE_CONFIG_CONTENT"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert names_of_keys(data_dir).count("launch-opencode") == 1
    revoked = file.read_text(encoding="utf-8").strip()
    assert run(data_dir, "keys", "revoke", "launch-opencode").returncode == 0
    assert models_with(server, revoked) == 401
    started(data_dir, "opencode")
    assert file.read_text(encoding="utf-8").strip() != revoked
    file.unlink()
    started(data_dir, "opencode")
    assert {"launch-opencode", "launch-opencode-2"} <= set(names_of_keys(data_dir))


def test_two_first_starts_at_once_share_one_key(server: Program, data_dir: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: launch(data_dir, "zed", "--show-key").stdout, range(2)))
    assert both[0] == both[1]
    assert models_with(server, both[0].strip()) == 200
    assert [name for name in names_of_keys(data_dir) if "zed" in name] == ["launch-zed"]


def names_of_keys(data_dir: Path) -> list[str]:
    done = run(data_dir, "keys", "list", "--json")
    return [key["name"] for key in json.loads(done.stdout)]


def test_printed_lines_set_a_shell_up_without_showing_the_key(
    server: Program, data_dir: Path
) -> None:
    printed = launch(data_dir, "claude", "--print-env").stdout
    secret = launch(data_dir, "claude", "--show-key").stdout.strip()
    assert secret.startswith("sk-antiphon-")
    assert secret not in printed
    said = subprocess.run(
        ["/bin/sh", "-euc", f'{printed}\nprintf %s "$ANTHROPIC_AUTH_TOKEN $ANTHROPIC_BASE_URL"'],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert said.stdout == f"{secret} {server.url}"


def test_settings_are_added_once_and_never_replace_any(server: Program, data_dir: Path) -> None:
    home = Path(variables(data_dir)["HOME"])
    path = home / ".claude/settings.json"
    path.parent.mkdir()
    before = '{\n  "model": "opus", // mine\n  "env": {"ANTHROPIC_BASE_URL": "https://other"}\n}\n'
    path.write_text(before, encoding="utf-8")
    done = launch(data_dir, "claude", "--write-settings", "--model", "large")
    assert done.returncode == 0, done.stderr
    assert f"{path}: added env.ANTHROPIC_API_KEY, " in done.stdout
    assert ", apiKeyHelper.\nIt keeps its own env.ANTHROPIC_BASE_URL, which" in done.stdout
    after = path.read_text(encoding="utf-8")
    assert '"opus", // mine' in after
    assert '"ANTHROPIC_BASE_URL": "https://other"' in after
    assert '"ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-local/large"' in after
    assert path.with_name("settings.json.before-antiphon").read_text(encoding="utf-8") == before
    again = launch(data_dir, "claude", "--write-settings", "--model", "large")
    assert f"{path} is unchanged." in again.stdout
    assert path.read_text(encoding="utf-8") == after
    assert server.url not in after


def test_editor_without_the_settings_is_told_of_them(server: Program, data_dir: Path) -> None:
    words = ("zed", "--model", "large")
    done = launch(data_dir, *words)
    assert "`antiphon launch zed --write-settings` adds it to" in done.stderr
    assert launch(data_dir, *words, "--write-settings").returncode == 0
    assert launch(data_dir, *words).stderr == ""
    path = Path(variables(data_dir)["HOME"], ".config/zed/settings.json")
    assert server.url in path.read_text(encoding="utf-8")


def test_file_of_the_key_is_found_from_any_folder(server: Program, data_dir: Path) -> None:
    done = run(
        data_dir, "launch", "claude", "--print-env", "--data-dir", ".", **variables(data_dir)
    )
    assert f'"$(cat {data_dir}/launch/claude.key)"' in done.stdout
    assert server.url in done.stdout


def test_program_without_a_file_of_settings_says_so(server: Program, data_dir: Path) -> None:
    done = launch(data_dir, "copilot", "--model", "large", "--write-settings")
    assert done.returncode == 1
    assert "Copilot CLI has no file of settings for this; use --print-env instead" in done.stderr
    told, _ = started(data_dir, "copilot")
    assert told["environ"]["COPILOT_PROVIDER_BASE_URL"] == server.url


def test_server_elsewhere_is_reached_with_the_key_of_the_environment(
    server: Program, data_dir: Path, tmp_path: Path
) -> None:
    secret = launch(data_dir, "claude", "--show-key").stdout.strip()
    elsewhere = variables(data_dir, ANTHROPIC_API_KEY=secret)
    words = ("launch", "claude", "--base-url", f"{server.url}/v1")
    done = run(tmp_path, *words, **elsewhere)
    assert json.loads(done.stdout)["environ"]["ANTHROPIC_AUTH_TOKEN"] == secret
    printed = run(tmp_path, *words, "--print-env", **elsewhere).stdout
    assert 'export ANTHROPIC_AUTH_TOKEN="$ANTHROPIC_API_KEY"\n' in printed
    wrong = run(tmp_path, *words, **{**elsewhere, "ANTHROPIC_API_KEY": "wrong"})
    assert f"{server.url} does not take this key" in wrong.stderr


def test_key_of_the_settings_is_taken_and_no_other_is_made(tmp_path: Path, data_dir: Path) -> None:
    """Beside another key, the server would ignore it at its next start."""
    chosen = {"ANTIPHON_API_KEY": "sk-antiphon-chosen-by-the-operator"}
    there = {**variables(data_dir), **chosen}
    with serving(tmp_path, environ=there):
        done = run(tmp_path, "launch", "claude", **there)
        names = names_of_keys(tmp_path)
    told = json.loads(done.stdout)
    assert told["environ"]["ANTHROPIC_AUTH_TOKEN"] == chosen["ANTIPHON_API_KEY"]
    assert len(names) == 1


def test_proxy_is_not_asked_for_a_server_of_this_machine(server: Program, data_dir: Path) -> None:
    proxied = {"HTTPS_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    told, _ = started(data_dir, "claude", **proxied, NO_PROXY="example.org")
    for name in ("NO_PROXY", "no_proxy"):
        assert told["environ"][name] == "example.org,127.0.0.1,localhost,::1"
    assert server.url


def test_signals_are_those_of_the_program(server: Program, data_dir: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "launch", "claude", "--", "wait"],
        env=environment(data_dir, **variables(data_dir)),
        cwd=data_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        assert told["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == -signal.SIGTERM
    assert server.url
