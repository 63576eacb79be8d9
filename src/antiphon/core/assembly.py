"""Engine events in, stream events out: the one place that knows the order of a stream.

    start ──► (text opens a block) ──► text … ──► Finished or a stop sequence ──► ended

The machine owns block indices and the usage. It cannot emit an illegal sequence: a block is
opened by the first text that can be sent, closed before the message ends, and nothing leaves
after the end. Stop sequences are found here, so that they work alike on every engine.
"""

from antiphon.core.generation import EngineEvent, Finished
from antiphon.core.stop_sequences import StopScanner
from antiphon.wire.events import (
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    DeltaUsage,
    Ending,
    MessageDelta,
    MessageStart,
    MessageStop,
    StartedText,
    StreamEvent,
    TextDelta,
)
from antiphon.wire.messages import Message, StopReason, Usage


class Assembly:
    """One answer in the making.

    `start` first, then `feed` for each engine event until `ended`. `output_tokens` is what the
    events fed so far have cost, at any moment. An answer that is not `watched`, because only its
    fold will be seen, comes in one piece: a delta for each token would be made for nobody.
    """

    __slots__ = ("_gathered", "_index", "_message", "_open", "_scanner", "ended", "output_tokens")

    def __init__(
        self,
        message_id: str,
        model: str,
        input_tokens: int,
        stop_sequences: tuple[str, ...] = (),
        *,
        watched: bool = True,
    ) -> None:
        self._message = Message(
            model=model,
            id=message_id,
            content=(),
            stop_reason=None,
            stop_sequence=None,
            usage=Usage(input_tokens=input_tokens, output_tokens=0),
        )
        self._scanner = StopScanner(stop_sequences)
        # A stop sequence has to be noticed when it comes, so with one there is no gathering.
        self._gathered: list[str] | None = None if watched or stop_sequences else []
        self._index = 0
        self._open = False
        self.ended = False
        self.output_tokens = 0

    def start(self) -> MessageStart:
        return MessageStart(message=self._message)

    def feed(self, event: EngineEvent) -> list[StreamEvent]:
        """Say what the caller sees of this event; often nothing, at the end several events."""
        if self.ended:
            raise RuntimeError("the message has ended")
        self.output_tokens += event.tokens
        gathered = self._gathered
        if isinstance(event, Finished):
            rest = self._scanner.flush() if gathered is None else "".join(gathered)
            return self._text(rest) + self._end(event.reason.value, None)
        if gathered is not None:
            gathered.append(event.text)
            return []
        scan = self._scanner.feed(event.text)
        events = self._text(scan.text)
        if scan.match is not None:
            events += self._end("stop_sequence", scan.match)
        return events

    def _text(self, text: str) -> list[StreamEvent]:
        if not text:
            return []
        delta = ContentBlockDelta(index=self._index, delta=TextDelta(text=text))
        if self._open:
            return [delta]
        self._open = True
        return [ContentBlockStart(index=self._index, content_block=StartedText()), delta]

    def _end(self, reason: StopReason, sequence: str | None) -> list[StreamEvent]:
        self.ended = True
        closing = [ContentBlockStop(index=self._index)] if self._open else []
        self._open = False
        usage = self._message.usage
        return [
            *closing,
            MessageDelta(
                delta=Ending(stop_reason=reason, stop_sequence=sequence),
                usage=DeltaUsage(
                    input_tokens=usage.input_tokens,
                    cache_creation_input_tokens=usage.cache_creation_input_tokens,
                    cache_read_input_tokens=usage.cache_read_input_tokens,
                    output_tokens=self.output_tokens,
                ),
            ),
            MessageStop(),
        ]
