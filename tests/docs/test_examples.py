"""The examples of the README and of the guides run as they stand."""

import json
import os
import re
import shlex
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from antiphon.settings import Settings
from support.fork_server import fork_server
from support.images import png
from support.pdf import pdf
from support.processes import Program, environment, serving

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The guides for developers have tests of their own.
GUIDES = [one for one in sorted((DOCS / "how-to").glob("*.md")) if not one.name.startswith("add-")]
PAGES = [ROOT / "README.md", DOCS / "quickstart.md", *GUIDES]
OUTPUT = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(sh|python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_A_CLONE = "In a clone, `antiphon` is `.venv/bin/antiphon`."
PATIENCE_S = 60.0

# What is not run, by its first words, and why.
NOT_RUN = {
    "make serve": "makes the environment that the tests run in",
    "(cd dist && sha256sum": "needs what `make package` builds; tests/test_package.py has the sums",
    "python3 -m venv antiphon": "fetches from the package index; tests/test_package.py runs it",
    "make package": "fetches from the package index; tests/test_package.py has what it builds",
    "export ANTHROPIC_BASE_URL": "is what the welcome prints, with the key",
    "ANTIPHON_API_KEY=a-key": "takes a port that may be taken",
    "antiphon serve --model": "names models that do not exist",
    "antiphon models check": "names models that do not exist",
    "antiphon models recommended": "depends on the memory; tests/cli/test_recommended.py runs it",
    "antiphon models list": "names models that are not here; tests/cli/test_model_files.py",
    "pip install --upgrade": "fetches from the package index",
    "antiphon models exam": "takes minutes; tests/end_to_end/test_exam.py takes it",
    ".venv/bin/python -m pip install -e": "fetches from the package index",
    "antiphon service": "starts a service of the machine",
    "antiphon serve\n": "fetches a model; tests/end_to_end/test_start.py has the start",
    "npm install -g": "fetches from npm's registry; tests/soak/conftest.py does",
    "mkdir greeting": "needs Claude Code; tests/soak/test_launched.py runs it",
    "antiphon launch": "tests/end_to_end/test_launch.py has it",
    'eval "$(antiphon launch': "tests/end_to_end/test_launch.py has it",
    "sudo ": "needs root",
    "docker ": "needs a container engine; tests/test_deploy.py checks the files",
    "helm ": "needs a cluster; tests/test_helm.py renders the chart",
    "kubectl ": "needs a cluster; tests/test_helm.py renders the chart",
    "export POSTGRES_PASSWORD": "needs a container engine; tests/test_deploy.py checks the files",
    "pg_dump": "needs the tools of PostgreSQL",
    "pip install 'antiphon[server,vllm]'": "fetches from the package index",
    "vllm serve": "needs a GPU; tests/soak/test_vllm.py runs it without one",
    "pip install 'antiphon[server,sglang]'": "fetches from the package index",
    "sglang serve": "needs a GPU; tests/soak/test_sglang.py runs it without one",
    "for n in 0 1 2 3; do": "needs eight GPUs",
    "ray start": "needs several machines",
    "pip install 'ray[serve]": "fetches from the package index; tests/soak/test_ray.py runs it",
    "from ray import": "needs several machines",
}
CONFIG = """
engine = "scripted"
[scripted]
text = "H2O [source 1]. The grass is green."
images = true
[[scripted.replies]]
when = "strawberry"
thinking = "s, t, r, a, w, b, e, r, r, y."
text = "Three."
[[scripted.replies]]
when = "Tool: get_weather"
text = ""
tool_calls = [{name = "get_weather", input = {place = "Oslo"}}]
[[scripted.replies]]
when = "unavailable"
text = "I cannot look."
[[scripted.replies]]
when = "weather in Oslo"
text = ""
tool_calls = [
  {name = "tool_search_tool_regex", input = {pattern = "weather"}},
  {name = "web_search", input = {query = "weather in Oslo"}},
]
"""


class Example(NamedTuple):
    page: str
    language: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run, if it is not."""
        return next((NOT_RUN[start] for start in NOT_RUN if self.text.startswith(start)), None)

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


EXAMPLES = [
    Example(page.name, language, text)
    for page in PAGES
    for language, text in FENCE.findall(page.read_text(encoding="utf-8"))
]
TOML = [one for one in EXAMPLES if one.language == "toml"]
RUN = [one for one in EXAMPLES if one.language != "toml" and one.reason is None]
WEATHER = {"name": "get_weather", "input_schema": {"type": "object"}}
RESULT_TYPES = ["succeeded", "errored", "canceled", "expired"]
(SCRIPT,) = (one for one in TOML if one.page == "test-your-code.md")


def examples_of(page: str) -> list[Example]:
    return [one for one in RUN if one.page == page]


def shell(example: Example, folder: Path, before: str = "") -> str:
    """Run an example in a folder whose environment, as that of a clone, is that of the tests.

    Its `antiphon` is forked.
    """
    forked = f'antiphon() {{ {shlex.join(fork_server().command)} "$@"; }}\n'
    if not folder.joinpath(".venv").exists():
        folder.joinpath(".venv").symlink_to(sys.prefix)
    text = example.text
    if example.language == "python":
        text = f".venv/bin/python - <<'END'\n{text}END\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-euc", forked + before + text],
        cwd=folder,
        env=environment(folder / "data", PATH=path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_batch_files(folder: Path) -> list[str]:
    """Write the results that the guide of batches shows, and a request for each.

    Returns the lines of the requests. A message is shortened on the page.
    """
    page = (DOCS / "how-to/message-batches.md").read_text(encoding="utf-8")
    answers = re.findall(r'^\{"custom_id":"q-.*\n', page.replace(", …", ""), re.MULTILINE)
    assert [json.loads(line)["result"]["type"] for line in answers] == RESULT_TYPES
    requests = [f'{{"custom_id": "{json.loads(line)["custom_id"]}"}}\n' for line in answers]
    folder.joinpath("answers.jsonl").write_text("".join(answers), encoding="utf-8")
    folder.joinpath("questions.jsonl").write_text("".join(requests), encoding="utf-8")
    return requests


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("examples")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    config = {"ANTIPHON_CONFIG": str(folder / "antiphon.toml")}
    with serving(folder / "data", environ=config) as program:
        yield program


@pytest.fixture
def exports(program: Program) -> str:
    """The lines that the welcome prints for the shell in which the examples run."""
    lines = [line for line in program.lines if line.startswith("  export ")]
    assert len(lines) == 2
    return "".join(lines)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("README.md", [r'"text":"H2O', r"\AH2O", r"\AH2O|\nH2O"]),
        (
            "message-batches.md",
            [
                r"\Aq-1 H2O .*\nq-2 H2O ",
                r'"type":"message_batch".*"processing":1,',
                r"\A3 requests to send again",
            ],
        ),
        ("cite-documents.md", [r"'The grass is green\.'"]),
        ("send-images-and-files.md", [r'"text":"H2O']),
        ("use-files.md", [r"\AH2O", r'"filename":"report\.pdf".*"expires_at":"2']),
        (
            "search-tools.md",
            [r'"tool_name":"get_weather".*"type":"tool_use".*"place":"Oslo"'],
        ),
        ("look-things-up-in-the-web.md", [r'"error_code":"unavailable".*"I cannot look\."']),
        ("use-a-model-that-thinks.md", [r'"thinking":"s, t, r.*"text":"Three\.']),
        ("talk-with-a-model.md", [r"\A(H2O .*\n){4}\Z", r"/help says what can be typed"]),
        (
            "set-the-base-url.md",
            [r"x-antiphon-hint: The base URL should be http://127\.0\.0\.1:\d+,"],
        ),
    ],
)
def test_requests_of_the_page_are_answered(
    exports: str, tmp_path: Path, page: str, said: list[str]
) -> None:
    tmp_path.joinpath("cat.png").write_bytes(png(8, 8))
    tmp_path.joinpath("chart.png").write_bytes(png(8, 8))
    tmp_path.joinpath("report.pdf").write_bytes(b64decode(pdf(["Costs rose."])))
    tmp_path.joinpath("notes.md").write_text("Costs fell.", encoding="utf-8")
    tmp_path.joinpath("src").mkdir()
    tmp_path.joinpath("src/main.py").write_text("print()", encoding="utf-8")
    write_batch_files(tmp_path)
    outputs = [shell(example, tmp_path, exports) for example in examples_of(page)]
    assert len(outputs) == len(said)
    for output, pattern in zip(outputs, said, strict=True):
        assert re.search(pattern, output), output


@pytest.mark.soak
def test_examples_of_the_prompt_cache_print_what_the_page_shows(tmp_path: Path) -> None:
    """On the scripted engine with the settings of its page, which this one links to."""
    page = (DOCS / "how-to/prompt-caching.md").read_text(encoding="utf-8")
    shown = [text for language, text in OUTPUT.findall(page) if not language]
    config = tmp_path / "antiphon.toml"
    config.write_text(SCRIPT.text, encoding="utf-8")
    key = Settings.load({}, environ={}, config=config).api_key
    assert key is not None
    with serving(tmp_path / "data", environ={"ANTIPHON_CONFIG": str(config)}) as program:
        exports = f"export ANTHROPIC_BASE_URL={program.url} ANTHROPIC_API_KEY={key.reveal()}\n"
        examples = examples_of("prompt-caching.md")
        printed = [shell(example, tmp_path, exports) for example in examples]
    assert printed == shown


def test_requests_without_an_answer_are_written_to_a_new_file(tmp_path: Path) -> None:
    requests = write_batch_files(tmp_path)
    (example,) = (one for one in examples_of("message-batches.md") if "again" in one.text)
    shell(example, tmp_path)
    again = tmp_path.joinpath("again.jsonl").read_text(encoding="utf-8")
    assert again.splitlines(keepends=True) == requests[1:]


# In the order in which a reader needs them: each goes on with what the one before has made.
COMMANDS = (
    "hand-out-keys.md",
    "ask-for-a-higher-limit.md",
    "rotate-a-key.md",
    "see-what-was-used.md",
    "see-what-happened-to-a-request.md",
    "sign-in-to-the-console.md",
    "back-up.md",
)


def test_commands_of_the_pages_run_in_turn(tmp_path: Path) -> None:
    said = dict.fromkeys(COMMANDS, "")
    for page in COMMANDS:
        for example in examples_of(page):
            folder = tmp_path
            if example.text.startswith("antiphon restore"):
                # The backup of today, where no database is.
                folder = tmp_path / "restored"
                folder.mkdir()
                (backup,) = tmp_path.glob("antiphon-*.db")
                backup.rename(folder / example.text.split()[-1])
            said[page] += shell(example, folder)
    assert said["hand-out-keys.md"].count("sk-antiphon-") >= 4
    assert said["ask-for-a-higher-limit.md"].count("limreq_") >= 2 + 2 + 2
    assert said["rotate-a-key.md"].count("sk-antiphon-") == 2
    links = re.findall(r"/console/([a-z-]+)#token=", said["sign-in-to-the-console.md"])
    assert links == ["setup", "setup", "invite", "sign-in", "sign-in"]
    assert tmp_path.joinpath("usage.csv").read_text(encoding="utf-8").startswith("day,")
    assert (tmp_path / "restored/data/antiphon.db").exists()


def test_every_example_that_runs_is_of_a_page_that_is_tested() -> None:
    tested = {"README.md", "cite-documents.md", "send-images-and-files.md", *COMMANDS}
    tested |= {
        "look-things-up-in-the-web.md",
        "message-batches.md",
        "prompt-caching.md",
        "search-tools.md",
        "use-a-model-that-thinks.md",
        "use-files.md",
        "talk-with-a-model.md",
        "set-the-base-url.md",
        SCRIPT.page,
    }
    assert {one.page for one in RUN} == tested


def test_every_reason_not_to_run_is_needed() -> None:
    assert {one.reason for one in EXAMPLES} - {None} == set(NOT_RUN.values())


@pytest.mark.parametrize("example", TOML, ids=str)
def test_settings_of_the_page_are_loaded(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("antiphon.toml").write_text(example.text, encoding="utf-8")
    assert Settings.load({}, environ={}).served()


def test_script_of_the_page_answers_as_it_says(tmp_path: Path) -> None:
    (example,) = examples_of(SCRIPT.page)
    # `serving` starts the same command.
    assert example.text.split("#")[0].split() == ["antiphon", "serve", "--port", "0"]
    tmp_path.joinpath("antiphon.toml").write_text(SCRIPT.text, encoding="utf-8")
    key = Settings.load({}, environ={}, config=tmp_path / "antiphon.toml").api_key
    assert key is not None
    headers = {"x-api-key": key.reveal(), "anthropic-version": "2023-06-01"}
    with serving(tmp_path) as program, httpx2.Client(headers=headers) as client:

        def ask(question: str, **more: object) -> httpx2.Response:
            message = {"role": "user", "content": question}
            body = {"model": "claude-x", "max_tokens": 20, "messages": [message], **more}
            return client.post(f"{program.url}/v1/messages", json=body)

        assert "Paris." in ask("What is the capital of France?").text
        assert "The default answer." in ask("And else?").text
        called = ask("How is the weather in Paris?", tools=[WEATHER]).json()["content"][1]
        assert (called["name"], called["input"]) == ("get_weather", {"city": "Paris"})
        result = {"type": "tool_result", "tool_use_id": called["id"], "content": "18 degrees"}
        turns = [
            {"role": "user", "content": "How is the weather in Paris?"},
            {"role": "assistant", "content": [called]},
            {"role": "user", "content": [result]},
        ]
        assert "It is mild." in ask("", tools=[WEATHER], messages=turns).text
        assert ask("Please be busy").status_code == 529
        broken = ask("Please break off", stream=True).text
        assert "".join(re.findall(r'"text_delta","text":"(.*?)"', broken)) == "This much is"
        assert broken.splitlines()[-3] == "event: error"


def test_lines_of_the_quickstart_are_those_of_the_welcome(exports: str) -> None:
    """But for the port and the key, which differ."""
    page = (DOCS / "quickstart.md").read_text(encoding="utf-8")
    (lines,) = (text for text in FENCE.findall(page) if text[1].startswith("export"))

    def names(text: str) -> list[str]:
        return re.findall(r"export (\w+=(?:http://127\.0\.0\.1:|sk-antiphon-))", text)

    assert names(lines[1]) == names(exports)
    assert len(names(exports)) == 2


@pytest.mark.parametrize(
    "page", [*GUIDES, DOCS / "reference/commands.md"], ids=lambda one: one.name
)
def test_page_with_commands_says_where_the_program_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    has_commands = re.search(r"^(\| `)?antiphon ", text, re.MULTILINE) is not None
    assert (IN_A_CLONE in text) == has_commands
