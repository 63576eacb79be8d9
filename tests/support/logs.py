"""What the program logs, kept for a test."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from antiphon.logs import PROGRAM, EventRecord


class _Kept(logging.Handler):
    def __init__(self, events: list[dict[str, Any]]) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record, EventRecord):
            level = record.levelname.lower()
            self._events.append({**record.fields, "event": record.msg, "log_level": level})


@contextmanager
def capture_logs() -> Generator[list[dict[str, Any]]]:
    """Keep the events that the program logs in the block, of every level; write none of them."""
    events: list[dict[str, Any]] = []
    program = logging.getLogger(PROGRAM)
    before = program.level, program.propagate
    handler = _Kept(events)
    program.addHandler(handler)
    program.setLevel(logging.DEBUG)
    program.propagate = False
    try:
        yield events
    finally:
        program.removeHandler(handler)
        program.setLevel(before[0])
        program.propagate = before[1]


def reset_logs() -> None:
    """Take back what `set_up_logs` has set."""
    logging.basicConfig(handlers=[], level=logging.WARNING, force=True)
    logging.getLogger(PROGRAM).setLevel(logging.NOTSET)
