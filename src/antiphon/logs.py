"""How the program logs: one event a line, with the names of its fields, on standard error.

Prompts, answers and secrets are never given to a logger, and a traceback is reduced to where it
happened: an exception's text may quote what a caller sent.
"""

import logging
import sys
import traceback
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MOST_FRAMES = 8


def set_up_logs(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Configure logging for the whole program; called once, by the command line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        frames_only,
        structlog.dev.ConsoleRenderer() if console else _as_json,
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log little, and what they log is worth a line as it is.
    logging.basicConfig(stream=sys.stderr, level=max(threshold, logging.WARNING), force=True)


def frames_only(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and the places it came through."""
    del logger, name
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
        event["exception"] = type(error).__name__
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _as_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    del logger, name
    return msgspec.json.encode(event, enc_hook=_spelled).decode()


def _spelled(value: Any) -> str:
    return str(value)
