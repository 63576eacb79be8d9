"""What `antiphon doctor` has found out about one thing."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    A `problem` keeps a server from starting or from working as it is set, a `note` does not. Each
    has in `mend` what mends it: a command or a setting.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    text: str
    mend: str | None = None


def ok(name: str, text: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(name, "ok", text)


def note(name: str, text: str, mend: str) -> Finding:
    """Return what is odd about a thing that works."""
    return Finding(name, "note", text, mend)


def problem(name: str, text: str, mend: str) -> Finding:
    """Return what is wrong with a thing that does not work."""
    return Finding(name, "problem", text, mend)


def told(name: str, message: str, otherwise: str) -> Finding:
    """Return the problem of an error, whose last sentence usually says what mends it.

    `otherwise` mends an error of one sentence.
    """
    whole = " ".join(message.split()).rstrip(".")
    text, _, mend = whole.rpartition(". ")
    return problem(name, text, mend) if text else problem(name, whole, otherwise)
