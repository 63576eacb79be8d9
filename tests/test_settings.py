import os
import re
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.billing.pricing import FREE, Price
from antiphon.core.limits.values import LARGEST_SPEND
from antiphon.sdk import environment
from antiphon.secret import Secret
from antiphon.settings import (
    CLIENT_VARIABLES,
    DEFAULT_MODEL_ID,
    PREFIX,
    SETTING_NAMES,
    Settings,
    SettingsError,
)
from antiphon.weights.elsewhere import other_stores


def load(
    flags: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    return Settings.load(flags or {}, {"HOME": "/home/someone", **(environ or {})}, config)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "antiphon.toml"


def test_table_of_one_model_for_several_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.toml"
    path.write_text('[[model]]\nid = "a"\n')
    with pytest.raises(SettingsError, match=r"did you mean \[\[models\]\]"):
        Settings.load({}, config=path, environ={})


def test_settings_without_a_source_have_defaults(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    (model,) = settings.served()
    assert model.id == DEFAULT_MODEL_ID
    assert model.engine == "llama"
    assert model.aliases == ("claude-*",)


@pytest.mark.parametrize(
    ("model", "successor"),
    [
        ("auto:hf:o/r/Large.gguf", "hf:o/r/Large.gguf"),
        ("auto", ""),
        ("auto:", None),
        ("automatic.gguf", None),
        ("./auto", None),
    ],
)
def test_model_that_takes_over_is_named_behind_auto(
    model: str, successor: str | None, config
) -> None:
    config.write_text("[llama]\nslots = 2\ncontext = 50000\nmmproj = 'eyes.gguf'\n")
    settings = load({"model": model}, {}, config)
    assert settings.successor == successor
    (served,) = settings.served()
    if successor is None:
        assert served.source == model
        return
    assert (served.id, served.aliases) == (DEFAULT_MODEL_ID, ("claude-*",))
    # What is about one model is not about the toy.
    assert served.options == {"slots": 2}
    later = settings.successor_settings("hf:o/r/Large.gguf")
    assert (later.id, later.aliases, later.limit_group) == ("large", (), served.limit_group)
    assert later.options == {"slots": 2, "context": 50_000, "mmproj": "eyes.gguf"}


def test_engine_without_a_file_has_no_model_that_takes_over() -> None:
    assert load({"model": "auto", "engine": "scripted"}).successor is None


def test_flags_win_over_the_environment_and_that_over_the_file(config) -> None:
    config.write_text('host = "file"\nport = 1\nlog_level = "debug"\n')
    settings = load({"port": 3}, {"ANTIPHON_PORT": "2", "ANTIPHON_HOST": "environment"}, config)
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "debug")


def test_the_file_of_the_working_folder_is_read(config, monkeypatch) -> None:
    config.write_text("port = 81\n")
    monkeypatch.chdir(config.parent)
    assert load().port == 81


def test_the_environment_can_name_the_file(config) -> None:
    config.write_text("port = 82\n")
    assert load(environ={"ANTIPHON_CONFIG": str(config)}).port == 82


def test_options_of_an_engine_come_from_all_places_and_are_merged(config) -> None:
    config.write_text("[llama]\nthreads = 1\nslots = 3\n")
    settings = load(environ={"ANTIPHON_LLAMA_THREADS": "2"}, config=config)
    assert settings.llama == {"threads": 2, "slots": 3}
    (model,) = settings.served()
    assert model.options == {"threads": 2, "slots": 3}


def test_a_running_llama_server_needs_no_file() -> None:
    (model,) = load(environ={"ANTIPHON_LLAMA_URL": "http://127.0.0.1:8080"}).served()
    assert model.source is None
    assert model.id == "llama-server"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/models/Qwen3-8B.gguf", "qwen3-8b"),
        ("hf:owner/repo/Some.Q4.gguf", "some.q4"),
        ("https://host/path/M.gguf#sha256=" + "0" * 64, "m"),
        ("https://hf.co/owner/repo/resolve/main/M.gguf?download=true", "m"),
        ("https://huggingface.co/owner/Repo-GGUF/tree/main/", "repo"),
        ("hf:owner/Repo-GGUF:Q4_K_M", "repo"),
        ("owner/Repo-GGUF:Q4_K_M", "repo"),
        ("qwen3.5-4b", "qwen3.5-4b"),
        ("qwen3.5:4b", "qwen3.5-4b"),
        ("ollama:qwen3.5:4b", "qwen3.5-4b"),
        ("/models/Big-00001-of-00003.gguf", "big"),
        ("pypi:other==1.0", "pypi:other==1.0"),
    ],
)
def test_a_model_is_named_after_its_file(spec, expected) -> None:
    assert load({"model": spec}).served()[0].id == expected


def test_several_models_stand_in_the_file(config) -> None:
    config.write_text(
        """
        [[models]]
        id = "small"
        source = "small.gguf"
        aliases = ["claude-haiku-*"]
        [[models]]
        id = "fake"
        engine = "scripted"
        options = {text = "Hello"}
        """
    )
    small, fake = load(config=config).served()
    assert (small.id, small.engine, small.aliases) == ("small", "llama", ("claude-haiku-*",))
    assert fake.options == {"text": "Hello"}


def test_a_model_may_run_on_several_engines(config) -> None:
    config.write_text(
        """
        [[models]]
        id = "both"
        [[models.engines]]
        engine = "messages_api"
        weight = 3
        options = {url = "http://x"}
        [[models.engines]]
        source = "small.gguf"
        """
    )
    (both,) = load(config=config).served()
    assert [(one.engine, one.weight, one.source) for one in both.runs_on()] == [
        ("messages_api", 3, None),
        ("llama", 1, "small.gguf"),
    ]
    assert load().served()[0].runs_on()[0].source == load().model


def test_aliases_are_a_list_with_commas_in_the_environment() -> None:
    assert load(environ={"ANTIPHON_ALIASES": "claude-*, gpt-4 ,"}).aliases == ("claude-*", "gpt-4")


def test_api_key_is_hidden_in_its_repr() -> None:
    settings = load(environ={"ANTIPHON_API_KEY": "do-not-show-me-please"})
    assert isinstance(settings.api_key, Secret)
    assert settings.api_key.reveal() == "do-not-show-me-please"
    assert "do-not-show" not in repr(settings)


@pytest.mark.parametrize(
    ("flags", "environ", "names"),
    [
        ({"model": "x", "engine": "y"}, {}, "--model, --engine"),
        ({"engine": "llama"}, {}, "--engine"),
        ({}, {"ANTIPHON_MODEL": "x"}, "ANTIPHON_MODEL"),
        ({"model": "x"}, {"ANTIPHON_ENGINE": "y"}, "ANTIPHON_ENGINE, --model"),
        (
            {},
            {"ANTIPHON_MODEL_ID": "x", "ANTIPHON_ALIASES": "y"},
            "ANTIPHON_MODEL_ID, ANTIPHON_ALIASES",
        ),
        ({}, {"ANTIPHON_LLAMA_THREADS": "2"}, "ANTIPHON_LLAMA_THREADS"),
        ({}, {"ANTIPHON_SCRIPTED_TEXT": "x"}, "ANTIPHON_SCRIPTED_TEXT"),
    ],
)
def test_one_model_beside_several_is_refused(config, flags, environ, names) -> None:
    config.write_text('[[models]]\nid = "small"\nengine = "scripted"\n')
    with pytest.raises(SettingsError) as caught:
        load(flags, environ, config)
    assert str(caught.value) == (
        f"{names}: this is for a server of one model, but {config} lists its models in "
        f"[[models]]; leave out {names}, or remove those tables"
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ANTIPHON_PROT": "1"}, "ANTIPHON_PROT: unknown setting (did you mean 'port'?)"),
        ({"ANTIPHON_MODELS": "x"}, "ANTIPHON_MODELS: this is a table of the file"),
        (
            {"ANTIPHON_LLAMA": "x"},
            "ANTIPHON_LLAMA: this is a table of the file; ANTIPHON_LLAMA_NAME sets one of its",
        ),
        ({"ANTIPHON_LLAMA_": "x"}, "ANTIPHON_LLAMA_: unknown setting"),
        ({"ANTIPHON_HOST": ""}, "ANTIPHON_HOST: should be text that is not empty"),
        ({"ANTIPHON_SHUTDOWN_GRACE_S": "1e400"}, "ANTIPHON_SHUTDOWN_GRACE_S: should be a number"),
        (
            {"ANTIPHON_PORT": "many"},
            "ANTIPHON_PORT: should be a whole number from 0 to 65535, not text",
        ),
        ({"ANTIPHON_PORT": "65536"}, "ANTIPHON_PORT: should be a whole number from 0 to 65535"),
        (
            {"ANTIPHON_PING_INTERVAL_S": "11"},
            "ANTIPHON_PING_INTERVAL_S: should be a number above 0 and of at most 10",
        ),
        ({"ANTIPHON_LOG_LEVEL": "loud"}, "ANTIPHON_LOG_LEVEL: unknown value 'loud' (there are: "),
        (
            {"ANTIPHON_URL_SOURCES": "maybe"},
            "ANTIPHON_URL_SOURCES: should be true or false, not text",
        ),
        (
            {"ANTIPHON_LIMITS_MONTHLY_SPEND": "-1"},
            "ANTIPHON_LIMITS_MONTHLY_SPEND: must be between 0 and 9000000 US dollars",
        ),
        (
            {"ANTIPHON_LIMITS_REQUESTS": "5"},
            "ANTIPHON_LIMITS_REQUESTS: unknown name 'requests'",
        ),
        (
            {"ANTIPHON_BODY_BUDGET_BYTES": "2048"},
            "ANTIPHON_BODY_BUDGET_BYTES: is less than max_body_bytes",
        ),
        ({"ANTIPHON_DATA_DIR": ""}, "ANTIPHON_DATA_DIR: should be the path of a folder"),
        ({"ANTIPHON_DATA_DIR": "~nobody-here/x"}, "ANTIPHON_DATA_DIR: '~nobody-here/x': there is"),
    ],
)
def test_fault_in_the_environment_is_named(environ, said) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "unknown setting 'prot' (did you mean 'port'?)"),
        ("port = ", "Invalid value"),
        ("port = 'x'", "port: should be a whole number from 0 to 65535, not text"),
        ("port = 1.5", "port: should be a whole number from 0 to 65535, not a number with deci"),
        ("[models]\nid = 'a'", "[models] is one table: each model has a table [[models]]"),
        ("port = 2026-01-01", "port: should be a whole number from 0 to 65535, not a day"),
        ("host = 5", "host: should be text that is not empty, not a whole"),
        ("aliases = 'x'", "aliases: should be a list, not text"),
        ("aliases = [5]", "aliases[0]: should be text, not a whole number"),
        ("limits = 5", "limits: should be a table, not a whole number"),
        ("api_key = 5", "api_key: should be text"),
        ("data_dir = 5", "data_dir: should be text"),
        ('data_dir = "a\\u0000b"', "data_dir: should be the path of a folder"),
        ("[[models]]\nengine = 'llama'", "id"),
        ("[[models]]\nid = 'x'\nspeed = 1", "speed"),
        ("[[models]]\nid = 'x'\n[[models.engines]]\nweight = -1", "weight"),
        ("[[models]]\nid = 'x'\nengine = 'y'\n[[models.engines]]\nweight = 1", "beside"),
    ],
)
def test_fault_in_the_file_is_named(config, text, said) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(config=config)
    assert said in str(caught.value)


def test_a_named_file_must_be_there(config) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(config=config)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('engine = "scripted"', "antiphon-scripted"),
        ('engine = "messages_api"', "antiphon"),
        ('[[models]]\nid = "a"\nengine = "scripted"', "antiphon-scripted"),
        ('[[models]]\nid = "a"\n[[models.engines]]\nengine = "scripted"', "antiphon-scripted"),
        ('[[models]]\nid = "a"\nengine = "scripted"\n[[models]]\nid = "b"', "antiphon"),
        ('engine = "scripted"\n[[models]]\nid = "b"\nsource = "b.gguf"', "antiphon"),
    ],
)
def test_server_that_is_only_scripted_has_a_data_folder_of_its_own(
    text: str, name: str, config: Path
) -> None:
    config.write_text(text, encoding="utf-8")
    share = Path("/home/someone/.local/share")
    assert load(config=config).data_dir == share / name
    assert load({"data_dir": "/x"}, config=config).data_dir == Path("/x")
    assert load({}, {"ANTIPHON_DATA_DIR": "/y"}, config=config).data_dir == Path("/y")


def test_flag_of_the_scripted_engine_chooses_its_data_folder() -> None:
    assert load({"engine": "scripted"}).data_dir.name == "antiphon-scripted"
    assert load({}, {"ANTIPHON_ENGINE": "scripted"}).data_dir.name == "antiphon-scripted"


@pytest.mark.parametrize("text", ["models = 3", "models = [3]", 'models = {engine = "scripted"}'])
def test_models_that_are_no_tables_are_refused(text: str, config: Path) -> None:
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="models"):
        load(config=config)


def test_user_without_a_home_folder_is_asked_for_a_data_dir(monkeypatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    # Of a user whom the system does not know.
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(SettingsError, match="data_dir is missing: this user has no home folder"):
        Settings.load({}, {})
    assert Settings.load({"data_dir": "/x"}, {}).data_dir == Path("/x")
    assert other_stores({}).hub_cache == (Path("~/.cache/huggingface/hub"),)


def test_data_dir_defaults_to_the_folder_of_the_system(monkeypatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert load().data_dir == Path("/home/someone/.local/share/antiphon")
    assert load(environ={"XDG_DATA_HOME": "/data"}).data_dir == Path("/data/antiphon")
    monkeypatch.setattr("sys.platform", "darwin")
    assert load().data_dir.name == "antiphon"
    assert "Application Support" in str(load().data_dir)
    assert load({"data_dir": "~/x"}).data_dir == Path("~/x").expanduser()


def priced(config: Path, price: str) -> Settings:
    config.write_text(f'[[models]]\nid = "small"\n[models.price]\n{price}\n')
    return load(config=config)


def test_price_is_read_to_the_nano_dollar_from_text_and_numbers(config) -> None:
    settings = priced(config, 'input = 0.3\noutput = "1.001"\ncache_read = 0\n')
    assert settings.models[0].price.price() == Price(
        input=300, cache_write_5m=375, cache_write_1h=600, cache_read=0, output=1001
    )


def test_price_may_have_a_card_for_long_prompts(config) -> None:
    long = "long_above = 1000\n[models.price.long]\ninput = 2\noutput = 3\ncache_write_5m = 9\n"
    price = priced(config, f"input = 0.001\noutput = 0\n{long}").models[0].price.price()
    assert price.card(1000) is price
    assert (price.input, price.cache_write_5m, price.cache_read) == (1, 2, 1)
    assert price.card(1001) == Price(
        input=2000, cache_write_5m=9000, cache_write_1h=4000, cache_read=200, output=3000
    )


def test_top_level_price_is_the_price_of_the_only_model(config) -> None:
    config.write_text("[price]\ninput = 0\noutput = 0\n")
    (model,) = load(config=config).served()
    assert model.price.price() == FREE


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("input = 1", "models[0].price: `output` is missing"),
        ("input = -1\noutput = 1", "models[0].price.input: must be between 0 and 10000 US"),
        ("input = 1\noutput = nan", "models[0].price.output: must be between 0 and 10000 US"),
        ("input = 1\noutput = 0.0001", "models[0].price.output: must be a whole number of thous"),
        ('input = "1 $"\noutput = 1', "models[0].price.input: should be a number"),
        ("input = 1\noutput = 1\nread = 1", "models[0].price.read: unknown name 'read'"),
        ("input = 1\noutput = 1\nlong_above = 5", "models[0].price: `long` and `long_above` stand"),
    ],
)
def test_invalid_price_is_refused_with_its_path(config, price: str, said: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        priced(config, price)
    assert str(refusal.value).startswith(f"{config}: {said}")


@pytest.mark.parametrize(
    ("cap", "nano_dollars"),
    [
        ("0", 0),
        ("12.5", 12_500_000_000),
        ('"0.000000001"', 1),
        ("1e3", 10**12),
        ("9000000", LARGEST_SPEND),
    ],
)
def test_monthly_spend_is_read_to_the_nano_dollar(config, cap: str, nano_dollars: int) -> None:
    config.write_text(f"[limits]\nmonthly_spend = {cap}")
    assert load(config=config).limits.monthly_nano_dollars == nano_dollars


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        ("-1", "limits.monthly_spend: must be between 0 and 9000000 US dollars"),
        ("9000000.01", "limits.monthly_spend: must be between 0 and 9000000 US dollars"),
        ("nan", "limits.monthly_spend: must be between 0 and 9000000 US dollars"),
        ("inf", "limits.monthly_spend: must be between 0 and 9000000 US dollars"),
        ('"0.0000000001"', "limits.monthly_spend: must be a whole number of nano-dollars"),
        ('"1.00000000000000000000000000000000001"', "limits.monthly_spend: must be a whole"),
        ("true", "limits.monthly_spend: should be a number, not true or false"),
        ('"5 $"', "limits.monthly_spend: should be a number"),
    ],
)
def test_invalid_monthly_spend_is_refused_with_its_path(config, cap: str, said: str) -> None:
    config.write_text(f"[limits]\nmonthly_spend = {cap}")
    with pytest.raises(SettingsError) as refusal:
        load(config=config)
    assert str(refusal.value).startswith(f"{config}: {said}")


@pytest.mark.parametrize("name", ["when_counters_are_away", "local_share"])
def test_setting_of_an_earlier_release_is_refused_with_the_reason(config, name: str) -> None:
    said = "this setting is gone: while the Valkey server is away, every request"
    config.write_text(f'[limits]\n{name} = "local"')
    with pytest.raises(SettingsError, match=f"{config}: limits.{name}: {said}"):
        load(config=config)
    variable = f"ANTIPHON_LIMITS_{name.upper()}"
    with pytest.raises(SettingsError, match=f"^{variable}: {said}"):
        load(environ={variable: "0.5"})


@pytest.mark.parametrize(
    ("flags", "environ", "place"),
    [
        ({"port": 70000}, {"ANTIPHON_PORT": "1"}, "--port"),
        ({}, {"ANTIPHON_PORT": "70000"}, "ANTIPHON_PORT"),
        ({"data_dir": ""}, {}, "--data-dir"),
        ({}, {"ANTIPHON_LIMITS_QUEUED_REQUESTS": "-1"}, "ANTIPHON_LIMITS_QUEUED_REQUESTS"),
    ],
)
def test_source_that_decides_is_the_one_that_is_named(config, flags, environ, place) -> None:
    config.write_text("port = 80\n[limits]\nspend_wait_s = 5\n")
    with pytest.raises(SettingsError, match=f"^{place}: should be"):
        load(flags, environ, config)


def test_option_of_the_file_is_named_beside_one_of_the_environment(config) -> None:
    config.write_text("[limits]\nspend_wait_s = -5\n")
    with pytest.raises(SettingsError) as caught:
        load({}, {"ANTIPHON_LIMITS_QUEUED_REQUESTS": "1"}, config)
    assert str(caught.value) == (f"{config}: limits.spend_wait_s: should be a number of at least 0")


def test_option_of_an_engine_has_its_place(config) -> None:
    config.write_text("[llama]\nslots = 0\nthreads = 2\n")
    (model,) = load({}, {"ANTIPHON_LLAMA_THREADS": "0"}, config).served()
    for fault, place in (
        ("Model `m`: the option `slots` is wrong: it", f"{config}: llama.slots"),
        ("model m: threads: wrong, not slots", "ANTIPHON_LLAMA_THREADS"),
        ("Model `m`: unknown name 'slots' (did you mean 'x'?)", f"{config}: llama.slots"),
        ("There is no file", ""),
    ):
        assert model.options.place_in(fault) == place
    config.write_text("[[models]]\nid = 'a'\n[[models.engines]]\noptions = {slots = 0}\n")
    (model,) = load({}, {}, config).served()
    (engine,) = model.runs_on()
    place = f"{config}: models[0].engines[0].options.slots"
    assert engine.options.place_in("the option `slots`") == place


def test_half_of_a_price_for_long_prompts_is_told_with_both_names(config) -> None:
    with pytest.raises(SettingsError, match="price: `long` and `long_above` stand together"):
        priced(config, "input = 1\noutput = 1\n[models.price.long]\ninput = 1\noutput = 1\n")


def test_secret_knows_where_it_stands(config) -> None:
    config.write_text('api_key = "from-the-file"\n')
    settings = load({}, {"ANTIPHON_ADMIN_KEY": "from-the-environment"}, config)
    assert settings.api_key.place == f"{config}: api_key"
    assert settings.admin_key.place == "ANTIPHON_ADMIN_KEY"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "this is no text in UTF-8"), (b"a = 1\na = 2", "Cannot overwrite a value")],
)
def test_file_that_cannot_be_read_is_named(config, content: bytes, said: str) -> None:
    config.write_bytes(content)
    with pytest.raises(SettingsError, match=f"^{config}: {said}"):
        load(config=config)


def test_missing_file_is_told_with_what_names_it(config) -> None:
    with pytest.raises(SettingsError) as caught:
        load(config=config)
    assert str(caught.value) == f"{config} (named by --config): No such file or directory"
    with pytest.raises(SettingsError) as caught:
        load({}, {"ANTIPHON_CONFIG": str(config)})
    assert "(named by ANTIPHON_CONFIG): No such file" in str(caught.value)


def test_what_stands_for_the_file_and_is_none_does_not_mean_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while it is replaced: a reload would go on with other settings."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "antiphon.toml"
    for make, said in (
        (lambda: file.symlink_to("nothing"), "No such file or directory"),
        (file.mkdir, "this is no file"),
        (lambda: os.mkfifo(file), "this is no file"),
    ):
        make()
        with pytest.raises(SettingsError, match=f"^antiphon.toml: {said}"):
            load()
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
    assert load().port == 8000


def test_price_in_the_environment_is_refused() -> None:
    with pytest.raises(SettingsError, match="ANTIPHON_PRICE: this is a table of the file"):
        load(environ={"ANTIPHON_PRICE": "1"})


def test_console_is_on_and_believes_proxies_of_this_machine() -> None:
    console = Settings.load({}, environ={}).console
    assert console.enabled
    assert console.proxies == ("127.0.0.0/8", "::1/128")


def test_variable_switches_the_console_off() -> None:
    assert not Settings.load({}, environ={"ANTIPHON_CONSOLE_ENABLED": "false"}).console.enabled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('proxies = ["10.0.0.0/33"]', "'10.0.0.0/33' is no address and no network"),
        ('proxies = ["proxy.internal"]', "'proxy.internal' is no address and no network"),
        ('url = "claude.example.org"', "console.url"),
        ('url = "https://claude.example.org/path"', "console.url"),
        ("idle_hours = 0", "console.idle_hours"),
        ("lifetime_days = 1000", "console.lifetime_days"),
        ("sso = true", "console.sso"),
    ],
)
def test_wrong_setting_of_the_console_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text(f"[console]\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        Settings.load({}, environ={}, config=file)


OIDC = {"ANTIPHON_OIDC_ISSUER": "https://id.example.org", "ANTIPHON_OIDC_CLIENT_ID": "us"}


def test_provider_is_set_by_variables_too() -> None:
    more = {
        "ANTIPHON_OIDC_CLIENT_SECRET": "0070",
        "ANTIPHON_OIDC_DOMAINS": "example.org, example.com",
        "ANTIPHON_OIDC_NEW_USERS": "user",
        "ANTIPHON_OIDC_TRUST_ADDRESSES": "true",
    }
    oidc = Settings.load({}, environ={**OIDC, **more}).oidc
    assert oidc is not None
    assert oidc.client_secret is not None
    assert oidc.client_secret.reveal() == "0070"
    assert "0070" not in repr(oidc)
    assert (oidc.domains, oidc.new_users) == (("example.org", "example.com"), "user")
    assert oidc.trust_addresses
    assert oidc.link == "signed_in"


def test_table_of_the_provider_is_read_with_the_secret_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.toml"
    text = '[oidc]\nissuer = "http://127.0.0.1:9"\nclient_id = "us"\nroles = {a = "user"}\n'
    file.write_text(text + 'role_claim = "groups"\n', encoding="utf-8")
    environ = {"ANTIPHON_OIDC_CLIENT_SECRET": "hidden"}
    oidc = Settings.load({}, environ=environ, config=file).oidc
    assert oidc is not None
    assert oidc.client_secret is not None
    assert (oidc.client_secret.reveal(), oidc.client_secret.place) == (
        "hidden",
        "ANTIPHON_OIDC_CLIENT_SECRET",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "oidc: `issuer` is missing"),
        ('issuer = "http://id.example.org"', "oidc.issuer: should begin with https://"),
        ('issuer = "https://x/?a=b"', "oidc.issuer"),
        ("client_id = 7", "oidc.client_id"),
        ("sso = true", "oidc.sso"),
        ('domains = ["@example.org"]', "'@example.org' is no domain"),
        ('role_claim = "groups"', "`role_claim` and `roles` stand together"),
        ('role_claim = "groups"\nroles = {a = "admin"}', "oidc.roles"),
        ('new_users = "admin"', "oidc.new_users"),
        ('new_users = "user"', "lets in whoever has an account there"),
        ('link = "always"', "oidc.link"),
    ],
)
def test_wrong_setting_of_the_provider_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "antiphon.toml"
    given = text.split(" = ", maxsplit=1)[0]
    own = {"issuer": '"https://id.example.org"', "client_id": '"us"'}
    rows = [f"{name} = {value}" for name, value in own.items() if text and name != given]
    file.write_text("\n".join(["[oidc]", *rows, text]), encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(said)):
        Settings.load({}, environ={}, config=file)


def test_passwords_stay_where_nobody_could_sign_in_without() -> None:
    environ = {"ANTIPHON_CONSOLE_PASSWORDS": "false"}
    with pytest.raises(SettingsError, match=r"without oidc nobody could sign in"):
        Settings.load({}, environ=environ)
    assert not Settings.load({}, environ={**environ, **OIDC}).console.passwords


def test_web_is_off_until_it_is_set() -> None:
    web = Settings.load({}, environ={}).web
    assert (web.search, web.fetch, web.search_price, web.search_url) == (None, False, 0, "")


def test_service_of_the_web_is_set_by_variables_too() -> None:
    environ = {
        "ANTIPHON_WEB_SEARCH": "brave",
        "ANTIPHON_WEB_KEY": "0070",
        "ANTIPHON_WEB_PRICE": "9.99",
        "ANTIPHON_WEB_FETCH": "true",
    }
    web = Settings.load({}, environ=environ).web
    assert web.key is not None
    assert (web.key.reveal(), web.key.place) == ("0070", "ANTIPHON_WEB_KEY")
    assert "0070" not in repr(web)
    assert web.search_url.startswith("https://api.search.brave.com/")
    assert (web.search_price, web.fetch) == (9_990_000, True)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('search = "searxng"', 'url is missing: search = "searxng" has no usual address'),
        ('search = "own"', 'url is missing: search = "own" has no usual address'),
        ('search = "tavily"', 'key is missing: search = "tavily" needs one'),
        ('key = "a"', "`url` and `key` are for a search: say which with `search`"),
        ('search = "google"', "search"),
        ('search = "own"\nurl = "ftp://a.example"', "url"),
        ('price = "-1"', "price"),
        ("results = 0", "results"),
        ("engine = 1", "engine"),
    ],
)
def test_service_of_the_web_that_cannot_work_is_refused(
    tmp_path: Path, table: str, fault: str
) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text(f"[web]\n{table}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(fault)):
        Settings.load({}, environ={}, config=file)


def test_variables_of_clients_are_no_settings() -> None:
    names = [
        name
        for value in vars(environment).values()
        if isinstance(value, tuple)
        for name in value
        if isinstance(name, str) and name.startswith(PREFIX)
    ]
    assert set(names) >= CLIENT_VARIABLES
    # Both programs may have one environment: a setting of the server, or none of its business.
    for name in names:
        assert (name in CLIENT_VARIABLES) != (name.removeprefix(PREFIX).lower() in SETTING_NAMES)
    assert load(environ=dict.fromkeys(CLIENT_VARIABLES, "debug")) == load()
