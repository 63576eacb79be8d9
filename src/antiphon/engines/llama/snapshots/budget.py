"""How many bytes snapshots may take, and which of them go first."""

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

DEFAULT_BYTES: Final = 4 << 30
SHARE_OF_DISK: Final = 10
"""Snapshots take at most a tenth of what would be free without them."""
FRESH_S: Final = 60.0
"""Added to every idle time, so that what was used a moment ago differs by its cost and size."""


class Evictable(Protocol):
    """A snapshot, as far as its usefulness depends on it."""

    @property
    def size(self) -> int:
        """The bytes of the file."""
        ...

    @property
    def read_ms(self) -> float:
        """What reading the tokens again would take."""
        ...

    @property
    def used_at(self) -> float:
        """When it was saved or last used, in seconds."""
        ...

    @property
    def ends_at(self) -> float:
        """When its lifetime ends, in seconds."""
        ...


Kept = TypeVar("Kept", bound=Evictable)


def allowed_bytes(limit: int, free: int, used: int) -> int:
    """Return the bytes that snapshots may take: the limit, or their share of the disk."""
    return min(limit, (free + used) // SHARE_OF_DISK)


def usefulness(snapshot: Evictable, now: float) -> float:
    """Return the time that a snapshot saves, for each byte and each second without a use.

    One that has ended saves nothing.
    """
    if snapshot.ends_at <= now:
        return 0.0
    idle_s = max(0.0, now - snapshot.used_at)
    return snapshot.read_ms / max(1, snapshot.size) / (idle_s + FRESH_S)


def to_evict(snapshots: Iterable[Kept], need: int, count: int, now: float) -> list[Kept] | None:
    """Choose the least useful snapshots, until `need` bytes and `count` of them are freed.

    Returns `None` if all of them together are too few. Takes n log n comparisons.
    """
    chosen: list[Kept] = []
    for snapshot in sorted(snapshots, key=lambda one: usefulness(one, now)):
        if need <= 0 and len(chosen) >= count:
            break
        chosen.append(snapshot)
        need -= snapshot.size
    return chosen if need <= 0 and len(chosen) >= count else None
