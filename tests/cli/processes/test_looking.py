"""What a server with several processes depends on, and what of it a reload changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.cli.processes import looking
from antiphon.cli.processes.hosts import Change, change_of
from antiphon.cli.processes.looking import look, why_alone
from antiphon.cli.processes.reports import Found
from antiphon.service.models import ModelSource
from antiphon.settings import Settings
from engines.llama.test_memory import LLAMA, gguf

GIB = 1 << 30
SECRET = "valkey://user:sunshine@127.0.0.1:1"


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Found]:
    weights = tmp_path / "m.gguf"
    weights.write_bytes(gguf(LLAMA))

    def found(*, has_gpu: bool = False, **flags: Any) -> Found:
        llama = {"context": 512, "slots": 1, **flags.pop("llama", {})}
        settings = Settings.load({"data_dir": str(tmp_path), "llama": llama, **flags}, environ={})
        sources = [ModelSource(settings.served()[0], (weights,))]
        return look(settings, sources, has_gpu=lambda: has_gpu, free=lambda: GIB)

    return found


def changed(before: Found, after: Found) -> Change:
    return change_of(after, before, before.fixed)


def test_same_settings_change_nothing(found: Callable[..., Found]) -> None:
    assert changed(found(), found()) == Change()


@pytest.mark.parametrize(
    ("flags", "host"),
    [
        ({"llama": {"threads": 2}}, "llama"),
        ({"price": {"input": "1", "output": "2"}}, "price"),
        ({"metrics": {"token": "secret"}}, "metrics"),
        ({"log_level": "debug", "url_sources": True}, "log_level, url_sources"),
        # What the engine host has no part in.
        ({"ping_interval_s": 1.0}, ""),
        ({"console": {"enabled": False}}, ""),
    ],
)
def test_change_of_a_setting_names_what_the_host_depends_on(
    found: Callable[..., Found], flags: dict[str, Any], host: str
) -> None:
    assert changed(found(), found(**flags)).host == host


def test_another_release_and_another_file_change_the_host(
    found: Callable[..., Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found()
    monkeypatch.setattr(looking, "__version__", "9.9.9")
    assert changed(before, found()).host == "release"
    path = next(tmp_path.glob("*.gguf"))
    path.write_bytes(path.read_bytes() + bytes(32))
    assert changed(before, found()).host == "files of models, release"


def test_settings_that_no_reload_changes_are_named(found: Callable[..., Found]) -> None:
    assert changed(found(), found(port=1, processes=4)).kept == "port, processes"
    change = changed(found(), found(counters_url=SECRET))
    assert (change.refused, change.kept) == ("counters_url", "")
    others = replace(found(), fixed={**found().fixed, "engine": "others"})
    assert changed(found(), others).refused == "engine"


def test_no_secret_is_in_what_is_found(found: Callable[..., Found]) -> None:
    for one in (found(counters_url=SECRET), found(metrics={"token": "sunshine"})):
        assert "sunshine" not in repr(one)


def test_release_that_does_not_know_a_setting_refuses_nothing(found: Callable[..., Found]) -> None:
    older = replace(found(), fixed={"port": "8000"})
    assert change_of(older, found(), found().fixed).refused == ""


def test_second_host_runs_beside_the_first_where_memory_is_free(
    found: Callable[..., Found], tmp_path: Path
) -> None:
    assert found().alone == ""
    assert found(has_gpu=True).alone == "it is not known what is free on the GPU"
    assert found(has_gpu=True, llama={"gpu_layers": 0}).alone == ""
    settings = Settings.load({"data_dir": str(tmp_path), "llama": {"context": 512}}, environ={})
    sources = [ModelSource(settings.served()[0], (next(tmp_path.glob("*.gguf")),))]
    assert why_alone(sources, lambda: False, 0) == "it is not known how much memory is free"
    assert why_alone(sources, lambda: False, 1 << 20).endswith("MiB of memory, and 1 MiB are free")


def test_models_that_no_host_runs_need_none(tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": str(tmp_path), "engine": "scripted"}, environ={})
    one = look(settings, [ModelSource(settings.served()[0])], has_gpu=lambda: False)
    assert (one.host, one.alone) == ({}, "")
