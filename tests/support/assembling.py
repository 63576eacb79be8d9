"""Checks that the events of an engine make a whole, legal message."""

from collections.abc import Sequence
from typing import Any

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.core.prompt import Started
from antiphon.engines.base import EngineEvent
from antiphon.wire.fold import fold
from antiphon.wire.messages import Message

STARTED = Started(input_tokens=7)


def begun(*stop_sequences: str, started: Started = STARTED, **spec: Any) -> Assembly:
    """Return an assembly whose engine has said the size of the prompt."""
    spec = {"message_id": "msg_01", "model": "m", "stop_sequences": stop_sequences, **spec}
    return Assembly(AnswerSpec(**spec), started)


def assembled(events: Sequence[EngineEvent]) -> Message:
    """Assemble and fold an answer, without its `Started`; raises for an illegal order."""
    assembly = begun()
    stream = [assembly.start(), *(said for event in events for said in assembly.feed(event))]
    assert assembly.ended
    return fold(stream)
