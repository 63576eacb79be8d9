"""The program as `uvx` runs it: from a cache, which uv empties, where no shell finds it."""

import json
import re
import sys
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlsplit

_CACHE = re.compile(r"archive-v\d+")


def command_to_install() -> str | None:
    """Return the command that installs this program, if it is one that `uvx` runs."""
    if not any(map(_CACHE.fullmatch, Path(sys.prefix).parts)):
        return None
    from importlib import metadata  # noqa: PLC0415 - 40 ms, which no other program pays

    origin = metadata.distribution("antiphon").read_text("direct_url.json")
    return f"uv tool install {quote(requirement(origin, Path.cwd()))}"


def path_note() -> str | None:
    """Return what the welcome of a server says of commands, if `uvx` runs it."""
    install = command_to_install()
    if install is None:
        return None
    return f"`uvx` leaves no `antiphon` on the PATH, where commands need it: `{install}` does."


def requirement(origin: str | None, folder: Path) -> str:
    """Return what to ask an installer for, to get this package with the server.

    `origin` is the JSON that an installer keeps of a package that is none of an index
    (`direct_url.json`), and `folder` is where the reader is.
    """
    if origin is None:
        return "antiphon[server]"
    told = json.loads(origin)
    url = urlsplit(told["url"])
    if url.scheme == "file":
        path = Path(unquote(url.path))
        if path != folder and path.is_relative_to(folder):
            return f"./{path.relative_to(folder)}[server]"
        return f"{path}[server]"
    kind = f"{told['vcs_info']['vcs']}+" if "vcs_info" in told else ""
    return f"antiphon[server] @ {kind}{told['url']}"
