"""Logging: one event a line, with the names of its fields, on standard error.

Prompts, answers and secrets are never passed to a logger, and a traceback is reduced to its frames:
an exception's text may quote the text of a caller.
A log that cannot be written fails nobody.
"""

import atexit
import logging
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from antiphon.log_lines import EventFields, LineWriter, unbuffered
from antiphon.wire.errors import shortened

# The logger of the standard library above those of this program, which are named by their modules.
PROGRAM = "antiphon"
MOST_FRAMES = 8
# The exceptions of a group that are told.
MOST_CAUSES = 4
# The most characters of a library's message.
LONGEST_MESSAGE = 1000
# The largest integer that JSON lines may have.
LARGEST = 2**63 - 1
# The event of the line that each request has.
REQUEST = "request"
# The columns of a terminal that cannot be asked for its size.
COLUMNS = 80
# A path, or a name of a model, is not shortened below this many characters.
SHORTEST = 12
# The columns of an event before its fields.
EVENT_WIDTH = 30
_COLOURS = {2: "\x1b[32m", 4: "\x1b[33m", 5: "\x1b[31m"}
_LEVEL_COLOURS = {"debug": "", "info": _COLOURS[2], "warning": _COLOURS[4]}
_PLAIN = "\x1b[0m"


_LEVELS = {
    level: logging.getLevelName(level)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
}
# The attributes of a record that an event has no value for.
_NOWHERE: EventFields = {
    **dict.fromkeys(("filename", "funcName", "module", "pathname"), ""),
    **dict.fromkeys(("process", "processName", "taskName", "thread", "threadName")),
    **dict.fromkeys(("exc_info", "exc_text", "stack_info")),
    "args": (),
    "lineno": 0,
    "msecs": 0.0,
    "relativeCreated": 0.0,
}


class EventRecord(logging.LogRecord):
    """An event of this program, as handlers get it; its message is the name of the event.

    It has no thread, no process and no place in the source. Nothing prints them, and to look them
    up takes a third of the time of a request's line, so the constructor of records is not called.
    """

    fields: EventFields

    def __init__(self, name: str, level: int, event: str, fields: EventFields) -> None:
        # Formatters read `__dict__`.
        self.__dict__ |= _NOWHERE
        self.name = name
        self.levelno = level
        self.levelname = _LEVELS[level]
        self.msg = event
        self.created = time.time()
        self.fields = fields


class EventLog:
    """Logs events, each with fields of its own, to the standard library's logger of a name.

    Its handlers get an `EventRecord`: in a server that of `set_up_logs`, in tests one that keeps
    events.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log(logging.ERROR, event, fields)

    def critical(self, event: str, **fields: Any) -> None:
        self._log(logging.CRITICAL, event, fields)

    def _log(self, level: int, event: str, fields: EventFields) -> None:
        logger = self._logger
        if logger.isEnabledFor(level):
            # Not `handle`, which would ask filters that loggers of this program do not have.
            logger.callHandlers(EventRecord(logger.name, level, event, fields))


def set_up_logs(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Configure logging for the whole program; called once, by the command line."""
    write: Callable[[EventFields], None]
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        write = ConsoleLines(sys.stderr).write
    else:
        lines = LineWriter(unbuffered(sys.stderr), json_line)
        atexit.register(lines.flush)
        write = JsonLines(lines).write
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(PROGRAM).setLevel(threshold)
    logging.basicConfig(
        handlers=[EventHandler(write)], level=max(threshold, logging.WARNING), force=True
    )


class EventHandler(logging.Handler):
    """Passes events on, and what libraries log as events, so that every line has one form."""

    def __init__(self, write: Callable[[EventFields], None]) -> None:
        super().__init__()
        self._write = write

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record; of one that cannot be told, what can be. It has no filters."""
        # The lock of the library, which it makes anew in a forked process.
        with self.lock:  # type: ignore[union-attr]  # every handler has one
            try:
                self._write(event_of(record))
            except Exception as error:  # noqa: BLE001 - a log line fails nobody
                self._write(_plain_event(record, error))
        return True


def event_of(record: logging.LogRecord) -> EventFields:
    """Return the event of a record; of an exception, only its type and its frames."""
    moment = datetime.fromtimestamp(record.created, UTC)
    line: EventFields = {"timestamp": moment, "level": record.levelname.lower()}
    if isinstance(record, EventRecord):
        line |= record.fields
        line["event"] = record.msg
    else:
        line["logger"] = record.name
        line["message"] = shortened(record.getMessage(), LONGEST_MESSAGE)
        line["exc_info"] = record.exc_info[1] if record.exc_info else None
        line["event"] = "library"
    return frames_only(line) if "exc_info" in line else line


def _plain_event(record: logging.LogRecord, error: Exception) -> EventFields:
    """Return what can be told of a record that has raised an error: it formats no value."""
    line: EventFields = {
        "timestamp": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname.lower(),
        "fault": type(error).__name__,
    }
    if isinstance(record, EventRecord):
        fields, event = {**record.fields}, record.msg
    else:
        message: object = record.msg
        with suppress(Exception):
            message = record.getMessage()
        message = shortened(message, LONGEST_MESSAGE) if isinstance(message, str) else message
        fields, event = {"logger": record.name, "message": message}, "library"
        fields["exc_info"] = record.exc_info[1] if record.exc_info else None
    told = frames_only(fields)
    return {**{name: _plain(told[name]) for name in told}, **line, "event": event}


def _plain(value: object) -> object:
    """Return a value that surely can be written: one of another type is told by its type."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {str(_plain(name)): _plain(one) for name, one in value.items()}
        case int() if abs(value) > LARGEST:
            return "<int>"
        case int() | float() | None | datetime():
            return value
    return f"<{type(value).__name__}>"


class ConsoleLines:
    """Writes events for people: a request as one line, of others all fields with their names.

    The line of a request is as long as the terminal is wide, if it can be: its path and its model
    are shortened, never the request id. What a terminal would obey or hide is escaped: callers
    choose paths and the names of models.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = stream.isatty()
        self._encoding = stream.encoding
        self._lines = LineWriter(unbuffered(stream), self._encoded)

    def write(self, event: EventFields) -> None:
        self._lines.error(self._encoded(event))

    def _encoded(self, event: EventFields) -> bytes:
        return self.line(event).encode(self._encoding, "backslashreplace")

    def line(self, event: EventFields) -> str:
        """Return the lines of an event, without the last line break."""
        if event["event"] == REQUEST:
            return request_line(event, self._columns(), colours=self._colours)
        return event_line(event, colours=self._colours)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or COLUMNS
        except (OSError, ValueError):  # no terminal, or no file
            return COLUMNS


def request_line(event: EventFields, columns: int, *, colours: bool = False) -> str:
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
    clock = f"{event['timestamp']:%H:%M:%S}Z"
    if len(" ".join([*words, clock])) + len(status) + 1 <= columns:
        words.insert(-1, clock)
    if colours and status[0].isdigit():
        status = f"{_COLOURS.get(int(status[0]), '')}{status}{_PLAIN}"
    line = " ".join([status, *words])
    return f"{line}\n    hint: {visible(str(event['hint']))}" if event.get("hint") else line


def event_line(event: EventFields, *, colours: bool = False) -> str:
    """Return the line of another event: its time (UTC), level and name, then its fields."""
    level = event["level"]
    head = f"{event['timestamp']:%Y-%m-%dT%H:%M:%S}Z [{level:<8}] "
    if colours:
        head = f"{_LEVEL_COLOURS.get(level, _COLOURS[5])}{head}{_PLAIN}"
    kept = event.keys() - {"timestamp", "level", "event"}
    fields = " ".join(f"{name}={visible(str(event[name]))}" for name in sorted(kept))
    return f"{head}{visible(event['event']):<{EVENT_WIDTH}} {fields}".rstrip()


def _facts(event: EventFields) -> list[str]:
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


def json_line(event: EventFields) -> bytes:
    """Return the line of an event in JSON, without its line break."""
    return msgspec.json.encode(event, enc_hook=str)


class JsonLines:
    """Writes each event as a line of JSON; warnings and errors at once."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines

    def write(self, event: EventFields) -> None:
        line = msgspec.json.encode(event, enc_hook=str)  # not `json_line`: one call less
        at_once = event["level"] not in {"debug", "info"}
        (self._lines.error if at_once else self._lines.info)(line)


def frames_only(event: EventFields) -> EventFields:
    """Replace an exception by its type and its stack frames; of a group, by those of its causes."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event |= _frames(error)
        if isinstance(error, BaseExceptionGroup):
            event["causes"] = [_frames(cause) for cause in _causes(error)]
    return event


def _frames(error: BaseException) -> EventFields:
    frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    told = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"exception": type(error).__name__, "frames": told}


def _causes(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the first exceptions of a group that are no groups themselves."""
    left, found = deque[BaseException](group.exceptions), list[BaseException]()
    while left and len(found) < MOST_CAUSES:
        error = left.popleft()
        if isinstance(error, BaseExceptionGroup):
            left.extendleft(reversed(error.exceptions))
        else:
            found.append(error)
    return found
