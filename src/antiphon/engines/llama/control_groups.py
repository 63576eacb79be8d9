"""What Linux leaves to this process of the memory and the CPU: its control groups.

Groups are nested, and each bounds all that are inside of it. A container sees its own group as the
root of the files; a service with `MemoryMax=` or a job of a cluster is in a group below the root,
which `/proc/self/cgroup` names. Both versions of the files are read: a machine with the first one
has other names in other folders, and 9223372036854771712 in place of `max`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

OWN: Final = Path("/proc/self/cgroup")
ROOT: Final = Path("/sys/fs/cgroup")
_NONE: Final = 1 << 60
"""What is no limit, in bytes."""
_FILES: Final = ("active_file", "inactive_file")


class MemoryGroup(msgspec.Struct, frozen=True):
    """A group with a limit of memory: its bytes, those that are used, and those of files in them.

    The system gives files up for whoever needs memory.
    """

    limit: int
    used: int = 0
    files: int = 0


def memory_groups(own: Path = OWN, root: Path = ROOT) -> tuple[MemoryGroup, ...]:
    """Return the groups of this process that bound its memory; none where nothing does."""
    groups = [_second(folder) for folder in _folders(own, root, "")]
    groups += [_first(folder) for folder in _folders(own, root / "memory", "memory")]
    return tuple(group for group in groups if group is not None)


def cpu_shares(own: Path = OWN, root: Path = ROOT) -> tuple[float, ...]:
    """Return the cores' worth of time that each group of this process has; none without a bound."""
    shares = [_share(_words(folder / "cpu.max")) for folder in _folders(own, root, "")]
    for folder in _folders(own, root / "cpu", "cpu"):
        quota, period = (_words(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        shares.append(_share([*quota, *period]))
    return tuple(share for share in shares if share is not None)


def _folders(own: Path, base: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of the group of a process, and of each group around it, up to the root.

    The second version has one tree for all; its line in `own` names no controller.
    """
    with suppress(OSError, ValueError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controller in controllers.split(","):
                # A group outside of those that can be seen here begins with `/..`.
                parts = [part for part in PurePosixPath(name).parts if part not in {"/", ".."}]
                for count in range(len(parts), 0, -1):
                    yield base.joinpath(*parts[:count])
    yield base


def _second(folder: Path) -> MemoryGroup | None:
    # Above `high` a process is not ended, but it stands still most of the time.
    limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
    return _group(limits, folder, "memory.current", "")


def _first(folder: Path) -> MemoryGroup | None:
    limits = [_number(folder / "memory.limit_in_bytes")]
    return _group(limits, folder, "memory.usage_in_bytes", "total_")


def _group(
    limits: Sequence[int | None], folder: Path, used: str, prefix: str
) -> MemoryGroup | None:
    known = [limit for limit in limits if limit is not None and limit < _NONE]
    if not known:
        return None
    files = _files(folder / "memory.stat", prefix)
    return MemoryGroup(min(known), _number(folder / used) or 0, files)


def _files(statistics: Path, prefix: str) -> int:
    """Return the bytes of files that a group has in memory; 0 where that is not known."""
    names = {prefix + name for name in _FILES}
    try:
        lines = [line.split() for line in statistics.read_text(encoding="ascii").splitlines()]
        return sum(int(size) for name, size in lines if name in names)
    except (OSError, ValueError):
        return 0


def _share(words: Sequence[str]) -> float | None:
    """Return a quota of microseconds by its period; `None` for no quota."""
    try:
        quota, period = map(int, words)
    except ValueError:  # `max`, or nothing
        return None
    return quota / period if quota > 0 and period > 0 else None


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdecimal() else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
