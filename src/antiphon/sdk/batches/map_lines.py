"""The lines of the file of a map, and what can be wrong with it. No input or output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from antiphon.sdk.errors import AntiphonError

VERSION: Final = 1

NO_KIND, SUCCEEDED, ERRORED, CANCELED, EXPIRED, OTHER = range(6)
KINDS: Final = {
    "succeeded": SUCCEEDED,
    "errored": ERRORED,
    "canceled": CANCELED,
    "expired": EXPIRED,
}


class MapFileError(AntiphonError):
    """The file of a map cannot be used; the text says why."""


class MapFileInUseError(MapFileError):
    """Another program, or another map of this one, works with the file."""


class RowChangedError(MapFileError):
    """The rows of a map are not those that its file was begun with. `row` is the first such one."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


class Header(msgspec.Struct, tag="map"):
    version: int
    id: str
    server: str


class RequestLine(msgspec.Struct, tag="request"):
    row: int
    request: msgspec.Raw


class PartLine(msgspec.Struct, tag="part"):
    part: int
    rows: list[tuple[int, int]]
    at: float


class BatchLine(msgspec.Struct, tag="batch"):
    part: int
    batch: str


class ResultLine(msgspec.Struct, tag="result"):
    row: int
    part: int
    result: msgspec.Raw


class Collected(msgspec.Struct, tag="collected"):
    """All results of a part are here."""

    part: int


class Interrupted(msgspec.Struct, tag="interrupted"):
    """The batch of a part was cancelled, as its program was interrupted."""

    part: int


Line = Header | RequestLine | PartLine | BatchLine | ResultLine | Collected | Interrupted


class Part(msgspec.Struct, kw_only=True):
    """Rows that go into one batch: ranges with both ends, and when they were first sent.

    `tried` says whether a create may have reached the server without its answer reaching us.
    """

    number: int
    ranges: list[tuple[int, int]]
    at: float
    batch: str | None = None
    collected: bool = False
    interrupted: bool = False
    tried: bool = False

    def rows(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)


def ranges_of(rows: list[int]) -> list[tuple[int, int]]:
    """Return rows, which ascend, as ranges with both ends."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and found[-1][1] == row - 1:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return found
