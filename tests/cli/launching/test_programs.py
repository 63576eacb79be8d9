"""What each program is set up with."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.cli.command import CommandError
from antiphon.cli.launch import context_note, exported
from antiphon.cli.launching.jsonc import parse
from antiphon.cli.launching.key import LaunchKey
from antiphon.cli.launching.known import PROGRAMS
from antiphon.cli.launching.program import Program, Setup
from antiphon.cli.launching.server import OfferedModel
from support.pages import CLIENTS, lines_of

SECRET = "sk-antiphon-secret"
HOME = Path("/home/ada")
SETUP = Setup(
    url="http://127.0.0.1:8000",
    key=LaunchKey(SECRET, file=Path("/data dir/launch/x.key")),
    model=OfferedModel("qwen", "Qwen 4B", 40_000, 32_768),
    environ={},
    home=HOME,
)


def settings_of(name: str, setup: Setup = SETUP) -> tuple[Path, Any]:
    (file,) = PROGRAMS[name].files(setup)
    return file.path, parse(file.add("").text).plain()


def test_claude_code_gets_the_variables_of_a_gateway() -> None:
    assert PROGRAMS["claude"].variables(SETUP) == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8000",
        "ANTHROPIC_AUTH_TOKEN": SECRET,
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_MODEL": "claude-local/qwen",
        "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-local/qwen",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "claude-local/qwen",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-local/qwen",
        "ANTHROPIC_DEFAULT_FABLE_MODEL": "claude-local/qwen",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "40000",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "10000",
        "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    }


def test_model_of_a_million_tokens_is_not_cut_down() -> None:
    setup = replace(SETUP, model=OfferedModel("qwen", "", 1_000_000))
    assert "CLAUDE_CODE_DISABLE_1M_CONTEXT" not in PROGRAMS["claude"].variables(setup)


def test_claude_code_is_not_sent_to_another_provider() -> None:
    environ = {"CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CODE_USE_VERTEX": ""}
    found = PROGRAMS["claude"].variables(replace(SETUP, environ=environ))
    assert found["CLAUDE_CODE_USE_BEDROCK"] == ""
    assert "CLAUDE_CODE_USE_VERTEX" not in found


def test_settings_of_claude_code_have_a_command_for_the_key() -> None:
    path, settings = settings_of("claude")
    assert path == HOME / ".claude/settings.json"
    assert settings["apiKeyHelper"] == "cat '/data dir/launch/x.key'"
    assert "ANTHROPIC_AUTH_TOKEN" not in settings["env"]
    elsewhere = replace(SETUP, environ={"CLAUDE_CONFIG_DIR": "/c"})
    assert settings_of("claude", elsewhere)[0] == Path("/c/settings.json")


def test_opencode_gets_a_provider_of_its_own() -> None:
    content = PROGRAMS["opencode"].variables(SETUP)["OPENCODE_CONFIG_CONTENT"]
    config = json.loads(content)
    provider = config["provider"]["antiphon"]
    assert provider["options"] == {
        "baseURL": "http://127.0.0.1:8000/v1",
        "apiKey": "{file:/data dir/launch/x.key}",
    }
    assert provider["models"]["qwen"]["limit"] == {"context": 40_000, "output": 10_000}
    assert config["model"] == "antiphon/qwen"
    assert settings_of("opencode") == (HOME / ".config/opencode/opencode.json", config)


def test_opencode_keeps_what_the_user_says_in_its_variable() -> None:
    own = {"model": "mine/x", "theme": "dark"}
    setup = replace(SETUP, environ={"OPENCODE_CONFIG_CONTENT": json.dumps(own)})
    config = json.loads(PROGRAMS["opencode"].variables(setup)["OPENCODE_CONFIG_CONTENT"])
    assert (config["model"], config["theme"]) == ("mine/x", "dark")
    assert "antiphon" in config["provider"]


def test_variable_of_opencode_that_cannot_be_read_is_named() -> None:
    setup = replace(SETUP, environ={"OPENCODE_CONFIG_CONTENT": "{"})
    with pytest.raises(CommandError, match="OPENCODE_CONFIG_CONTENT cannot be read: line 1: "):
        PROGRAMS["opencode"].variables(setup)


def test_opencode_reads_a_key_of_the_environment_there() -> None:
    setup = replace(SETUP, key=LaunchKey(SECRET, variable="ANTHROPIC_AUTH_TOKEN"))
    content = PROGRAMS["opencode"].variables(setup)["OPENCODE_CONFIG_CONTENT"]
    assert "{env:ANTHROPIC_AUTH_TOKEN}" in content
    assert SECRET not in content


def test_zed_gets_a_provider_and_its_key_by_the_variable_of_its_name() -> None:
    path, settings = settings_of("zed")
    ((name, provider),) = settings["language_models"]["anthropic_compatible"].items()
    assert path == HOME / ".config/zed/settings.json"
    assert provider["api_url"] == "http://127.0.0.1:8000"
    assert provider["available_models"][0]["max_tokens"] == 40_000
    variable = name.upper().replace(" ", "_") + "_API_KEY"
    assert PROGRAMS["zed"].variables(SETUP) == {variable: SECRET}


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".config/Code/User"), ("darwin", "Library/Application Support/Code/User")],
)
def test_vscode_gets_an_endpoint_for_the_messages_api(platform: str, folder: str) -> None:
    path, (provider,) = settings_of("vscode", replace(SETUP, platform=platform))
    assert path == HOME / folder / "chatLanguageModels.json"
    assert (provider["vendor"], provider["apiType"]) == ("customendpoint", "messages")
    (model,) = provider["models"]
    assert model["url"] == "http://127.0.0.1:8000/v1/messages"
    assert model["maxInputTokens"] + model["maxOutputTokens"] == 40_000


def test_copilot_gets_the_sizes_of_its_prompts_and_answers() -> None:
    assert PROGRAMS["copilot"].variables(SETUP) == {
        "COPILOT_PROVIDER_TYPE": "anthropic",
        "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:8000",
        "COPILOT_PROVIDER_API_KEY": SECRET,
        "COPILOT_MODEL": "qwen",
        "COPILOT_PROVIDER_MAX_PROMPT_TOKENS": "30000",
        "COPILOT_PROVIDER_MAX_OUTPUT_TOKENS": "10000",
    }


@pytest.mark.parametrize(
    ("name", "page"),
    [("opencode", "opencode.md"), ("zed", "zed.md"), ("vscode", "vs-code.md")],
)
def test_page_of_a_program_shows_what_is_written(name: str, page: str) -> None:
    key = LaunchKey(SECRET, file=Path("/home/you/.local/share/antiphon/launch/opencode.key"))
    setup = replace(SETUP, key=key, model=OfferedModel("my-model", "my-model", 32_768, 32_768))
    (shown,) = lines_of(CLIENTS / page, "json")
    assert settings_of(name, setup)[1] == json.loads(shown)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_file_of_settings_and_no_line_for_a_shell_has_the_key(program: Program) -> None:
    for file in program.files(SETUP):
        assert SECRET not in file.add("").text
    lines = exported(program.variables(SETUP), SETUP.key)
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_variable_is_taken_for_a_setting_of_antiphon(program: Program) -> None:
    assert not any(name.startswith("ANTIPHON_") for name in program.variables(SETUP))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_model_that_loads_is_set_up_without_its_sizes(program: Program) -> None:
    setup = replace(SETUP, model=OfferedModel("qwen"))
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS" not in program.variables(setup)
    for file in program.files(setup):
        assert "qwen" in file.add("").text
    note = context_note(program, setup.model)
    assert note is not None
    assert note.startswith("Note: the context of qwen is not known")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_model_with_a_small_context_is_told(program: Program) -> None:
    note = context_note(program, OfferedModel("tiny", max_input_tokens=program.needs - 1))
    assert note is not None
    assert f"{program.needs:,} tokens of context; tiny has {program.needs - 1:,}" in note
    assert context_note(program, OfferedModel("x", max_input_tokens=program.needs)) is None
    assert (Path(__file__).parents[3] / program.page).exists()


@pytest.mark.parametrize(
    ("context", "most", "longest"),
    [
        (None, None, None),
        (None, 4096, 4096),
        (8192, 8192, 2048),
        (32_768, 4096, 4096),
        (1_000_000, 128_000, 32_000),
        (2, 2, 1),
    ],
)
def test_answer_leaves_a_prompt_its_room(
    context: int | None, most: int | None, longest: int | None
) -> None:
    setup = replace(SETUP, model=OfferedModel("x", "", context, most))
    assert setup.longest_answer == longest


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (LaunchKey(SECRET, file=Path("/a b/k")), "\"$(cat '/a b/k')\""),
        (LaunchKey(SECRET, variable="ANTHROPIC_API_KEY"), '"$ANTHROPIC_API_KEY"'),
    ],
)
def test_shell_gets_the_key_from_where_it_is(key: LaunchKey, written: str) -> None:
    assert key.in_shell == written
    assert exported({"A": SECRET, "B": "it's"}, key) == [
        f"export A={written}",
        "export B='it'\"'\"'s'",
    ]
    assert SECRET not in repr(key)
