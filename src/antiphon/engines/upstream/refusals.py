"""What an answer of an upstream says that is an error."""

from typing import Any, Final

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.upstream.too_long import too_long

LONGEST_WAIT_S: Final = 3600.0
LONGEST_SENTENCE: Final = 500
_TIMEOUTS: Final = frozenset({408, 504})
_OVERLOADS: Final = frozenset({425, 429, 503, 529})
_REFUSALS: Final = frozenset({400, 413, 422})
_TOO_LONG: Final = _REFUSALS | {500}
"""Some servers call a prompt that is too long a failure of theirs."""
_KEY_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404


class RefusedError(EngineError):
    """The upstream answered with a status that is an error."""

    def __init__(
        self,
        kind: EngineErrorKind,
        message: str,
        status: int,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(kind, message, retry_after_s=retry_after_s)
        self.status = status


def seconds(header: str | None) -> float | None:
    """Read a `retry-after` in seconds; `None` for dates and any other text."""
    if header is None or not header.isascii() or not header.replace(".", "", 1).isdigit():
        return None
    return min(float(header), LONGEST_WAIT_S)


def refused(status: int, body: bytes, retry_after_s: float | None = None) -> EngineError:
    """Return the error of an error answer. Only faults of the request are shown to the caller."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return refusal(status, None, retry_after_s, body.decode(errors="replace"))
    return refusal(status, sentence(value), retry_after_s, value)


def refusal(
    status: int, message: str | None, retry_after_s: float | None = None, body: Any = None
) -> RefusedError:
    """Return the error of a status; `body` is all that the upstream said."""
    reason = f": {message}" if message else ""
    if status in _TOO_LONG and (long := too_long(message or sentence(body), body)):
        return RefusedError(EngineErrorKind.UNSUPPORTED, long, status)
    if status in _REFUSALS:
        message = f"The model's server refused this request{reason or '.'}"
        return RefusedError(EngineErrorKind.UNSUPPORTED, message, status)
    kind, what = EngineErrorKind.FAILED, f"upstream answered with status {status}"
    if status in _OVERLOADS:
        kind = EngineErrorKind.OVERLOADED
    elif status in _TIMEOUTS:
        kind = EngineErrorKind.TIMEOUT
    elif status in _KEY_REFUSED:
        what = f"upstream refused `api_key` with status {status}"
    elif status == _NOT_FOUND:
        what = "upstream does not know the path or the `model` (status 404)"
    # A message of an upstream may quote a prompt, and this error goes to the log.
    return RefusedError(kind, what, status, retry_after_s)


def sentence(body: Any) -> str | None:
    """Return the sentence of an error for people, wherever servers put it."""
    found = body
    for key in ("error", "message", "detail", "msg"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and key in found:
            found = found[key]
    if not isinstance(found, str):
        return None
    return "".join(sign for sign in found if sign.isprintable())[:LONGEST_SENTENCE].strip() or None
