"""What one process knows of the entries of the prompt cache that its requests wrote and read.

The index knows entries by hashes alone. Whoever looks at them wants to know of which workspace and
model they are, how old, and how often they were read: that is noted here, for people, and decides
nothing. It is lost with the process.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MOST_NOTED: Final = 10_000
"""Entries that are noted: some 400 bytes each, so 4 MB. Those used last remain."""


@dataclass(slots=True)
class EntryNote:
    """What is known of an entry. Times are those of the index, in milliseconds.

    `salt` stands for the workspace. `written_at` is `None` for an entry of an earlier process, or
    of another one; its `hits` are those that were seen here. `saved` are nano-dollars: what its
    reads cost less than plain input, without what its writes cost more.
    """

    salt: str
    model: str
    written_at: int | None
    used_at: int
    hits: int = 0
    saved: int = 0


class EntryRegister:
    """Notes about entries, by their keys; the one used last comes last."""

    def __init__(self, most: int = MOST_NOTED) -> None:
        self._most = most
        self._notes: OrderedDict[bytes, EntryNote] = OrderedDict()

    def note_written(self, key: bytes, salt: str, model: str, at: int, *, saved: int = 0) -> None:
        """Note a write. One that is written again while it lives keeps its hits and its age."""
        self._used(key, salt, model, at, written_at=at).saved += saved

    def note_read(self, key: bytes, salt: str, model: str, at: int, *, saved: int = 0) -> None:
        """Note a read."""
        note = self._used(key, salt, model, at, written_at=None)
        note.hits += 1
        note.saved += saved

    def _used(
        self, key: bytes, salt: str, model: str, at: int, *, written_at: int | None
    ) -> EntryNote:
        note = self._notes.get(key)
        if note is None:
            while len(self._notes) >= self._most:
                self._notes.popitem(last=False)
            note = self._notes[key] = EntryNote(salt, model, written_at, at)
        note.used_at = max(note.used_at, at)
        self._notes.move_to_end(key)
        return note

    def notes(self) -> Sequence[tuple[bytes, EntryNote]]:
        """Return all notes, also of entries that are over."""
        return tuple(self._notes.items())

    def forget(self, keys: Iterable[bytes]) -> None:
        """Drop the notes of entries that are over."""
        for key in keys:
            self._notes.pop(key, None)
