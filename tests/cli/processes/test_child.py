"""How one of several processes begins: its settings, and its share of the workers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from antiphon.cli.processes.child import check_schema, settings_of
from antiphon.cli.processes.hosted import needs_host
from antiphon.cli.processes.reports import Start
from antiphon.settings import Settings, SettingsError
from antiphon.store.database.migrations import NEWEST
from support.fake_runs import START

Begin: TypeAlias = Callable[..., Settings]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_WORKERS", "3")

    def start(number: int, engines: str | None = None, url: str | None = None) -> Settings:
        return settings_of(
            Start(
                number=number,
                of=2,
                overseer=1,
                flags={"data_dir": str(tmp_path), "engine": "scripted"},
                config=None,
                listener=3,
                address="127.0.0.1:1",
                engines=engines,
                counters_url=url,
            )
        )

    return start


def test_workers_are_spread_over_the_processes(start: Begin) -> None:
    assert [start(number).workers for number in (1, 2)] == [2, 1]


def test_all_workers_are_with_the_engine_host(start: Begin) -> None:
    assert [start(number, "engines.sock").workers for number in (0, 1, 2)] == [3, 0, 0]


def test_valkey_of_the_overseer_goes_before_none(start: Begin) -> None:
    url = start(1, url="unix:///run/valkey.sock").counters_url
    assert url is not None
    assert url.reveal() == "unix:///run/valkey.sock"
    assert start(1).counters_url is None


def test_settings_are_read_anew_for_each_process(start: Begin, tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text("ping_interval_s = 2\n")
    assert start(1).ping_interval_s == 2
    (tmp_path / "antiphon.toml").write_text("ping_interval_s = 3\n")
    assert start(1).ping_interval_s == 3


def test_process_that_would_migrate_the_database_below_others_does_not_start() -> None:
    for schema in ("", NEWEST):
        check_schema(replace(START, schema=schema))
    with pytest.raises(SettingsError, match=f"from schema 0001 to {NEWEST}: back it up"):
        check_schema(replace(START, schema="0001"))


@pytest.mark.parametrize(
    ("flags", "needed"),
    [
        ({"engine": "scripted"}, False),
        ({}, True),
        ({"llama": {"url": "http://127.0.0.1:1"}}, True),
    ],
)
def test_llama_engines_alone_are_hosted(flags: dict[str, object], needed: bool) -> None:
    settings = Settings.load({"data_dir": "x", **flags}, environ={})
    assert needs_host(settings.served()) is needed
