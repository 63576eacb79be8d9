"""What observers are told when a stream has ended. No input or output."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from antiphon.sdk.call import Call
from antiphon.sdk.errors import APIError
from antiphon.sdk.exchange import Observer
from antiphon.sdk.types.base import Answered
from antiphon.transport.base import Headers


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream ended.

    `elapsed` are the seconds since it was asked for, `first` those until its first content.
    `start_event` and `end_event` are those with the message's facts and its usage, as far as they
    came. Without an `error` it came to its end, or the program left it (`whole` is false).
    """

    headers: Headers
    elapsed: float
    first: float | None
    whole: bool
    error: APIError | None
    start_event: Answered | None = None
    end_event: Answered | None = None

    @property
    def start(self) -> Mapping[str, Any]:
        """The JSON of `start_event`, made when it is asked for."""
        return {} if self.start_event is None else self.start_event.to_dict()

    @property
    def end(self) -> Mapping[str, Any]:
        """The JSON of `end_event`."""
        return {} if self.end_event is None else self.end_event.to_dict()


class StreamObserver(Observer, Protocol):
    """An observer that is told of the ends of streams as well."""

    def ended(self, call: Call[Any], stream: StreamEnd) -> None: ...
