"""The rows of a map: what is asked for each of them, and what comes back. No input or output."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from antiphon.sdk.batches.types import (
    BatchResult,
    Canceled,
    Errored,
    Expired,
    Succeeded,
    row_of,
)
from antiphon.sdk.errors import AntiphonError
from antiphon.sdk.sent import sent_params
from antiphon.sdk.types.message import Message

Params: TypeAlias = Mapping[str, Any]
RowFunction: TypeAlias = Callable[[Any], "Params | tuple[str, Params]"]

MOST_REQUESTS = 100_000
MOST_BYTES = 256_000_000

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

MAY_PASS = frozenset({"api_error", "overloaded_error", "rate_limit_error", "timeout_error"})
"""Types of errors of a row that another try may not have."""


class RowError(AntiphonError):
    """A row has no message. `result` is what the batch says about it."""

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


class RowExpiredError(RowError):
    """The row was not answered within a day."""


class RowCanceledError(RowError):
    """The batch of the row was cancelled before the row was begun."""


class MapResult(msgspec.Struct, kw_only=True, frozen=True):
    """What a map has for one row: its message, or the error that it ended with.

    `row` is the number of the row, from 0. `tries` says how many batches it was in.
    """

    row: int
    custom_id: str
    result: BatchResult
    tries: int = 1

    @property
    def ok(self) -> bool:
        return isinstance(self.result, Succeeded)

    @property
    def message(self) -> Message:
        """The message. Raises `error` if there is none."""
        if isinstance(self.result, Succeeded):
            return self.result.message
        error = self.error
        raise RowError(self.custom_id, self.result) if error is None else error

    @property
    def error(self) -> AntiphonError | None:
        """What the row ended with: an `APIStatusError`, a `RowError`, or nothing."""
        match self.result:
            case Succeeded():
                return None
            case Errored():
                return self.result.exception()
            case Expired():
                return RowExpiredError(
                    f"{self.custom_id}: the row was not answered within a day", self.result
                )
            case Canceled():
                return RowCanceledError(
                    f"{self.custom_id}: the batch was cancelled before the row was begun",
                    self.result,
                )
        return RowError(f"{self.custom_id}: a result of an unknown type", self.result)


class MapProgress(msgspec.Struct, kw_only=True, frozen=True):
    """How far a map is. `rows` is how many were read so far, `sent` how many are in batches.

    The other numbers are rows that have ended; `batches` that are open have ids.
    """

    rows: int
    sent: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    batches: tuple[str, ...]

    @property
    def ended(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired


class _Id(msgspec.Struct):
    custom_id: str


class _Error(msgspec.Struct, frozen=True):
    type: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class _Errored(msgspec.Struct):
    error: _Envelope = _Envelope()


class Requests:
    """Makes the requests of a map's rows.

    A row without a `custom_id` of its own gets one from its number and the id of the map, so that
    a batch is known by its ids. Ids that the function gives are kept, to find one given twice.
    """

    def __init__(self, function: RowFunction, map_id: str) -> None:
        self._function, self._map_id = function, map_id
        self._given: set[str] = set()

    def encoded(self, row: Any, number: int) -> bytes:
        """Return the request of a row. Raises `TypeError` and `ValueError` for what is none."""
        made: Any = self._function(row)
        custom_id = f"{self._map_id}-{number}"
        if isinstance(made, tuple):
            if len(made) != 2 or not isinstance(made[0], str):  # noqa: PLR2004 - id and parameters
                raise TypeError(f"row {number}: the function returns parameters, or an id and them")
            custom_id, made = made
            self._check(custom_id, number)
        if not isinstance(made, Mapping | msgspec.Struct):
            raise TypeError(f"row {number}: {type(made).__name__} is no parameters of a message")
        return msgspec.json.encode({"custom_id": custom_id, "params": sent_params(made)})

    def _check(self, custom_id: str, number: int) -> None:
        if not CUSTOM_ID.fullmatch(custom_id):
            raise ValueError(
                f"row {number}: the custom_id {custom_id!r} is not 1 to 64 letters, digits, "
                "`_` and `-`"
            )
        if custom_id in self._given:
            raise ValueError(f"row {number}: another row has the custom_id {custom_id!r} as well")
        self._given.add(custom_id)


def custom_id_of(request: bytes) -> str:
    """Return the `custom_id` of an encoded request."""
    return msgspec.json.decode(request, type=_Id).custom_id


def may_pass(result: bytes) -> bool:
    """Whether an errored row may be answered in another batch."""
    try:
        return msgspec.json.decode(result, type=_Errored).error.error.type in MAY_PASS
    except msgspec.DecodeError:
        return False


def map_result(row: int, request: bytes, result: bytes, tries: int) -> MapResult:
    """Return what a map has for a row, of what its file keeps."""
    found = row_of(custom_id_of(request), result)
    return MapResult(row=row, custom_id=found.custom_id, result=found.result, tries=tries)
