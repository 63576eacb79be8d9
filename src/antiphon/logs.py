"""Logging: one event a line, with the names of its fields, on standard error.

Prompts, answers and secrets are never passed to a logger, and a traceback is reduced to its frames:
an exception's text may quote the text of a caller.
"""

import asyncio
import atexit
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MOST_FRAMES = 8
MOST_LINES = 1000
FLUSH_S = 0.1


def set_up_logs(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Configure logging for the whole program; called once, by the command line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [as_json_line]
    if console:
        processors = [
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            frames_only,
            structlog.dev.ConsoleRenderer(),
        ]
    lines = LineWriter(sys.stderr.buffer)
    atexit.register(lines.flush)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=(structlog.WriteLoggerFactory(sys.stderr) if console else lambda *_: lines),
        cache_logger_on_first_use=True,
    )
    # Libraries log little, so their lines are shown unchanged.
    logging.basicConfig(stream=sys.stderr, level=max(threshold, logging.WARNING), force=True)


class LineWriter:
    """Writes lines; in a running event loop, all lines of `FLUSH_S` with one call.

    A system call for each request would cost a tenth of its time. Warnings and errors are written
    at once, with all lines before them; a process that is killed loses `FLUSH_S` of other lines.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []

    def info(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            self._flush_soon()
        elif len(self._lines) >= MOST_LINES:
            self.flush()

    def error(self, line: bytes) -> None:
        self._lines.append(line)
        self.flush()

    debug = info
    warning = critical = exception = error

    def flush(self) -> None:
        if self._lines:
            whole = b"\n".join(self._lines) + b"\n"
            self._lines.clear()
            self._stream.write(whole)
            self._stream.flush()

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        except RuntimeError:  # no event loop runs that could flush later
            self.flush()


def frames_only(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and its stack frames."""
    del logger, name
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
        event["exception"] = type(error).__name__
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def as_json_line(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
    """Return an event as a line of JSON, in one step: every request has a line."""
    if "exc_info" in event:
        event = frames_only(logger, name, event)
    line = {"timestamp": datetime.now(UTC), "level": name, **event}
    return msgspec.json.encode(line, enc_hook=str)
