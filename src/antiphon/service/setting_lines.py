"""The lines with which a setting is changed: in the file, and as a variable of the environment.

They have the present value, or `…` in the place of one that is not shown, or that nobody has set.
"""

import shlex
from typing import Final

import msgspec

from antiphon.setting_places import layer_of_environment
from antiphon.settings import PREFIX
from antiphon.wire.admin.settings import SettingValue

YOURS: Final = "…"
"""What stands for a value that whoever copies the line has to write."""

# Tables, and a list that is not read from a variable.
_IN_THE_FILE_ALONE: Final = frozenset({"oidc", "oidc.claims", "oidc.roles", "console.proxies"})
_PLACES: Final = layer_of_environment({}, PREFIX)


def file_line(path: str, value: SettingValue) -> str:
    """Return the lines of the file that set what is at a path, with its table."""
    table, _, name = path.rpartition(".")
    line = f"{name} = {_toml(value)}"
    return f"[{table}]\n{line}" if table else line


def variable_line(path: str, value: SettingValue) -> str | None:
    """Return the variable that sets what is at a path, for a shell; `None` if none can."""
    if path in _IN_THE_FILE_ALONE:
        return None
    match value:
        case None:
            text = YOURS
        case bool():
            text = "true" if value else "false"
        case tuple():
            text = shlex.quote(",".join(value) or YOURS)
        case _:
            text = shlex.quote(str(value))
    return f"{_PLACES.place(path)}={text}"


def _toml(value: SettingValue) -> str:
    match value:
        case None:
            return f'"{YOURS}"'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join(map(_quoted, value))}]"
        case _:
            return _quoted(value)


def _quoted(text: str) -> str:
    # A text of JSON is one of TOML, but for a character that both escape in the same way.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
