"""`antiphon doctor`: what it finds, and that it leaves everything as it was."""

import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from antiphon.cli import main
from antiphon.cli.doctor import Finding, report
from antiphon.cli.doctor.database import check_clock
from antiphon.cli.doctor.folder import check_disk, check_folder
from antiphon.cli.doctor.machine import (
    Device,
    check_gpu,
    check_memory,
    check_python,
    devices,
)
from antiphon.settings import Settings
from antiphon.store.database.instance_lock import lock_data_dir
from antiphon.store.database.migrations import NEWEST
from antiphon.store.inspection import Inspection
from support.gguf_bytes import model
from support.templates import QWEN_LIKE
from tests.cli.conftest import Shell

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Doctor:
    """Asks the doctor about the folder of a shell, on a free port."""

    def __init__(self, shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell = shell
        self._capsys = capsys

    def __call__(self, *flags: str) -> tuple[int, list[Finding]]:
        """Return the exit status and the findings."""
        where = ["--data-dir", str(self.shell.data_dir)]
        status = main(["doctor", "--json", *where, *(flags or ("--port", "0"))])
        told = json.loads(self._capsys.readouterr().out)
        findings = [Finding(**one) for one in told["findings"]]
        assert told["ok"] == (status == 0) == all(one.state != "problem" for one in findings)
        assert all((one.mend is None) == (one.state == "ok") for one in findings)
        return status, findings

    def problems(self, *flags: str) -> list[Finding]:
        status, findings = self(*flags)
        assert status == 1
        return [one for one in findings if one.state == "problem"]

    def only_problem(self, *flags: str) -> Finding:
        (one,) = self.problems(*flags)
        return one

    def said(self, name: str, *flags: str) -> str:
        """Return what is said of a thing that is as it should be."""
        status, findings = self(*flags)
        assert status == 0
        (one,) = (one for one in findings if one.name == name)
        assert one.state == "ok"
        return one.text


@pytest.fixture
def doctor(shell: Shell, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(shell, capsys)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the sizes and the times of change of all files."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {str(path): (one.st_size, one.st_mtime_ns) for path, one in found.items()}


def test_nothing_is_made_where_nothing_exists(doctor: Doctor) -> None:
    doctor.shell.data_dir = doctor.shell.data_dir.with_name("new")
    status, findings = doctor()
    assert status == 0
    assert not doctor.shell.data_dir.exists()
    told = {one.name: one.text for one in findings}
    assert "does not exist yet; `antiphon serve` makes it" in told["data folder"]
    assert "none yet; `antiphon serve` makes it" in told["database"]
    assert told["keys"] == "none yet; the first start shows one"


def test_founded_folder_is_left_as_it_is(doctor: Doctor) -> None:
    doctor.shell("keys create laptop")
    before = contents(doctor.shell.data_dir)
    assert doctor.said("keys") == "1 of 1 can be used"
    assert f"schema {NEWEST}" in doctor.said("database")
    assert contents(doctor.shell.data_dir) == before


def test_report_has_lines_of_80_columns_and_says_what_mends(
    doctor: Doctor, capsys: pytest.CaptureFixture[str], taken: int
) -> None:
    where = ["--data-dir", str(doctor.shell.data_dir), "--port", str(taken)]
    assert main(["doctor", *where]) == 1
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert [one for one in lines if len(one) > 80 and "/" not in one] == []
    whole = " ".join(said.split())
    assert f"problem port cannot listen on 127.0.0.1:{taken}: another program listens" in whole
    assert "-> Choose another port with --port; --port 0 takes a free one" in whole
    assert lines[-1] == "1 problem."


def test_report_counts() -> None:
    ok, note, problem = (
        Finding("a", "ok", "b"),
        Finding("a", "note", "b", "c"),
        Finding("a", "problem", "b", "c"),
    )
    assert report([ok]).endswith("\n\nNo problems.")
    assert report([ok, note]).endswith("\n\n1 note.")
    assert report([problem, problem, note]).endswith("\n\n2 problems and 1 note.")


def test_port_of_another_program_is_told(doctor: Doctor, taken: int) -> None:
    one = doctor.only_problem("--port", str(taken))
    assert one.name == "port"
    assert f"127.0.0.1:{taken}" in one.text
    assert one.mend == "Choose another port with --port; --port 0 takes a free one"


def test_address_of_another_machine_is_told(doctor: Doctor) -> None:
    one = doctor.only_problem("--host", "192.0.2.1")
    assert (one.name, one.mend) == ("port", "Choose another one with --host")


def test_unknown_setting_is_told_with_the_machine(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_PROT", "8000")
    status, findings = doctor()
    assert status == 1
    assert findings[0].name == "settings"
    assert findings[0].text == "ANTIPHON_PROT: unknown setting (did you mean 'port'?)"
    assert [one.name for one in findings[1:]] == ["python", "memory", "cores"]


def test_file_of_settings_that_cannot_be_read_is_told(doctor: Doctor) -> None:
    Path("antiphon.toml").write_text("port = [", encoding="utf-8")
    one = doctor.only_problem()
    assert (one.name, one.text.partition(":")[0]) == ("settings", "antiphon.toml")


def test_other_commands_fail_by_an_unknown_setting(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_PROT", "8000")
    assert shell.complaint("keys list").startswith("ANTIPHON_PROT: unknown setting")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("engine = 'scripted'\nmodel = 'a.gguf'\n", "model", "the engine is scripted"),
        ("engine = 'scripted'\n[llama]\nslots = 2\n", "llama", "the engine is scripted"),
        (
            "model = 'a.gguf'\n[llama]\nurl = 'http://127.0.0.1:1'\n",
            "model",
            "the model is that of the server at `[llama] url`",
        ),
        (
            "model = 'a.gguf'\n[[models]]\nid = 'a'\nengine = 'scripted'\n",
            "model",
            "the models are those of [[models]]",
        ),
        (
            "engine = 'scripted'\n[console]\nenabled = false\nidle_hours = 3\n",
            "console.idle_hours",
            "the Console is off",
        ),
    ],
)
def test_setting_without_an_effect_is_a_note(
    text: str, place: str, reason: str, doctor: Doctor
) -> None:
    Path("antiphon.toml").write_text(text, encoding="utf-8")
    status, findings = doctor()
    (one,) = (one for one in findings if one.state == "note")
    assert one.text == f"antiphon.toml: {place} has no effect: {reason}"
    assert one.mend == f"remove antiphon.toml: {place}"
    assert status == 0


def test_setting_with_an_effect_is_none(doctor: Doctor) -> None:
    Path("antiphon.toml").write_text("engine = 'scripted'\n[limits]\nspend_wait_s = 5\n")
    status, findings = doctor()
    assert (status, [one for one in findings if one.state != "ok"]) == (0, [])


def test_file_in_place_of_the_folder_is_told(doctor: Doctor) -> None:
    doctor.shell.data_dir = doctor.shell.data_dir.with_name("file")
    doctor.shell.data_dir.touch()
    _, findings = doctor()
    assert {"database", "keys"}.isdisjoint(one.name for one in findings)
    one = doctor.only_problem()
    assert f"{doctor.shell.data_dir} is not a folder" in one.text
    assert one.mend == "Choose another one with --data-dir"


def test_folder_that_cannot_be_looked_into_is_told(doctor: Doctor) -> None:
    doctor.shell.data_dir = doctor.shell.data_dir / ("x" * 300)
    assert "File name too long" in doctor.only_problem().text


def refusing(*_: Any) -> bool:
    return False


def test_folder_that_is_not_writable_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user of the tests may write everywhere if it is root, so the system is made to refuse."""
    monkeypatch.setattr(os, "access", refusing)
    (one,) = check_folder(Settings.load({"data_dir": tmp_path / "data"}, environ={}))
    assert one.state == "problem"
    assert "permission denied" in one.text


def test_folder_on_a_disk_that_is_read_only_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    (one,) = check_folder(Settings.load({"data_dir": tmp_path}, environ={}))
    assert "its file system is read-only" in one.text


def test_rights_of_others_are_told(doctor: Doctor) -> None:
    folder = doctor.shell.data_dir
    database = folder / "antiphon.db"
    folder.chmod(0o777)
    database.chmod(0o644)
    assert [one.mend for one in doctor.problems()] == [
        f"`chmod 700 {folder}`",
        f"`chmod 600 {database}`",
    ]
    folder.chmod(0o700)
    database.chmod(0o600)
    assert doctor.said("data folder").endswith("rights 700")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_root_in_the_folder_of_another_user_is_a_note(doctor: Doctor) -> None:
    os.chown(doctor.shell.data_dir, 65534, 65534)
    status, findings = doctor()
    (one,) = (one for one in findings if one.state == "note")
    assert "belongs to the user nobody, and this is root" in one.text
    assert status == 0


def test_folder_of_another_server_is_told_with_its_process(doctor: Doctor) -> None:
    with lock_data_dir(doctor.shell.data_dir, "127.0.0.1:9351"):
        one = doctor.only_problem()
    assert one.name == "data folder"
    assert f"(process {os.getpid()} on 127.0.0.1:9351)" in one.text
    assert one.mend is not None
    assert one.mend.startswith(f"stop it with `kill {os.getpid()}`, or choose another folder")


def test_server_itself_is_no_problem(doctor: Doctor, taken: int) -> None:
    with lock_data_dir(doctor.shell.data_dir, f"127.0.0.1:{taken}"):
        said = doctor.said("port", "--port", str(taken))
    assert said == f"a server (process {os.getpid()}) listens on 127.0.0.1:{taken}"


@pytest.mark.parametrize(("free", "state"), [(63 << 20, "problem"), (65 << 20, "ok")])
def test_full_disk_is_told(free: int, state: str, tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": tmp_path / "new"}, environ={})
    usage = SimpleNamespace(total=1 << 40, free=free)
    (one,) = check_disk(settings, lambda _: usage)
    assert one.state == state


def test_lost_database_is_told(doctor: Doctor) -> None:
    (doctor.shell.data_dir / "antiphon.db").unlink()
    one = doctor.only_problem()
    assert one.name == "database"
    assert "is missing or empty" in one.text
    assert "antiphon restore FILE" in one.text


def test_damaged_database_is_told(doctor: Doctor) -> None:
    path = doctor.shell.data_dir / "antiphon.db"
    path.write_bytes(b"no database" * 1000)
    one = doctor.only_problem()
    assert one.text == f"The file is not a database: {path}"
    assert one.mend is not None
    assert "antiphon restore" in one.mend


def set_schema(folder: Path, version: str) -> None:
    with closing(sqlite3.connect(folder / "antiphon.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_database_of_an_older_release_is_a_note(doctor: Doctor) -> None:
    set_schema(doctor.shell.data_dir, "0018")
    status, findings = doctor()
    (one,) = (one for one in findings if one.state == "note")
    assert f"the next start migrates it to {NEWEST}" in one.text
    assert (one.mend, status) == ("`antiphon backup FILE` before", 0)


@pytest.mark.parametrize("version", ["9999", "other"])
def test_database_of_a_newer_release_is_told(version: str, doctor: Doctor) -> None:
    set_schema(doctor.shell.data_dir, version)
    one = doctor.only_problem()
    assert f"has the schema {version!r}" in one.text
    assert one.mend == "run the release that made it, or a newer one"


def test_keys_that_are_all_revoked_are_told(doctor: Doctor) -> None:
    doctor.shell("keys create laptop")
    doctor.shell("keys revoke laptop --yes")
    one = doctor.only_problem()
    assert (one.name, one.mend) == ("keys", "`antiphon keys create NAME`")


def test_key_of_the_settings_that_is_ignored_is_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "a-key-of-sixteen")
    assert doctor.said("keys") == "none yet; the first start shows one"
    secret = doctor.shell("keys create laptop").strip()
    one = doctor.only_problem()
    assert one.text.startswith("ANTIPHON_API_KEY is ignored, and requests with it are refused")
    assert one.mend is not None
    assert one.mend.startswith("`antiphon keys create NAME`")
    monkeypatch.setenv("ANTIPHON_API_KEY", secret)
    assert doctor.said("keys") == "1 of 1 can be used"
    monkeypatch.setenv("ANTIPHON_ADMIN_KEY", "an-admin-key-of-20")
    assert doctor.said("keys") == "1 of 1 can be used"


def test_clock_that_was_moved_back_is_told(doctor: Doctor) -> None:
    doctor.shell("keys create laptop")
    later = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1e6)
    with closing(sqlite3.connect(doctor.shell.data_dir / "antiphon.db")) as database, database:
        database.execute("UPDATE audit_log SET at = ?", (later,))
    one = doctor.only_problem()
    assert one.name == "clock"
    assert "it was moved back" in one.text
    assert one.mend is not None
    assert one.mend.startswith("`timedatectl set-ntp true`")


@pytest.mark.parametrize(
    ("apart", "state"), [(4, "ok"), (-4, "ok"), (6, "problem"), (-6, "problem")]
)
def test_clock_far_from_that_of_the_database_is_told(apart: int, state: str) -> None:
    found = Inspection(schema=NEWEST, newest=NOW, server_time=NOW + timedelta(seconds=apart))
    (one,) = check_clock(found, NOW)
    assert one.state == state


def test_valkey_that_is_away_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # nobody listens on it
        bound.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{bound.getsockname()[1]}"
        monkeypatch.setenv("ANTIPHON_COUNTERS_URL", f"valkey://default:hunter2@{place}")
        one = doctor.only_problem()
    assert one.text == f"the Valkey server at {place} cannot be asked: Connection refused"
    assert one.mend == "start it, or correct ANTIPHON_COUNTERS_URL"


def serving_file(path: Path, *lines: str) -> None:
    """Write settings that serve a file, which is not to be computed on a GPU."""
    text = [f"model = '{path}'", "[llama]", "gpu_layers = 0", *lines]
    Path("antiphon.toml").write_text("\n".join(text), encoding="utf-8")


def test_model_is_told_with_its_template_and_context(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model(QWEN_LIKE))
    serving_file(path)
    assert doctor.said("model") == (
        "tiny, 924 bytes, native call format, 4,096 tokens of context in each of 4 slots"
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "There is no file"),
        (b"<html>", "is not a GGUF file"),
        (model(QWEN_LIKE)[:-500], "tiny.gguf"),
        (model(None), "the file has no chat template"),
    ],
)
def test_broken_model_file_is_told(
    content: bytes | None, fault: str, doctor: Doctor, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    if content is not None:
        path.write_bytes(content)
    serving_file(path)
    one = doctor.only_problem()
    assert one.name == "model"
    assert fault in one.text
    assert one.mend is not None
    assert "choose another model" in one.mend
    assert "antiphon serve --model" in one.mend or "antiphon models recommended" in one.mend


def test_context_that_does_not_fit_into_memory_is_told(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model(QWEN_LIKE, block_count=900, embedding_length=65536))
    serving_file(path, "context = 8000000")
    one = doctor.only_problem()
    assert "a context of 8,000,000 tokens in each of 4 slots needs" in one.text
    assert one.mend is not None
    assert one.mend.startswith("Set ")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[llama]\ngpu_layers = 0\nslot = 2", "slot"),
        ("model = 'ftp:a'\n[llama]\ngpu_layers = 0", "'ftp:a'"),
        ("engine = 'lama'", "no engine 'lama'"),
    ],
)
def test_wrong_options_of_a_model_are_told(text: str, fault: str, doctor: Doctor) -> None:
    Path("antiphon.toml").write_text(text, encoding="utf-8")
    one = doctor.only_problem()
    assert one.name == "model"
    assert fault in one.text


def test_disk_without_room_for_the_first_model_is_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("antiphon.toml").write_text("[llama]\ngpu_layers = 0", encoding="utf-8")
    assert "(92.9 MB)" in doctor.said("model")
    usage = shutil.disk_usage(".")._replace(free=100_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    one = doctor.only_problem()
    assert "has 100.0 MB free, 191.2 MB are needed" in one.text
    assert one.mend == "Free some space, or choose another folder with --data-dir"


def test_model_of_the_catalogue_is_told_with_its_size(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    Path("antiphon.toml").write_text(
        'model = "qwen3.5:4b"\n[llama]\ngpu_layers = 0', encoding="utf-8"
    )
    assert "the first start fetches it (2.7 GB)" in doctor.said("model")
    Path("antiphon.toml").write_text(
        'model = "qwen3.5:4"\n[llama]\ngpu_layers = 0', encoding="utf-8"
    )
    one = doctor.only_problem()
    assert "Did you mean qwen3.5-4b" in one.text
    assert one.mend is not None
    assert one.mend.startswith("correct the name; or ")


def test_default_model_is_a_note_with_the_model_that_fits(doctor: Doctor) -> None:
    Path("antiphon.toml").write_text("[llama]\ngpu_layers = 0", encoding="utf-8")
    (one,) = (one for one in doctor()[1] if one.name == "recommended")
    assert one.state == "note"
    assert one.text.startswith("smollm2-135m-instruct is a toy")
    assert one.mend is not None
    assert "`antiphon models recommended`" in one.mend
    Path("antiphon.toml").write_text('engine = "scripted"', encoding="utf-8")
    assert all(one.name != "recommended" for one in doctor()[1])


def test_python_and_memory_are_judged() -> None:
    assert check_python((3, 10, 2)).state == "problem"
    assert check_python((3, 11, 0)).state == "ok"
    assert check_memory(8 << 30, 100 << 20).state == "note"
    assert check_memory(8 << 30, 4 << 30).state == "ok"
    assert check_memory(8 << 30, 0).text == "8.6 GB"


def test_gpu_without_a_build_for_it_is_told(tmp_path: Path) -> None:
    processor = Device("GGML_BACKEND_DEVICE_TYPE_CPU", "a processor", 1 << 30)
    card = Device("GGML_BACKEND_DEVICE_TYPE_GPU", "a card", 8 << 30)
    assert check_gpu([processor], tmp_path).state == "ok"
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").touch()
    one = check_gpu([processor], tmp_path)
    assert one.state == "problem"
    assert one.mend is not None
    assert "pip install xllamacpp --force-reinstall" in one.mend
    assert check_gpu([processor, card], tmp_path).text == "llama.cpp uses a card (8.6 GB)"


def test_llama_cpp_names_its_devices() -> None:
    assert "CPU" in "".join(one.kind for one in devices())


@pytest.mark.parametrize(
    ("program", "reason"),
    [("raise ImportError('no library')", "no library"), ("exit(3)", "it ended with 3")],
)
def test_llama_cpp_that_cannot_be_loaded_is_an_error(program: str, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        devices([sys.executable, "-c", program])


def test_missing_package_of_an_extra_is_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import antiphon.cli.doctor as command  # noqa: PLC0415 - what is replaced in it

    monkeypatch.setenv("ANTIPHON_COUNTERS_URL", "valkey://127.0.0.1")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "valkey" else object())
    one = doctor.only_problem()
    assert (one.text, one.mend) == ("not installed: valkey", "pip install 'antiphon[valkey]'")


def test_missing_package_of_an_engine_is_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import antiphon.cli.doctor as command  # noqa: PLC0415 - what is replaced in it

    monkeypatch.setenv("ANTIPHON_ENGINE", "vllm")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "tokenizers" else name)
    one = doctor.only_problem()
    assert (one.text, one.mend) == ("not installed: tokenizers", "pip install 'antiphon[vllm]'")
