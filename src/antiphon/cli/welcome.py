"""What a server prints when its models are loaded: its address, a key, notes, a first request."""

from pathlib import Path
from shlex import quote
from textwrap import fill

import msgspec

from antiphon import __version__
from antiphon.cli.links import console_base, local_url
from antiphon.cli.program import WIDTH, as_called, folded, folded_command
from antiphon.service.models import ServedModel
from antiphon.service.platform import Platform
from antiphon.weights.catalogue import CLAUDE_CODE
from antiphon.wire.admin.keys import KeyInfo

_SETUP = "(makes the first administrator: once, within a day; keep it secret)"
_INDENT = " " * 11
_FIRST_KEY = "(each start replaces it until it is used; then it is not shown again)"


class Welcome(msgspec.Struct, frozen=True):
    """The welcome of a server that listens on `port`.

    `first` is the first key, if it can be shown. `refusal` is why every request is refused now.
    `default_folder` is the data folder of commands without flags, if there are such; `notes` are
    further sentences. `setup_link` makes the first administrator of the Console. `metrics_url` is
    where the metrics are, if there are any.
    """

    platform: Platform
    port: int
    first: KeyInfo | None
    refusal: str | None
    default_folder: Path | None
    notes: tuple[str, ...] = ()
    setup_link: str | None = None
    metrics_url: str | None = None

    def text(self) -> str:
        """Return the welcome; its lines have at most 80 columns, but for long names."""
        settings = self.platform.settings
        rows = {
            "URL": self.url,
            "API key": self._key(),
            "Model": f"\n{_INDENT}".join(map(model_line, self.platform.models.served)),
            "Data": str(settings.data_dir),
        }
        if settings.console.enabled:
            rows["Console"] = self._console()
        if self.metrics_url is not None:
            rows["Metrics"] = self.metrics_url
        parts = [
            self._state(),
            "\n".join(f"  {name:7}  {value}" for name, value in rows.items()),
            *(_folded(f"Note: {note}") for note in self._notes()),
            "For the SDKs:",
            self._exports(),
            *self._chat(),
            *self._launch(),
            "Try it:",
            self._request(),
        ]
        return "\n" + "\n\n".join(parts) + "\n"

    @property
    def url(self) -> str:
        return local_url(self.platform.settings, self.port)

    def _state(self) -> str:
        if self.refusal is None:
            return f"Antiphon {__version__} is ready."
        return _folded(
            f"Antiphon {__version__} runs, but refuses every request for now: {self.refusal}. "
            "It goes on trying; GET /ready is 200 when requests are answered."
        )

    def _key(self) -> str:
        if self.first is not None:
            return f"{self.first.secret}\n{_INDENT}{_FIRST_KEY}"
        settings = self.platform.settings
        if settings.api_key is not None and "api_key" not in self.platform.ignored:
            return f"the one in {settings.api_key.place}"
        command = folded_command(as_called(f"`{self._create_key()}`"), _INDENT)
        return f"made before; to make another one:\n{command}"

    def _console(self) -> str:
        if self.setup_link is not None:
            return f"{self.setup_link}\n{_INDENT}{_SETUP}"
        return f"{console_base(self.platform.settings, self.port)}/console"

    def _create_key(self, flag: str = "") -> str:
        """Return the command for a new key."""
        return f"antiphon keys create NAME{flag}{self._where}"

    @property
    def _where(self) -> str:
        """The flag by which a command finds the same data folder, if it needs one."""
        folder = self.platform.settings.data_dir
        return "" if folder == self.default_folder else f" --data-dir {quote(str(folder))}"

    def _launch(self) -> tuple[str, ...]:
        """Return the line that starts Claude Code, if it fits and the model has the context."""
        context = self.platform.models.served[0].listed().max_input_tokens
        line = as_called(f"For Claude Code: `antiphon launch claude{self._where}`")
        able = context is not None and context >= CLAUDE_CODE
        return (line,) if able and len(line) <= WIDTH else ()

    def _chat(self) -> tuple[str, ...]:
        """Return the line that talks with the model in the terminal, if it fits."""
        line = as_called(f"For the terminal: `antiphon chat{self._where}`")
        return (line,) if len(line) <= WIDTH else ()

    def _notes(self) -> tuple[str, ...]:
        settings = self.platform.settings
        ignored = (
            f"{getattr(settings, name).place} is ignored: it is only for an installation without "
            "keys, and this one has others. Make one with "
            f"`{self._create_key(' --admin' if name == 'admin_key' else '')}`, or choose a new "
            "folder with --data-dir."
            for name in self.platform.ignored
        )
        return (*ignored, *self.notes)

    def _secret(self) -> str:
        # Not a variable: if it is empty, the line would erase a key that is set.
        return "sk-antiphon-…" if self.first is None else str(self.first.secret)

    def _exports(self) -> str:
        secret = self._secret()
        return f"  export ANTHROPIC_BASE_URL={self.url}\n  export ANTHROPIC_API_KEY={secret}"

    def _request(self) -> str:
        secret = self._secret()
        return f"""\
  curl {self.url}/v1/messages \\
    -H "x-api-key: {secret}" \\
    -H "anthropic-version: 2023-06-01" -H "content-type: application/json" \\
    -d '{{"model": "claude-local", "max_tokens": 64, "temperature": 0,
         "messages": [{{"role": "user",
         "content": "What is the chemical symbol for water?"}}]}}'"""


def model_line(model: ServedModel) -> str:
    """Return a model with what decides how agents work on it: its calls, thoughts and context.

    A long line is folded, and indented.
    """
    listed, formats = model.listed(), model.call_formats()
    general = next((one for one in formats if not one.native), None)
    facts = list[str]()
    if general is not None:
        facts.append(f"general call format ({general.reason or 'its template has none'})")
    elif formats:
        facts.append("native call format")
    if listed.capabilities is not None:
        facts.append("thoughts" if listed.capabilities.thinking.supported else "no thoughts")
    if listed.max_input_tokens is not None:
        facts.append(f"{listed.max_input_tokens:,} tokens of context")
    line = f"{model.id}: {', '.join(facts)}" if facts else model.id
    width = WIDTH - len(_INDENT)
    folded_line = fill(line, width, break_long_words=False, break_on_hyphens=False)
    return folded_line.replace("\n", f"\n{_INDENT}")


def _folded(text: str) -> str:
    return folded(as_called(text))
