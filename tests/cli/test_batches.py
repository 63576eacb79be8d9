"""`antiphon batches`, over a data folder. A platform of this process answers the batches."""

import asyncio
import gzip
import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli import main
from antiphon.cli.batch_listing import LISTED, done_of, row_of
from antiphon.cli.tables import say_table
from antiphon.core.batches import described
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import Settings
from antiphon.store.batches.listing import find_batch
from antiphon.wire.batches import RequestCounts
from cli.conftest import Shell
from support.batches import a_batch

PARAMS = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
LINE = 'A line is {"custom_id": "…", "params": {…}}, and params are a body of /v1/messages'


def request(custom_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "params": {**PARAMS, **changes}}


def write(path: Path, *lines: Any) -> Path:
    """Write a file with a line of JSON for each value; bytes are a line as they are."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts) + b"\n")
    return path


def answer(shell: Shell, batch_id: str) -> None:
    """Let the worker of a server answer a batch of the Default workspace."""

    async def work() -> None:
        settings = Settings.load({"data_dir": shell.data_dir}, environ={})
        sources = [ModelSource(model) for model in settings.served()]
        async with build_platform(settings, sources) as platform, asyncio.timeout(20):
            await platform.models.open()
            while True:
                async with platform.database.read() as connection:
                    batch = await find_batch(connection, None, batch_id)
                if batch is not None and batch.ended_at is not None:
                    return
                await asyncio.sleep(0.05)

    asyncio.run(work())


def test_batch_is_created_watched_read_and_deleted(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", request("a"), b"", request("b", model="gpt"))
    said = shell.both(f"batches create {file}")
    batch = shell.json("batches list")[0]
    watch = f"`antiphon batches watch {batch['id']} --data-dir {shell.data_dir}`"
    assert f"Batch {batch['id']} has 2 requests. {watch} shows its progress." in said
    assert "No model of these settings answers to gpt" in said
    assert (batch["processing_status"], batch["request_counts"]["processing"]) == ("in_progress", 2)
    assert shell.complaint(f"batches results {batch['id']}") == (
        f"batch {batch['id']} has not ended (0/2), and its results come then; {watch} shows its "
        "progress"
    )
    assert "In progress batches cannot" in shell.complaint(f"batches delete {batch['id']}")

    answer(shell, batch["id"])
    watched = shell(f"batches watch {batch['id']}").splitlines()
    assert watched[0] == "2 of 2 done, 1 failed, $0.0000"
    assert "1 succeeded, 1 errored, 0 canceled, 0 expired." in watched[-1]
    lines = [json.loads(line) for line in shell(f"batches results {batch['id']}").splitlines()]
    # The command line has no key.
    assert {line["api_key_id"] for line in shell.json("usage --by key")} == {None}
    kinds = {line["custom_id"]: line["result"]["type"] for line in lines}
    assert kinds == {"a": "succeeded", "b": "errored"}

    assert "is deleted" in shell(f"batches delete {batch['id']} --yes")
    assert shell("batches list").startswith("There are no batches: `antiphon batches create F")
    assert shell.complaint(f"batches watch {batch['id']}") == (
        f"there is no batch '{batch['id']}' in the Default workspace (--workspace names another); "
        f"`antiphon batches list --data-dir {shell.data_dir}` shows them"
    )


def test_report_has_what_a_server_that_has_ended_used_for_batches(
    shell: Shell, tmp_path: Path
) -> None:
    file = write(tmp_path / "q.jsonl", request())
    answer(shell, shell.json(f"batches create {file}")["id"])
    (line,) = shell.json("usage --engine --since 24h --by model")
    assert 0 < line["batches_s"] < line["total_s"]
    assert (line["interactive_s"], line["requests"], line["delayed"]) == (0, 0, 0)


def test_results_are_written_to_a_new_file_whole_or_not_at_all(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "q.jsonl", request())
    batch_id = shell.json(f"batches create {file}")["id"]
    answer(shell, batch_id)
    taken = write(tmp_path / "taken", b"mine")
    folder = tmp_path / "results"
    folder.mkdir()
    complaint = shell.complaint(f"batches results {batch_id} --output {taken}")
    assert complaint == f"{taken} exists; name another file"
    assert taken.read_bytes() == b"mine\n"
    assert "there is no folder" in shell.complaint(f"batches results {batch_id} --output no/r")
    assert shell(f"batches results {batch_id} --output {folder / 'r'}") == (
        f"Wrote {folder / 'r'}.\n"
    )
    assert (folder / "r").read_text() == shell(f"batches results {batch_id}")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    assert shell.complaint(f"batches results {batch_id} --output {folder / 's'}") == (
        "No space left on device"
    )
    assert [path.name for path in folder.iterdir()] == ["r"]


def test_file_of_results_is_made_where_there_are_no_hard_links(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = shell.json(f"batches create {write(tmp_path / 'q', request())}")["id"]
    answer(shell, batch_id)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    shell(f"batches results {batch_id} --output {tmp_path / 'r'}")
    assert (tmp_path / "r").read_text() == shell(f"batches results {batch_id}")
    assert [path.name for path in tmp_path.glob(".r*")] == []


def test_batch_of_a_workspace_is_found_with_its_flag(shell: Shell, tmp_path: Path) -> None:
    shell("workspaces create research")
    file = write(tmp_path / "q.jsonl", request())
    said = shell(f"batches create {file} --workspace research")
    assert " --workspace research` shows its progress." in said
    batch_id = shell.json("batches list --workspace research")[0]["id"]
    assert shell.json("batches list") == []
    assert "in the Default workspace" in shell.complaint(f"batches cancel {batch_id} --yes")
    assert "there is no workspace" in shell.complaint("batches list --workspace none")
    said = shell(f"batches cancel {batch_id} --workspace research --yes")
    assert said == (
        f"Batch {batch_id} is being canceled; `antiphon batches watch {batch_id} "
        f"--data-dir {shell.data_dir} --workspace research` shows when it has ended.\n"
    )
    status = shell.json("batches list --workspace research")[0]["processing_status"]
    assert status in {"canceling", "ended"}
    shell("workspaces archive research --yes")
    refused = shell.complaint(f"batches create {file} --workspace research")
    assert refused == "workspace research is archived"


def test_default_workspace_can_be_named(shell: Shell, tmp_path: Path) -> None:
    batch_id = shell.json(f"batches create {write(tmp_path / 'q', request())}")["id"]
    assert [one["id"] for one in shell.json("batches list --workspace Default")] == [batch_id]


def test_suggested_command_repeats_what_the_caller_gave_quoted_for_a_shell(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (tmp_path / "antiphon.toml").rename(tmp_path / "my settings.toml")
    flags = ["--config", str(config), "--data-dir", str(shell.data_dir), "--workspace", "Default"]
    file = write(tmp_path / "q.jsonl", request())
    assert main(["batches", "create", str(file), *flags]) == 0
    (command,) = re.findall("`antiphon (.*)`", capsys.readouterr().out)
    family, action, batch_id, *given = shlex.split(command)
    assert (family, action, given) == ("batches", "watch", flags)
    assert main(["batches", "cancel", batch_id, "--yes", *given]) == 0


@pytest.mark.parametrize(
    ("counts", "done"),
    [
        ({"processing": 50}, "0/50"),
        ({"processing": 1, "succeeded": 48, "errored": 1}, "49/50, 1 failed"),
        ({"processing": 0, "errored": 1, "expired": 999}, "1,000/1,000, 1,000 failed"),
        ({"processing": 0, "succeeded": 1, "canceled": 2}, "3/3, 2 canceled"),
    ],
)
def test_counts_of_a_batch_are_one_column(counts: dict[str, int], done: str) -> None:
    assert done_of(RequestCounts(**counts)) == done


@pytest.mark.parametrize("failed", [0, 3, 90_000])
def test_listing_fits_into_80_columns_with_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failed: int
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    made = {"requests": 100_000, "succeeded": 97, "errored": failed}
    batch = a_batch("msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d", **made)
    say_table([row_of(described(batch, ""))], LISTED)
    said = capsys.readouterr()
    assert said.err == ""
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.out)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0].split() == ["id", "status", "done", "created"]
    row = (batch.id, "in_progress", *done_of(described(batch, "").request_counts).split())
    assert {*row, f"{batch.created_at:%Y-%m-%d}", "12:00"} <= set(text.split())


def test_listing_says_how_many_it_leaves_out(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", request())
    made = [shell.json(f"batches create {file}")["id"] for _ in range(3)]
    said = shell.both("batches list --limit 2")
    assert made[2] in said
    assert made[0] not in said
    assert f"There are more: --after {made[1]} lists them." in said
    assert [one["id"] for one in shell.json(f"batches list --after {made[1]}")] == made[:1]
    assert shell.complaint("batches list --after none") == "--after: no such id: none"
    assert shell.misunderstood("batches list --limit 0").endswith("no number from 1 to 1000")


def test_standard_input_is_read(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = write(tmp_path / "q.jsonl", request("a"), request("b")).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert shell.json("batches create -")["request_counts"]["processing"] == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    assert shell.complaint("batches create -").startswith("standard input, line 1: custom_id")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"custom_id": "b", "params": ', f"it is not JSON: Input data was truncated. {LINE}"),
        (b"{} {}", "it is not JSON: JSON is malformed: trailing characters (byte 4)"),
        (b"\xff\xfe{\x00", "it is not JSON: "),
        (b"[" * 5000, "it is not JSON: it is nested too deeply"),
        ([request()], f"Input should be an object. {LINE}; write each object of the array"),
        ({"requests": [request()]}, "custom_id: Field required. "),
        (PARAMS, "custom_id: Field required. "),
        ({"custom_id": "b"}, f"params: Field required. {LINE}"),
        ({"custom_id": "", "params": PARAMS}, "custom_id: String should match pattern"),
        ({**request("b"), "url": "/v1"}, "url: Extra inputs are not permitted"),
        (request("a"), "custom_id's must be unique within a batch. Duplicate custom_id found: a"),
        (request("b", messages=[]), "params.messages: at least one message is required (custom"),
        (request("b", max_tokens=0), "params.max_tokens: must be greater than or equal to 1"),
        (request("b", temprature=1), "params.temprature: Extra inputs are not permitted"),
        (request("b", stream=True), 'params: "stream=True" is not supported in the Message'),
    ],
)
def test_line_that_is_wrong_is_named(
    shell: Shell, tmp_path: Path, line: Any, complaint: str
) -> None:
    file = write(tmp_path / "q.jsonl", request("a"), b" \r", line, request("c"))
    said = shell.complaint(f"batches create {file}")
    assert said.startswith(f"{file}, line 3: {complaint}")
    assert shell.json("batches list") == []


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ({"requests": [request()]}, "write each object of `requests` into a line of its own"),
        (PARAMS, "a request of the Messages API stands in `params`, beside a `custom_id`"),
        (
            {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}},
            "what stands in `body` belongs into `params`, as a request of the Messages API",
        ),
    ],
)
def test_file_of_another_form_is_told_what_to_change(
    shell: Shell, tmp_path: Path, line: Any, advice: str
) -> None:
    assert shell.complaint(f"batches create {write(tmp_path / 'q', line)}").endswith(advice)


def test_newest_version_has_no_sampling_parameters(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", request(temperature=0.5))
    shell(f"batches create {file}")
    said = shell.complaint(f"batches create {file} --api-version 2026-10-21")
    assert "line 1: params.temperature: Extra inputs are not permitted" in said


def test_betas_are_those_of_the_batch_and_of_its_check(shell: Shell, tmp_path: Path) -> None:
    scoped = {"type": "ephemeral", "scope": "global"}
    file = write(tmp_path / "q", request(cache_control=scoped))
    assert "ephemeral.scope: Extra inputs are" in shell.complaint(f"batches create {file}")
    betas = "--beta other-2030-01-01 --beta prompt-caching-scope-2026-01-05"
    batch_id = shell.json(f"batches create {file} {betas}")["id"]
    answer(shell, batch_id)
    assert json.loads(shell(f"batches results {batch_id}"))["result"]["type"] == "succeeded"
    said = shell.misunderstood(f"batches create {file} --beta a,b")
    assert said == "argument --beta: 'a,b' is no name of a beta"


def test_same_file_with_the_same_key_is_the_same_batch(shell: Shell, tmp_path: Path) -> None:
    file, other = write(tmp_path / "q", request()), write(tmp_path / "p", request("b"))
    keyed = "--idempotency-key nightly"
    made = [shell.json(f"batches create {file} {keyed}")["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(shell.json("batches list")) == 1
    said = shell.complaint(f"batches create {other} {keyed}")
    assert said == (
        "--idempotency-key: it has been used for another file, or with another --api-version or "
        f"--beta, of {made[0]}; use another key"
    )
    said = shell.complaint(f"batches create {other} --idempotency-key ü")
    assert said == "--idempotency-key: Input should be 1 to 255 printable ASCII characters"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (gzip.compress(b"{}", mtime=0), "The file is compressed: unpack it first"),
        (json.dumps(request()).encode("utf-16"), "The file is UTF-16: save it as UTF-8"),
        (json.dumps([request()], indent=2).encode(), f"{LINE}; write each request into one line"),
        (bytes(range(128, 256)), LINE),
    ],
)
def test_file_that_is_no_lines_of_json_is_told_what_it_is(
    shell: Shell, tmp_path: Path, text: bytes, advice: str
) -> None:
    (tmp_path / "q").write_bytes(text)
    said = shell.complaint(f"batches create {tmp_path / 'q'}")
    assert said.startswith(f"{tmp_path / 'q'}, line 1: it is not JSON: ")
    assert said.endswith(f". {advice}")


def test_custom_id_that_comes_again_is_named_without_advice(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "q", request("a"), request("a"))
    assert shell.complaint(f"batches create {file}").endswith("Duplicate custom_id found: a")


@pytest.mark.parametrize("text", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_file_without_requests_is_refused(shell: Shell, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "q").write_bytes(text)
    assert shell.complaint(f"batches create {tmp_path / 'q'}") == (
        f"{tmp_path / 'q'} has no requests. {LINE}"
    )


def test_mark_at_the_beginning_of_a_file_is_passed_over(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "q", b"\xef\xbb\xbf" + json.dumps(request()).encode())
    assert shell.json(f"batches create {file}")["request_counts"]["processing"] == 1


def test_file_that_cannot_be_read_is_named(shell: Shell, tmp_path: Path) -> None:
    missing = shell.complaint(f"batches create {tmp_path / 'none'}")
    assert missing == f"{tmp_path / 'none'}: No such file or directory"
    assert shell.complaint(f"batches create {tmp_path}") == f"{tmp_path}: Is a directory"


LIMITED = 'engine = "scripted"\nmax_body_bytes = 2048\nmax_batch_bytes = 4096\n'


def test_line_and_batch_beyond_the_limits_are_named_with_their_settings(
    configured: Callable[[str], Shell], tmp_path: Path
) -> None:
    shell = configured(LIMITED)
    long = write(tmp_path / "long", request("a"), request("b", system="x" * 3000))
    assert shell.complaint(f"batches create {long}").startswith(f"{long}, line 2: it is longer")
    assert "(max_body_bytes)" in shell.complaint(f"batches create {long}")
    many = write(tmp_path / "many", *(request(f"r{n}", system="x" * 900) for n in range(5)))
    said = shell.complaint(f"batches create {many}")
    assert said.startswith(f"{many}, line 4: the batch is larger than 4.1 kB (max_batch_bytes)")


def test_batch_beyond_the_queue_is_refused(
    configured: Callable[[str], Shell], tmp_path: Path
) -> None:
    shell = configured('engine = "scripted"\nlimits.queued_batch_requests = 1\n')
    file = write(tmp_path / "q", request("a"))
    shell(f"batches create {file}")
    assert "at most 1 may be queued" in shell.complaint(f"batches create {file}")


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_change_is_asked_on_a_terminal(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    batch_id = shell.json(f"batches create {write(tmp_path / 'q', request())}")["id"]
    answer(shell, batch_id) if action == "delete" else None
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert shell.complaint(f"batches {action} {batch_id}") == "nothing was changed"
    assert [one["id"] for one in shell.json("batches list")] == [batch_id]


def test_interrupted_watch_says_how_to_go_on(
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch_id = shell.json(f"batches create {write(tmp_path / 'q', request())}")["id"]

    async def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("antiphon.cli.database_batches.asyncio.sleep", interrupt)
    assert main(["batches", "watch", batch_id, "--data-dir", str(shell.data_dir)]) == 130
    said = capsys.readouterr()
    assert said.out == "0 of 1 done, 0 failed, $0.0000\n"
    assert said.err == (
        f"The batch goes on: `antiphon batches watch {batch_id} --data-dir {shell.data_dir}` "
        "shows it again.\n"
    )
