"""`antiphon doctor` beside a running server, and where the servers that it needs are away."""

import json
from pathlib import Path

import pytest

from support.processes import run, serving
from support.valkey import Server

SCRIPTED = ("--engine", "scripted")


def findings(data_dir: Path, *flags: str, **settings: str) -> tuple[int, dict[str, str]]:
    """Return the exit status, and what is said of each thing behind its state."""
    done = run(data_dir, "doctor", *SCRIPTED, "--json", *flags, **settings)
    assert done.stderr == ""
    told = json.loads(done.stdout)["findings"]
    return done.returncode, {one["name"]: f"{one['state']} {one['text']}" for one in told}


def test_running_server_is_fine_and_is_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED) as program:
        address = program.url.removeprefix("http://")
        port = address.rpartition(":")[2]
        status, said = findings(tmp_path, "--port", port)
        assert status == 0
        assert said["port"] == f"ok a server (process {program.process.pid}) listens on {address}"
        assert said["keys"] == "ok 1 of 1 can be used"
        status, said = findings(tmp_path, "--port", "0")
        assert status == 1
        assert f"(process {program.process.pid} on {address}) uses" in said["data folder"]
    assert program.process.poll() == 0
    assert findings(tmp_path, "--port", port)[0] == 0
    # The log of the database was put away when the server ended, and is not made again.
    assert not (tmp_path / "antiphon.db-shm").exists()


def test_database_that_is_away_is_told_without_its_password(
    tmp_path: Path, unused_port: int
) -> None:
    url = f"postgresql://antiphon:hunter2@127.0.0.1:{unused_port}/antiphon"
    done = run(tmp_path, "doctor", *SCRIPTED, "--port", "0", ANTIPHON_DATABASE_URL=url)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert f"The database at 127.0.0.1:{unused_port} cannot be reached" in said
    assert "-> start it, or correct ANTIPHON_DATABASE_URL" in said
    assert "hunter2" not in said


@pytest.mark.anyio
@pytest.mark.empty_database
async def test_database_and_valkey_that_are_there_are_fine(
    tmp_path: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    valkey = Server(tmp_path_factory.mktemp("valkey"))
    settings = {"ANTIPHON_DATABASE_URL": postgres_url, "ANTIPHON_COUNTERS_URL": valkey.url}
    try:
        status, said = findings(tmp_path, "--port", "0", **settings)
        assert status == 0, said
        assert said["valkey"] == "ok it answers"
        assert said["database"].endswith("none yet; `antiphon serve` makes it")
        with serving(tmp_path, *SCRIPTED, environ=settings):
            status, said = findings(tmp_path, "--port", "0", **settings)
        assert status == 0, said
        assert "ok the PostgreSQL database" in said["database"]
        assert said["clock"].endswith("as that of the database")
        assert said["keys"] == "ok 1 of 1 can be used"
    finally:
        valkey.close()
