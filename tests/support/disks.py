"""Disks of any size, for databases that look at theirs."""

from pathlib import Path


class SmallDisk:
    """A disk with nothing on it but the files of a database."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self.least_free = total

    def usage(self, folder: Path) -> "SmallDisk":
        self.free = self.total - sum(path.stat().st_size for path in folder.glob("antiphon.db*"))
        self.least_free = min(self.least_free, self.free)
        return self
