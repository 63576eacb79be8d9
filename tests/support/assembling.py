"""Assembles engine events into a message, and fails if they are no legal answer."""

from collections.abc import Sequence
from typing import Any

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.core.prompt import Started
from antiphon.engines.base import EngineEvent
from antiphon.wire.fold import fold
from antiphon.wire.messages import Message

STARTED = Started(input_tokens=7)


def started_assembly(*stop_sequences: str, started: Started = STARTED, **spec: Any) -> Assembly:
    """Return an assembly that has received `Started`."""
    spec = {"message_id": "msg_01", "model": "m", "stop_sequences": stop_sequences, **spec}
    return Assembly(AnswerSpec(**spec), started)


def assembled(events: Sequence[EngineEvent]) -> Message:
    """Assemble and fold the events behind `Started`; raises for an illegal order."""
    assembly = started_assembly()
    stream = [assembly.start(), *(said for event in events for said in assembly.feed(event))]
    assert assembly.ended
    return fold(stream)
