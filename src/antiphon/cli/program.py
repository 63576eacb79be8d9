"""The commands in messages, as the reader can call them: in a clone, none of them is on the PATH.

A message is written with `antiphon …` and `pip install 'antiphon[…]'`, an example of `--help` with
`antiphon …` after two spaces. What prints it calls them as this process was called, so that they
can be pasted.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "antiphon"
_COMMAND = re.compile(
    r"(?<=`)antiphon(?= )|(?<=^  )antiphon(?= )|\bpip(?= install 'antiphon\[)", re.MULTILINE
)


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


def _is_found_by_name(here: Path, search_path: str | None) -> bool:
    found = shutil.which(PROGRAM, path=search_path)
    return found is not None and here.samefile(found)
