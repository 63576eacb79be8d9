"""What a program needs to use a server: its variables, and its own files of settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from antiphon.cli.launching.key import LaunchKey
from antiphon.cli.launching.merging import Merged
from antiphon.cli.launching.server import OfferedModel
from antiphon.core.claude_code import claude_name

LONGEST_ANSWER: Final = 32_000
"""The most tokens of an answer that agents ask for of a model that they do not know."""
# An agent's prompt has to have most of the context.
_ANSWER_SHARE: Final = 4


class Setup(msgspec.Struct, frozen=True):
    """The server, the key and the model of a program, and the user whose program it is."""

    url: str
    key: LaunchKey
    model: OfferedModel
    environ: Mapping[str, str]
    home: Path
    platform: str = "linux"

    @property
    def claude_name(self) -> str:
        """A name of the model that holds `claude`: Claude Code drops others from its list."""
        return claude_name(self.model.id)

    @property
    def title(self) -> str:
        return self.model.display_name or self.model.id

    @property
    def longest_answer(self) -> int | None:
        """The most tokens of an answer that leave a prompt its room; `None` if not known."""
        context, most = self.model.max_input_tokens, self.model.max_tokens
        if context is None:
            return most
        return max(1, min(LONGEST_ANSWER, context // _ANSWER_SHARE, most or context))

    @property
    def config_folder(self) -> Path:
        """The folder of the user's settings on Linux, and of programs that have it everywhere."""
        folder = Path(self.environ.get("XDG_CONFIG_HOME") or "")
        # A relative one counts for nothing, as the specification of these folders says.
        return folder if folder.is_absolute() else self.home / ".config"


class SettingsFile(msgspec.Struct, frozen=True):
    """A file of settings of a program; `add` adds those of the server to its text."""

    path: Path
    add: Callable[[str], Merged]


Variables: TypeAlias = Callable[[Setup], dict[str, str]]
Files: TypeAlias = Callable[[Setup], tuple[SettingsFile, ...]]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program that `antiphon launch` knows.

    `command` is its name on the PATH, and `install` how it gets there. `needs` are the tokens of
    context without which it is of little use. `has_variables`: they are enough; other programs
    find the server by their settings alone.
    """

    title: str
    command: str
    install: str
    needs: int
    page: str
    variables: Variables
    files: Files = lambda _: ()
    has_variables: bool = True
    afterwards: str = ""
