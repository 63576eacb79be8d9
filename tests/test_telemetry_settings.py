"""The settings of metrics and traces."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.service.shown_settings import shown_settings
from antiphon.settings import Settings, SettingsError
from antiphon.telemetry_settings import MetricsSettings

TOKEN = "12345678"


def load(folder: Path, flags: dict[str, Any] | None = None, **environ: str) -> Settings:
    return Settings.load({"data_dir": folder, **(flags or {})}, environ)


def test_both_are_off_by_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.metrics.listen, settings.traces.endpoint) == (None, None)


@pytest.mark.parametrize(
    ("listen", "process", "address"),
    [
        ("127.0.0.1:9464", 0, ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", 3, ("0.0.0.0", 9467)),  # noqa: S104 - whoever wants it
        ("[::1]:80", 0, ("::1", 80)),
        ("metrics.internal:1", 1, ("metrics.internal", 2)),
        ("localhost:0", 2, ("localhost", 0)),
    ],
)
def test_each_process_has_the_port_behind_the_one_before(
    listen: str, process: int, address: tuple[str, int]
) -> None:
    assert MetricsSettings(listen=listen).address(process) == address


def test_there_is_no_address_without_the_setting() -> None:
    with pytest.raises(ValueError, match="no address"):
        MetricsSettings().address()


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "host", "a b:1", "http://host:1", "host:70000"]
)
def test_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    with pytest.raises(SettingsError, match=r"ANTIPHON_METRICS_LISTEN"):
        load(tmp_path, ANTIPHON_METRICS_LISTEN=listen)


def test_token_of_digits_is_a_text_and_not_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, ANTIPHON_METRICS_TOKEN=TOKEN, ANTIPHON_METRICS_LISTEN="[::1]:1")
    assert settings.metrics.token is not None
    assert settings.metrics.token.reveal() == TOKEN
    assert TOKEN not in repr(settings)
    shown = {one.name: one for one in shown_settings(settings)}
    assert (shown["metrics.token"].value, shown["metrics.token"].is_secret) == (None, True)
    assert shown["metrics.listen"].value == "[::1]:1"
    assert all(one.text for name, one in shown.items() if name.startswith(("metrics.", "traces.")))


@pytest.mark.parametrize(
    ("variable", "flags", "gen_ai"),
    [
        (None, {}, False),
        ("http,database", {}, False),
        ("http, gen_ai_latest_experimental", {}, True),
        ("gen_ai_latest_experimental", {"traces": {"gen_ai": False}}, False),
        (None, {"traces": {"gen_ai": True}}, True),
    ],
)
def test_variable_of_opentelemetry_counts_where_the_settings_say_nothing(
    tmp_path: Path, variable: str | None, flags: dict[str, Any], gen_ai: bool
) -> None:
    environ = {} if variable is None else {"OTEL_SEMCONV_STABILITY_OPT_IN": variable}
    assert load(tmp_path, flags, **environ).traces.gen_ai is gen_ai
