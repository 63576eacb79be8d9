"""The quick way through frames of server-sent events: a few calls that run in C for all of them.

Servers write nearly all frames in one of two forms: `event: …`, `data: …` and an empty line, as the
API does, or the last two of these. `plain_frames` reads these and no others.
"""

from __future__ import annotations

EVENT = b"\nevent: "
DATA = b"\ndata: "
UNNAMED = b"message"
"""What the standard calls an event without a name."""


def plain_frames(frames: bytes) -> tuple[list[bytes], list[bytes]] | None:
    """Return the names and the data of whole frames, or `None` if one has another form.

    `frames` have LF for each end of a line, and end before the empty line of the last one. The cost
    is linear in their size.
    """
    named = not frames.startswith(DATA[1:])
    step = 3 if named else 2
    lines = frames.split(b"\n")
    if any(lines[step - 1 :: step]):
        return None
    data = _values(lines[step - 2 :: step], DATA)
    if data is None:
        return None
    if not named:
        return [UNNAMED] * len(data), data
    names = _values(lines[::step], EVENT)
    # An empty name is none.
    if names is None or len(names) != len(data) or not all(names):
        return None
    return names, data


def _values(lines: list[bytes], name: bytes) -> list[bytes] | None:
    """Return what stands behind a field's name in each line, or `None` if one has another name."""
    # No line has a line break inside, so what is found are the beginnings of lines.
    found = (b"\n" + b"\n".join(lines)).split(name)
    return found[1:] if len(found) == len(lines) + 1 else None
