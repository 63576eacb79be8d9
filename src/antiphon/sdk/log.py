"""The log of the SDK: the logger `antiphon` of the standard library.

At `info` it has each attempt that failed, at `debug` each attempt and each stream that ended: what
was called, the status, the seconds, the id of the request and the headers of the answer. Bodies are
never logged, and of headers that hold secrets only the names. `ANTIPHON_SDK_LOG` (or
`ANTHROPIC_LOG`) = `info` or `debug` shows it on standard error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from antiphon.sdk.call import Answer, Call
from antiphon.sdk.exchange import ERRORS_FROM, Opened, Outcome
from antiphon.sdk.stream_end import StreamEnd
from antiphon.transport.base import Headers, TransportError

if TYPE_CHECKING:
    import logging

LOGGER = "antiphon"
LEVELS = {"info": 20, "debug": 10}
SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


class CallLog:
    """Logs calls. A program that does not import `logging` pays nothing for it."""

    def __init__(self) -> None:
        self._known: logging.Logger | None = None

    def before(self, _call: Call[Any], _attempt: int) -> float:
        return 0.0

    def after(self, call: Call[Any], attempt: int, outcome: Outcome) -> None:
        failed = isinstance(outcome, TransportError) or outcome.status >= ERRORS_FROM
        level = LEVELS["info" if failed else "debug"]
        logger = self._known or self._logger()
        if logger is None or not logger.isEnabledFor(level):
            return
        what = f"{call.method} {call.path}: {_told(outcome)} in {outcome.elapsed:.3f} s"
        if attempt:
            what += f", attempt {attempt + 1}"
        if not isinstance(outcome, TransportError) and logger.isEnabledFor(LEVELS["debug"]):
            what += f"; headers: {shown(outcome.headers)}"
        logger.log(level, "%s", _harmless(what))

    def ended(self, call: Call[Any], stream: StreamEnd) -> None:
        level = LEVELS["debug" if stream.error is None else "info"]
        logger = self._logger()
        if logger is None or not logger.isEnabledFor(level):
            return
        how = "ended" if stream.whole else "was left"
        if stream.error is not None:
            how = f"failed ({type(stream.error).__name__})"
        told = f"{call.method} {call.path}: the stream{_request(stream.headers)} {how}"
        logger.log(level, "%s after %.3f s", _harmless(told), stream.elapsed)

    def _logger(self) -> logging.Logger | None:
        if self._known is None and (module := sys.modules.get("logging")) is not None:
            self._known = module.getLogger(LOGGER)
        return self._known


def shown(headers: Headers) -> str:
    """Return headers as one text, without secrets."""
    return ", ".join(
        f"{name}: {'<redacted>' if name in SECRET else _harmless(value)}"
        for name, value in headers.items()
    )


def _harmless(text: str) -> str:
    """Return a text of a server without what controls a terminal, which shows the log."""
    return text if text.isprintable() else ascii(text)[1:-1]


def set_up(level: str | None) -> None:
    """Show the log on standard error, if a level of this SDK is named."""
    number = LEVELS.get((level or "").lower())
    if number is None:
        return
    import logging  # noqa: PLC0415 - 10 ms, and few programs ask for it

    logging.basicConfig(format="[%(asctime)s - %(name)s - %(levelname)s] %(message)s")
    logging.getLogger(LOGGER).setLevel(number)


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Answer | Opened):
        return f"{outcome.status}{_request(outcome.headers)}"
    return f"no answer ({type(outcome).__name__}: {outcome})"


def _request(headers: Headers) -> str:
    request_id = headers.get("request-id")
    return f" ({request_id})" if request_id else ""
