"""A backup that is made while a server answers, and what it holds when it is restored."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import httpx2
import pytest

from antiphon.store.database.database import sqlite_url
from support.processes import KEY, Program, run, run_json, serving
from support.servers import Caller, Told, configure, environ, recorded

pytestmark = pytest.mark.anyio

AT_ONCE = 20
TEXT = "one two three " * 5


async def run_beside(folder: Path, *arguments: str) -> None:
    """Run a command while this program does other work."""
    done = await asyncio.to_thread(run, folder, *arguments)
    assert done.returncode == 0, done.stderr


async def under_load(program: Program, folder: Path, backup: Path) -> tuple[list[Told], list[Told]]:
    """Back up while many callers ask; return what they were told before it began, and in all."""
    told: list[Told] = []
    enough, ended = asyncio.Event(), asyncio.Event()

    async def keep_asking(caller: Caller, number: int) -> None:
        while not ended.is_set():
            told.append(await caller.create(stream=number % 2 > 0, max_tokens=1 + number % 12))
            if len(told) > 5 * AT_ONCE:
                enough.set()

    async with httpx2.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as tasks:
        caller = Caller(client, program.url)
        for number in range(AT_ONCE):
            tasks.create_task(keep_asking(caller, number))
        await enough.wait()
        before = list(told)
        await run_beside(folder, "backup", str(backup))
        ended.set()
    return before, told


async def status_of(program: Program, key: str) -> int:
    async with httpx2.AsyncClient(timeout=60) as client:
        return (await Caller(client, program.url, key).create()).status


async def test_backup_under_load_has_every_bill_told_before_it_and_its_keys_work(
    tmp_path: Path,
) -> None:
    used, fresh, backup = tmp_path / "used", tmp_path / "fresh", tmp_path / "backup.db"
    configure(used, TEXT, speed=200)
    with serving(used, environ=environ()) as program:
        kept = run_json(used, "keys", "create", "kept")["secret"]
        revoked = run_json(used, "keys", "create", "revoked")["secret"]
        run_json(used, "keys", "revoke", "revoked")
        before, told = await under_load(program, used, backup)
    assert {answer.status for answer in told} == {200}

    configure(fresh, TEXT)
    await run_beside(fresh, "restore", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o600
    written = {row["id"]: dict(row) for row in await recorded(sqlite_url(used / "antiphon.db"))}
    restored = {row["id"]: dict(row) for row in await recorded(sqlite_url(fresh / "antiphon.db"))}
    assert {answer.request_id for answer in before} <= set(restored)
    assert all(row == written[name] for name, row in restored.items())
    for answer in before:
        row = restored[answer.request_id]
        assert row["output_tokens"] == answer.output_tokens
    with serving(fresh, environ=environ()) as program:
        assert await status_of(program, kept) == 200
        assert await status_of(program, revoked) == 401


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `data` with a database, and `backup.db` beside it."""
    template = tmp_path_factory.mktemp("template")
    configure(template / "data")
    run_json(template / "data", "keys", "create", "first")
    assert run(template / "data", "backup", str(template / "backup.db")).returncode == 0
    return template


@pytest.fixture
def folder(tmp_path: Path, template: Path) -> Path:
    """A folder with a database, and a backup of it."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "data"


def refusal(folder: Path, *arguments: str, **settings: str) -> str:
    done = run(folder, *arguments, **settings)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_restore_is_refused_over_a_server_and_over_a_database(folder: Path) -> None:
    backup = str(folder.parent / "backup.db")
    assert "antiphon.db exists; --yes replaces it" in refusal(folder, "restore", backup)
    with serving(folder, environ=environ()) as program:
        said = refusal(folder, "restore", backup, "--yes")
        assert f"A server (process {program.process.pid} on 127.0.0.1:" in said


def test_restore_keeps_the_database_before_it_under_another_name(folder: Path) -> None:
    run_json(folder, "keys", "create", "second")
    done = run(folder, "restore", str(folder.parent / "backup.db"), "--yes")
    assert done.returncode == 0, done.stderr
    assert "antiphon.db.before-restore" in done.stdout
    assert [key["name"] for key in run_json(folder, "keys", "list")] == ["first"]
    (folder / "antiphon.db.before-restore").replace(folder / "antiphon.db")
    assert {key["name"] for key in run_json(folder, "keys", "list")} == {"first", "second"}


def test_restore_is_refused_while_another_program_has_the_database_open(folder: Path) -> None:
    holder = sqlite3.connect(folder / "antiphon.db")
    holder.execute("SELECT count(*) FROM api_keys").fetchone()
    backup = str(folder.parent / "backup.db")
    assert "A process uses" in refusal(folder, "restore", backup, "--yes")
    holder.close()
    assert run_json(folder, "keys", "list")


def test_database_that_was_removed_is_restored(folder: Path) -> None:
    (folder / "antiphon.db").unlink()
    assert "`antiphon restore FILE`" in refusal(folder, "keys", "list")
    assert run(folder, "restore", str(folder.parent / "backup.db")).returncode == 0
    assert [key["name"] for key in run_json(folder, "keys", "list")] == ["first"]


@pytest.mark.parametrize("content", ["missing", "empty", "text", "foreign", "cut"])
def test_file_that_is_no_backup_is_refused_and_changes_nothing(folder: Path, content: str) -> None:
    file = folder.parent / "file.db"
    match content:
        case "empty":
            file.touch()
        case "text":
            file.write_text("These are notes, and not a database.\n" * 100)
        case "foreign":
            with sqlite3.connect(file) as connection:
                connection.execute("CREATE TABLE notes (text)")
            connection.close()
        case "cut":
            shutil.copyfile(folder.parent / "backup.db", file)
            with file.open("r+b") as opened:
                opened.truncate(file.stat().st_size // 2)
    before = sorted(path.name for path in folder.iterdir())
    assert str(file) in refusal(folder, "restore", str(file), "--yes")
    assert set(before) >= {path.name for path in folder.iterdir()} - {"server.lock"}
    assert [key["name"] for key in run_json(folder, "keys", "list")] == ["first"]


def test_backup_overwrites_no_file_and_leaves_none_when_it_fails(folder: Path) -> None:
    target = folder.parent / "backup.db"
    assert "exists; name another file" in refusal(folder, "backup", str(target))
    nowhere = folder.parent / "nowhere" / "backup.db"
    assert f"there is no folder {nowhere.parent}: " in refusal(folder, "backup", str(nowhere))
    inside_file = target / "backup.db"
    assert f"{target} is a file, no folder" in refusal(folder, "backup", str(inside_file))
    for no_name in (".", "/", ""):
        assert "name a file for the backup" in refusal(folder, "backup", no_name)
    long = folder.parent / ("x" * 300)
    assert f"{long}: File name too long" in refusal(folder, "backup", str(long))
    (folder / "antiphon.db").unlink()
    assert "antiphon.db is missing or empty" in refusal(
        folder, "backup", str(folder.parent / "other.db")
    )
    assert not list(folder.parent.glob("*other*"))


@pytest.mark.parametrize(("action", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgresql_is_backed_up_by_its_own_tools(tmp_path: Path, action: str, tool: str) -> None:
    url = "postgresql+asyncpg://antiphon:hunter2@db.internal/antiphon?password=hunter2"
    said = refusal(tmp_path, action, "file.dump", ANTIPHON_DATABASE_URL=url)
    assert tool in said
    assert "postgresql://antiphon@db.internal/antiphon" in said
    assert "hunter2" not in said


def test_command_for_postgresql_has_the_options_that_its_tools_know(tmp_path: Path) -> None:
    options = "ssl=require&prepared_statement_cache_size=0&host=/run/postgresql"
    url = f"postgresql+asyncpg://antiphon@/antiphon?{options}"
    said = refusal(tmp_path, "backup", "file.dump", ANTIPHON_DATABASE_URL=url)
    assert "'postgresql://antiphon@/antiphon?host=%2Frun%2Fpostgresql&sslmode=require'" in said


@pytest.mark.parametrize("arguments", [(), ("backup",), ("restore",)])
def test_help_of_the_commands_fits_into_80_columns(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    said = run(tmp_path, *arguments, "--help", COLUMNS="80").stdout
    assert "backup" in said
    assert max(map(len, said.splitlines())) <= 80


async def upload(client: httpx2.AsyncClient, url: str, content: bytes) -> str:
    headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
    answer = await client.post(
        f"{url}/v1/files", files={"file": ("a.txt", content)}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    file_id: str = answer.json()["id"]
    return file_id


async def test_backup_has_the_files_that_were_kept_before_it_and_no_half_of_others(
    tmp_path: Path,
) -> None:
    used, fresh, backup = tmp_path / "used", tmp_path / "fresh", tmp_path / "backup.db"
    size = 9 * 1024 * 1024
    configure(used, more="file_downloads = true\n")
    ended = asyncio.Event()
    kept: list[str] = []

    async def keep_uploading(client: httpx2.AsyncClient, url: str) -> None:
        while not ended.is_set():
            kept.append(await upload(client, url, b"y" * size))

    with serving(used, environ=environ()) as program:
        async with httpx2.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as tasks:
            before = [await upload(client, program.url, b"x" * size)]
            tasks.create_task(keep_uploading(client, program.url))
            await run_beside(used, "backup", str(backup))
            ended.set()
    configure(fresh, more="file_downloads = true\n")
    await run_beside(fresh, "restore", str(backup))
    headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
    with serving(fresh, environ=environ()) as program:
        async with httpx2.AsyncClient(timeout=60) as client:
            listed = (await client.get(f"{program.url}/v1/files", headers=headers)).json()["data"]
            found = [one["id"] for one in listed]
            assert set(before) <= set(found) <= {*before, *kept}
            for file_id in found:
                one = await client.get(f"{program.url}/v1/files/{file_id}/content", headers=headers)
                assert (one.status_code, len(one.content)) == (200, size)
