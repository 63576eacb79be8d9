"""Names of workspaces, keys and people: which texts may be one, and how they are compared."""

from typing import Final
from unicodedata import category, normalize

_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian and Indian scripts and families of emoji need the joiners, flags of regions the tags.
# Other format characters hide, or turn around the text that follows.
_JOINERS: Final = frozenset("\u200c\u200d")
_TAGS: Final = range(0xE0020, 0xE0080)
_BLANK: Final = frozenset({"Zs", "Cf"})


def is_readable(name: str) -> bool:
    """Whether a name is text without control characters and holds more than spaces."""
    return is_plain(name) and any(category(char) not in _BLANK for char in name)


def is_plain(text: str) -> bool:
    """Whether a text could be a part of a name.

    `str.isprintable` refuses joiners, wide spaces, and all that is newer than this Python.
    """
    return all(map(_is_allowed, text))


def folded(name: str) -> str:
    """Return a name as it is sorted and searched: the same for every case and spelling of it."""
    # Taken apart first: lower letters such as "ΐ" have no upper one, only one with marks behind it.
    return normalize("NFKC", normalize("NFKD", name).casefold())


def _is_allowed(char: str) -> bool:
    return category(char) not in _REFUSED or char in _JOINERS or ord(char) in _TAGS
