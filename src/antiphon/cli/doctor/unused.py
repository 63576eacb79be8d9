"""What `antiphon doctor` says of settings: where they are, and which of them have no effect."""

from collections.abc import Iterator

from antiphon.cli.doctor.finding import Finding, note, ok
from antiphon.setting_places import SettingSource
from antiphon.settings import CONFIG_FILE, OF_ONE_MODEL, Settings


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Say where the settings are, and which of them are set without an effect."""
    yield ok("settings", _sources(settings))
    for path, reason in unused(settings):
        place = settings.sources[path].place or path
        yield note("settings", f"{place} has no effect: {reason}", f"remove {place}")


def _sources(settings: Settings) -> str:
    found: dict[str, SettingSource] = {
        path: source for path, source in settings.sources.items() if source.kind != "default"
    }
    files = {
        (source.place or "").partition(": ")[0]
        for source in found.values()
        if source.kind == "file"
    }
    others = [
        source.place or path
        for path, source in found.items()
        if source.kind != "file" and path != "data_dir"
    ]
    if not files and not others:
        return f"all by default; there is no ./{CONFIG_FILE}"
    return f"set by {', '.join([*sorted(files), *others])}"


def unused(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the paths of settings that are set without an effect, each with the reason."""
    is_set = [path for path, source in settings.sources.items() if source.kind != "default"]
    reasons = _reasons(settings)
    for path in is_set:
        if reason := reasons.get(path) or reasons.get(path.partition(".")[0]):
            yield path, reason


def _reasons(settings: Settings) -> dict[str, str]:
    """Return why the settings at these paths, and at those below them, have no effect."""
    found: dict[str, str] = {}
    if settings.models:
        found = dict.fromkeys(OF_ONE_MODEL, "the models are those of [[models]]")
    else:
        engine = f"the engine is {settings.engine}"
        if settings.engine != "llama":
            found |= {"model": engine, "llama": engine}
        elif "url" in settings.llama:
            found["model"] = "the model is that of the server at `[llama] url`"
        if settings.engine != "scripted":
            found["scripted"] = engine
    if not settings.console.enabled:
        of_console = ("passwords", "url", "idle_hours", "lifetime_days", "proxies")
        found |= dict.fromkeys([f"console.{name}" for name in of_console], "the Console is off")
        found["oidc"] = "the Console is off"
    if settings.metrics.listen is None:
        found["metrics"] = "there is no listen in [metrics]"
    if settings.traces.endpoint is None:
        found["traces"] = "there is no endpoint in [traces]"
    return found
