"""`antiphon message` and `antiphon chat`, against a real server."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli import main
from support.processes import serving

CONFIG = """
engine = "scripted"
[scripted]
text = "Because air scatters blue light."
images = true
[[scripted.replies]]
when = "long"
text = "one two three four five six seven eight"
[[scripted.replies]]
when = "hostile"
text = "clear \\u001b[2J the screen"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data folder is."""
    folder = tmp_path_factory.mktemp("talk")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    config = {"ANTIPHON_CONFIG": str(folder / "antiphon.toml")}
    with serving(folder / "data", environ=config) as running:
        yield running.url


class Said(tuple[int, str, str]):
    """The status of a command, and what it printed on stdout and stderr."""

    __slots__ = ()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Typist:
    """Types commands for a server, with a standard input."""

    def __init__(self, data_dir: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir = data_dir
        self.url = url
        self._capsys = capsys

    @property
    def key_file(self) -> Path:
        return self.data_dir / "launch/terminal.key"

    def __call__(self, *words: str, stdin: bytes = b"", terminal: bool = False) -> Said:
        source = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", source)
            shown = Terminal()
            if terminal:
                patch.setattr(sys, "stdout", shown)
            status = main([*words, "--data-dir", str(self.data_dir)])
        printed = self._capsys.readouterr()
        return Said((status, shown.getvalue() if terminal else printed.out, printed.err))


@pytest.fixture
def typist(
    folder: Path,
    url: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Typist:
    monkeypatch.chdir(tmp_path)
    return Typist(folder / "data", url, capsys)


def test_answer_is_printed_with_one_line_break(typist: Typist) -> None:
    assert typist("message", "Why", "blue?") == (0, "Because air scatters blue light.\n", "")


def test_standard_input_stands_behind_the_words(typist: Typist) -> None:
    status, said, _ = typist("message", "why?", "--json", stdin=b"some text\n")
    assert status == 0
    assert json.loads(said)["content"][0]["text"] == "Because air scatters blue light."
    alone = json.loads(typist("message", "--json", stdin=b"some text\n")[1])
    both = json.loads(said)
    assert both["usage"]["input_tokens"] > alone["usage"]["input_tokens"]


def test_nothing_to_ask_is_told(typist: Typist) -> None:
    with pytest.raises(SystemExit) as caught:
        typist("message")
    assert caught.value.code == 2


def test_answer_that_is_cut_has_a_status_of_its_own(typist: Typist) -> None:
    status, said, why = typist("message", "long", "--max-tokens", "2")
    assert status == 3
    assert said.startswith("one")
    assert why == "antiphon: the answer is cut: it has --max-tokens 2 tokens\n"


def test_terminal_is_not_controlled_by_an_answer(typist: Typist) -> None:
    assert typist("message", "hostile", terminal=True)[1] == "clear \\x1b[2J the screen\n"
    assert typist("message", "hostile")[1] == "clear \x1b[2J the screen\n"


def test_error_of_the_api_is_one_line_with_the_id_of_the_request(
    typist: Typist, tmp_path: Path
) -> None:
    status, said, why = typist("message", "hi", "--model", "none-such")
    assert (status, said) == (1, "")
    assert "there is no model 'none-such'; " in why
    tmp_path.joinpath("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    status, said, why = typist("message", "hi", "--image", "broken.png")
    assert (status, said) == (1, "")
    assert why.startswith("antiphon: 400 invalid_request_error: messages.0.content.0.image")
    assert "(req_" in why
    assert why.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--max-tokens", "0"),
        ("--max-tokens", "1e3"),
        ("--temperature", "2"),
        ("--temperature", "x"),
    ],
)
def test_flag_out_of_its_bounds_is_refused(typist: Typist, flag: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        typist("message", "hi", flag, value)
    assert caught.value.code == 2


def test_files_go_along(typist: Typist, tmp_path: Path) -> None:
    tmp_path.joinpath("notes.md").write_text("long notes " * 20, encoding="utf-8")
    with_file = json.loads(typist("message", "why?", "--file", "notes.md", "--json")[1])
    without = json.loads(typist("message", "why?", "--json")[1])
    assert with_file["usage"]["input_tokens"] > without["usage"]["input_tokens"] + 20


def test_key_of_the_commands_is_made_once(typist: Typist) -> None:
    typist("message", "hi")
    file = typist.key_file
    secret = file.read_text(encoding="utf-8")
    typist("message", "hi")
    assert file.read_text(encoding="utf-8") == secret
    assert file.stat().st_mode & 0o777 == 0o600


def test_server_elsewhere_takes_the_key_of_the_environment(
    typist: Typist, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    typist("message", "hi")
    secret = typist.key_file.read_text(encoding="utf-8").strip()
    elsewhere = ("--base-url", f"{typist.url}/v1/", "--config", str(tmp_path / "none.toml"))
    tmp_path.joinpath("none.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    status, _, why = typist("message", "hi", *elsewhere)
    assert status == 1
    assert "needs a key" in why
    monkeypatch.setenv("ANTHROPIC_API_KEY", secret)
    assert typist("message", "hi", *elsewhere)[0] == 0
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-wrong")
    status, _, why = typist("message", "hi", *elsewhere)
    assert status == 1
    assert why.startswith("antiphon: 401 authentication_error: ")
    assert "sk-wrong" not in why


@pytest.mark.parametrize("secret", ["sk-one\ttwo\x01", "sk-\u00e4", "sk-\x1b[2J"])
def test_key_that_cannot_be_sent_is_not_shown(
    typist: Typist, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", secret)
    status, said, why = typist("message", "hi", "--base-url", typist.url)
    assert (status, said) == (1, "")
    assert "key has characters" in why
    assert secret not in why


def test_password_of_an_address_is_not_shown(typist: Typist) -> None:
    status, _, why = typist("message", "hi", "--base-url", "http://me:secret@127.0.0.1:9")
    assert status == 1
    assert "the server at http://***@127.0.0.1:9 needs a key" in why


def test_server_that_does_not_answer_is_named(
    typist: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-other")
    status, said, why = typist("message", "hi", "--base-url", "http://127.0.0.1:9")
    assert (status, said) == (1, "")
    assert "127.0.0.1:9" in why
    status, _, why = typist("message", "hi", "--base-url", "127.0.0.1:9")
    assert "--base-url: '127.0.0.1:9'; it begins with http:// or https://" in why


def test_conversation_goes_on_and_ends_with_its_sum(typist: Typist, tmp_path: Path) -> None:
    typed = b"first\n/usage\nsecond \\\nline\n/save talk.md\n/nonsense\n/modell\n//slash\n"
    status, said, _ = typist("chat", stdin=typed)
    assert status == 0
    assert said.count("Because air scatters blue light.\n") == 3
    assert "\n1 answer: " in said
    assert "there is no /nonsense; " in said
    assert "there is no /modell; did you mean /model?" in said
    assert said.splitlines()[-1].startswith("3 answers: ")
    saved = tmp_path.joinpath("talk.md").read_text(encoding="utf-8")
    assert saved.startswith("## You\n\nfirst\n\n## Model\n\nBecause air")
    assert "second \nline" in saved


def test_terminal_shows_notes_apart(typist: Typist) -> None:
    said = typist("chat", stdin=b"/help\nhostile\n/exit\n", terminal=True)[1]
    assert said.startswith("\x1b[2m")
    assert "clear \\x1b[2J the screen" in said
    plain = typist("chat", "--plain", stdin=b"/exit\n", terminal=True)[1]
    assert "\x1b" not in plain
