"""Logging: one event a line, with the names of its fields, on standard error.

Prompts, answers and secrets are never passed to a logger, and a traceback is reduced to its frames:
an exception's text may quote the text of a caller.
"""

import asyncio
import atexit
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from antiphon.wire.errors import shortened

MOST_FRAMES = 8
MOST_LINES = 1000
# The most characters of a library's message.
LONGEST_MESSAGE = 1000
FLUSH_S = 0.1
# The event of the line that each request has.
REQUEST = "request"
# The columns of a terminal that cannot be asked for its size.
COLUMNS = 80
# A path, or a name of a model, is not shortened below this many characters.
SHORTEST = 12
_COLOURS = {2: "\x1b[32m", 4: "\x1b[33m", 5: "\x1b[31m"}
_PLAIN = "\x1b[0m"


def set_up_logs(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Configure logging for the whole program; called once, by the command line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [as_json_line]
    if console:
        processors = [
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            frames_only,
            printable,
            ConsoleLines(sys.stderr),
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
    logging.basicConfig(
        handlers=[LibraryLines()], level=max(threshold, logging.WARNING), force=True
    )


class LibraryLines(logging.Handler):
    """Writes what libraries log as events of this program, so that every line has one form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; of an exception, only the frames."""
        log = structlog.get_logger(record.name)
        error = record.exc_info[1] if record.exc_info else None
        severe = record.levelno >= logging.ERROR
        (log.error if severe else log.warning)(
            "library",
            logger=record.name,
            message=shortened(record.getMessage(), LONGEST_MESSAGE),
            **({"exc_info": error} if error else {}),
        )


class ConsoleLines:
    """Renders events for people: a request as one line, other events as structlog does.

    The line of a request is as long as the terminal is wide, if it can be: its path and its model
    are shortened, never the request id.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = stream.isatty()
        self._others = structlog.dev.ConsoleRenderer(colors=self._colours)

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        if event.get("event") == REQUEST:
            return request_line(event, self._columns(), colours=self._colours)
        return self._others(logger, name, event)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or COLUMNS
        except (OSError, ValueError):  # no terminal, or no file
            return COLUMNS


def request_line(event: EventDict, columns: int, *, colours: bool = False) -> str:
    """Return the line of a request: status, method, path, model, tokens, time, and its id.

    A line that is too long for the terminal loses the end of its path, then that of its model. One
    with room has the time of day (UTC) before the id. A hint stands on a line of its own.
    """
    status = str(event.get("status") or "---")
    path, model = visible(str(event["path"])), visible(str(event.get("model") or ""))
    rest = [*_facts(event), str(event["request_id"])]
    fixed = len(" ".join([status, str(event["method"]), *rest])) + 1
    room = columns - fixed - (len(model) + 1 if model else 0)
    path = shortened(path, max(room, SHORTEST))
    model = shortened(model, max(columns - fixed - len(path) - 1, SHORTEST))
    words = [str(event["method"]), path, *([model] if model else []), *rest]
    clock = f"{str(event.get('timestamp', ''))[11:19]}Z"
    if len(clock) > 1 and len(" ".join([*words, clock])) + len(status) + 1 <= columns:
        words.insert(-1, clock)
    if colours and status[0].isdigit():
        status = f"{_COLOURS.get(int(status[0]), '')}{status}{_PLAIN}"
    line = " ".join([status, *words])
    return f"{line}\n    hint: {visible(str(event['hint']))}" if event.get("hint") else line


def _facts(event: EventDict) -> list[str]:
    """Return what a request has of these: tokens, time, error, and whether its caller hung up."""
    facts = []
    if "input_tokens" in event:
        read = event.get("cache_read_input_tokens")
        cached = f"({read} cached)" if read else ""
        facts.append(f"{event['input_tokens']}{cached}+{event.get('output_tokens', 0)}tok")
    facts.append(_time(event["duration_ms"]))
    if "error_type" in event:
        facts.append(str(event["error_type"]))
    if event.get("hung_up"):
        facts.append("hung up")
    return facts


def _time(duration_ms: Any) -> str:
    ms = float(duration_ms)
    return f"{ms:.0f}ms" if ms < 1000 else f"{ms / 1000:.1f}s"  # noqa: PLR2004 - a second


def visible(text: str) -> str:
    """Return a text of a caller without characters that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


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


def printable(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey or hide: control characters, and changes of direction.

    Callers choose paths and the names of models. Line breaks are escaped by the renderer too, but
    not, for example, the one-character form of an escape sequence (U+009B).
    """
    del logger, name
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = visible(value)
    return event


def as_json_line(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
    """Return an event as a line of JSON, in one step: every request has a line."""
    if "exc_info" in event:
        event = frames_only(logger, name, event)
    line = {"timestamp": datetime.now(UTC), "level": name, **event}
    return msgspec.json.encode(line, enc_hook=str)
