"""The envelope of every error, on HTTP and as a stream event."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from antiphon.wire.base import AnswerStruct


class ErrorDetail(AnswerStruct, kw_only=True, frozen=True):
    """An error: a type for programs, a message for people."""

    type: str
    message: str
    details: dict[str, Any] | UnsetType | None = UNSET


class ErrorEnvelope(AnswerStruct, kw_only=True, frozen=True):
    """The body of an answer that is an error."""

    type: Literal["error"] = "error"
    error: ErrorDetail
    request_id: str | None


# The most characters of one text of a caller that an error or a log line repeats.
LONGEST_ECHO = 256


def shortened(text: str, most: int = LONGEST_ECHO) -> str:
    """Return a text of a caller as errors and logs repeat it: cut at `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
