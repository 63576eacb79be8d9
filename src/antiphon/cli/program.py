"""The commands in messages, as the reader can call them: in a clone, none of them is on the PATH.

A message is written with `antiphon …` and `pip install 'antiphon[…]'`, an example of `--help` with
`antiphon …` after two spaces or a pipe. What prints it calls them as this process was called, so
that they can be pasted.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TextIO

from antiphon.cli.talking.terminal_text import harmless

PROGRAM = "antiphon"
# The columns of a terminal.
WIDTH = 80
_COMMAND = re.compile(
    r"((?<=`)|(?<=^  )|(?<= \| ))antiphon(?= )|\bpip(?= install 'antiphon\[)", re.MULTILINE
)
# A word of a command; a quoted text is one, with its spaces.
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
_GOES_ON = " \\"
# A command in a message, with a sign before and behind it that stays on its line. What is longer
# is folded between its words, as it would be by a terminal.
_QUOTED = re.compile(rf"`[^`\n]{{1,{WIDTH - 4}}}`")
# Stands for a space of a command while a line is folded. No message has it.
_KEPT = "\ue000"


def as_called(text: str, invoked: str | None = None, search_path: str | None = None) -> str:
    """Return a message with its commands as the reader can call them.

    `invoked` is the program as it was called (`sys.argv[0]`), and `search_path` is where the shell
    looks for programs (PATH).
    """
    here = Path(sys.argv[0] if invoked is None else invoked)
    # It has another name in tests, and as `python -m antiphon.cli`.
    if here.name != PROGRAM or not here.exists() or _is_found_by_name(here, search_path):
        return text

    def called(command: re.Match[str]) -> str:
        program = here.parent / command[0]
        return shlex.quote(str(program)) if program.exists() else command[0]

    return _COMMAND.sub(called, text)


def shown_on(stream: TextIO, text: str) -> str:
    """Return a message as a stream shows it: commands as the reader can call them.

    A terminal gets lines of whole words, and nothing that controls it. Elsewhere a message stays
    one line, for programs.
    """
    called = as_called(text)
    if not stream.isatty():
        return called
    # It may repeat what a server says, or a file is called.
    called = harmless(called)
    return "\n".join(folded(line) for line in called.split("\n"))


def folded(line: str) -> str:
    """Return a line of prose in lines of at most `WIDTH` columns; a row of a table as it is.

    A command in it stays whole if it fits on a line, so that it can be pasted.
    """
    if len(line) <= WIDTH or line.startswith(" "):
        return line
    from textwrap import fill  # noqa: PLC0415 - only for long messages

    whole = _QUOTED.sub(lambda quoted: quoted[0].replace(" ", _KEPT), line)
    lines = fill(whole, WIDTH, break_long_words=False, break_on_hyphens=False)
    return lines.replace(_KEPT, " ")


def folded_example(line: str) -> str:
    """Return an example of `--help` in lines of at most `WIDTH` columns, which can be pasted.

    What it does, behind three spaces or more, moves to a line above it.
    """
    if len(line) <= WIDTH or not line.startswith("  "):
        return folded(line)
    command, _, does = line.strip().partition("   ")
    return "\n".join(([f"  # {does.strip()}"] if does else []) + [folded_command(command, "  ")])


def folded_command(command: str, indent: str) -> str:
    """Return a command in lines of at most `WIDTH` columns that the shell reads as one."""
    if len(indent + command) <= WIDTH:
        return indent + command
    program, *words = _WORD.findall(command)
    lines = [indent + program]
    for word in words:
        if len(f"{lines[-1]} {word}{_GOES_ON}") > WIDTH:
            lines.append(f"{indent}    {word}")
        else:
            lines[-1] += f" {word}"
    return f"{_GOES_ON}\n".join(lines)


def _is_found_by_name(here: Path, search_path: str | None) -> bool:
    found = shutil.which(PROGRAM, path=search_path)
    return found is not None and here.samefile(found)
