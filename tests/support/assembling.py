"""Checks that the events of an engine make a whole, legal message."""

from collections.abc import Sequence

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.engines.base import EngineEvent
from antiphon.wire.fold import fold
from antiphon.wire.messages import Message


def assembled(events: Sequence[EngineEvent]) -> Message:
    """Assemble and fold; raises where the events are not in an order that is allowed."""
    assembly = Assembly(AnswerSpec("msg_1", "model", 1))
    stream = [assembly.start(), *(said for event in events for said in assembly.feed(event))]
    assert assembly.ended
    return fold(stream)
