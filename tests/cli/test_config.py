"""`antiphon config`: a file of settings, and what counts."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.cli import main
from antiphon.oidc_settings import OidcSettings
from antiphon.service.settings_file import settings_file_text
from antiphon.setting_places import leaves
from antiphon.settings import Settings
from antiphon.web_settings import WebSettings
from cli.conftest import Shell

# Of the one model; the file shows the tables of engines and of several models by examples.
OF_MODELS = {"model", "model_id", "aliases", "engine", "cache_minimum_tokens"}
TABLES = {"llama", "scripted", "models", "price", "sources", "oidc", "web"}


def with_all_settings(text: str) -> str:
    """Return the text with the # of every setting removed, but those of other models."""
    plain, _, behind = text.partition("# [[models]]")
    whole = plain + behind.partition("# ── [limits]")[2]
    return re.sub(r"^# (?=\[?\w+\]?(?: = |$))", "", whole, flags=re.MULTILINE)


def paths(table: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict) and f"{above}{name}" not in {"oidc.claims", "oidc.roles"}:
            yield from paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["config", "init"]) == 0
    return tmp_path / "antiphon.toml"


def test_new_file_changes_nothing(written: Path) -> None:
    assert tomllib.loads(written.read_text("utf-8")) == {}
    with_file = Settings.load({}, environ={"HOME": "/h"}, config=written)
    written.unlink()
    assert with_file == Settings.load({}, environ={"HOME": "/h"})


def test_every_setting_is_in_the_file_with_its_default() -> None:
    values = tomllib.loads(with_all_settings(settings_file_text()))
    found = set(paths(values))
    all_settings = {
        leaf.path
        for leaf in leaves(Settings(data_dir=Path("/d")))
        if leaf.path.partition(".")[0] not in TABLES
    }
    for table, kind in (("oidc", OidcSettings), ("web", WebSettings)):
        all_settings |= {f"{table}.{name}" for name in kind.__struct_fields__}
    assert all_settings - found == set()
    assert found - all_settings <= {"llama.context", "llama.slots"}


def test_every_default_in_the_file_is_that_of_the_server(tmp_path: Path) -> None:
    text = with_all_settings(settings_file_text()).partition("\n[oidc]")[0]
    file = tmp_path / "all.toml"
    file.write_text(text, encoding="utf-8")
    loaded = Settings.load({}, environ={}, config=file)
    plain = Settings.load({}, environ={"HOME": "/h"})
    own = dict(msgspec.structs.asdict(plain).items())
    differ = {
        leaf.path
        for leaf, other in zip(leaves(loaded), leaves(plain), strict=True)
        if leaf.value != other.value
    }
    assert own["port"] == loaded.port
    # Those have no default, and an example is in their place.
    assert differ <= {
        "data_dir",
        "database_url",
        "counters_url",
        "api_key",
        "admin_key",
        "model_id",
        "hub_endpoint",
        "hub_token",
        "body_budget_bytes",
        "workspace_file_quota_bytes",
        "limits.monthly_spend",
        "console.url",
        "llama",
        "sources",
    }


def test_file_that_is_there_is_never_replaced(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written.write_text("port = 1\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["config", "init"]) == 1
    assert capsys.readouterr().err == "antiphon: antiphon.toml exists; name another file\n"
    assert written.read_text("utf-8") == "port = 1\n"
    # Nor one with a mistake in it, which would keep other commands from beginning.
    written.write_text("prot = 1\n", encoding="utf-8")
    assert main(["config", "init", "--config", "other.toml"]) == 0
    assert main(["config", "init"]) == 1


def test_settings_are_shown_with_where_they_are_set(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "antiphon.toml").write_text(
        'engine = "scripted"\nport = 9000\napi_key = "a-key-that-nobody-may-see"\n'
        '[limits]\nmonthly_spend = "20"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("ANTIPHON_LOG_LEVEL", "warning")
    said = shell("config show")
    assert "a-key-that-nobody-may-see" not in said
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    assert rows["port"] == ["port", "9000", "antiphon.toml:", "port"]
    assert rows["api_key"][1:] == ["(secret)", "antiphon.toml:", "api_key"]
    assert rows["log_level"] == ["log_level", "warning", "ANTIPHON_LOG_LEVEL"]
    assert rows["host"] == ["host", "127.0.0.1", "default"]
    assert rows["data_dir"][-1] == "--data-dir"
    assert "Model scripted, also as claude-*:\n  scripted" in said
    only = shell("config show --set")
    assert "host" not in only
    assert "monthly_spend" in only


def test_settings_are_json_for_scripts(shell: Shell) -> None:
    shown = shell.json("config show")
    (engine,) = [one for one in shown["settings"] if one["name"] == "engine"]
    assert (engine["value"], engine["source"], engine["place"]) == (
        "scripted",
        "file",
        "antiphon.toml: engine",
    )
    assert [one["id"] for one in shown["models"]] == ["scripted"]


def test_wrong_setting_is_told_with_its_place(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text('port = "x"\n', encoding="utf-8")
    assert shell.complaint("config show").startswith("antiphon.toml: port: ")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("settings", "there is no 'settings'; did you mean `config`?"),
        ("config ls", "there is no 'ls'; did you mean `show`?"),
        ("config new", "there is no 'new'"),
    ],
)
def test_other_words_are_understood(shell: Shell, line: str, meant: str) -> None:
    assert meant in shell.misunderstood(line)
