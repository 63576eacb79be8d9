"""The state machine that turns engine events into stream events, in the order of the wire.

    start ──► (an event of another kind closes the block and opens the next) … ──► ended

The machine owns block indices and the usage. It cannot emit an illegal sequence: a block is
opened by the first piece that can be sent, closed before the next one and before the message
ends, and nothing leaves after the end. Stop sequences are found here, so that they work alike on
every engine; they are looked for in text, not in thinking and not in the input of calls.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from antiphon.core.citations.claims import ClaimScanner, Passage, Passages
from antiphon.core.citations.sources import Sources
from antiphon.core.ids import with_identifier
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    NextRound,
    RedactedThought,
    Refusal,
    ServerCallStart,
    ServerResult,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.core.server_tools.unanswered import no_result
from antiphon.core.stop_sequences import Scan, StopScanner
from antiphon.wire.events import (
    CitationsDelta,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Delta,
    DeltaUsage,
    Ending,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    StartedBlock,
    StartedRedactedThinking,
    StartedServerToolUse,
    StartedText,
    StartedThinking,
    StartedToolUse,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from antiphon.wire.messages import (
    CacheCreation,
    Diagnostics,
    Message,
    OutputTokensDetails,
    RefusalDetails,
    ServerToolUsage,
    ServiceTier,
    StopReason,
    Usage,
)


def unsigned(thinking: str, proof: str) -> str:
    """Return an empty signature: for models that do not think."""
    del thinking, proof
    return ""


class AnswerSpec(msgspec.Struct, frozen=True):
    """The parameters of one answer.

    An answer that is not `streamed`, because the caller gets only its fold, has one delta for each
    text block: a delta for each token would cost time and change nothing. `tool_use_id` makes the
    id of a call, `sign` the signature of thinking around the engine's proof (empty without one).
    `shows_thinking` is false for a caller that wants only the signature. With `thinking` enabled an
    answer begins with a thinking block, even an empty one, so that it may be sent back; with
    `thinking` disabled, thinking is counted and not sent. `sources` holds what the answer may cite,
    `diagnostics` what the message says of the prompt cache, `service_tier` what its usage says.
    """

    message_id: str
    model: str
    stop_sequences: tuple[str, ...] = ()
    streamed: bool = True
    shows_thinking: bool = True
    thinking: Literal["disabled", "enabled", "adaptive"] = "adaptive"
    tool_use_id: Callable[[], str] = lambda: "toolu_"
    sign: Callable[[str, str], str] = unsigned
    sources: Sources | None = None
    diagnostics: Diagnostics | None = None
    service_tier: ServiceTier = "standard"


class Assembly:
    """One answer in the making, from the engine's `Started` on.

    Call `start` first, then `feed` for each engine event until `ended`. `usage` has the tokens of
    the prompt: as `message_start` reports them, and as the engine corrects them at the end. Of an
    answer in rounds it is the sum of the prompts that were read. `output_tokens` counts the tokens
    of the events fed so far; `stop_reason` is set at the end.
    """

    ended = False
    stop_reason: StopReason | None = None
    output_tokens = 0
    thinking_tokens = 0
    _before: Started | None = None
    _server_tools: ServerToolUsage | None = None
    _scanner: StopScanner | None = None
    _claims: ClaimScanner | None = None
    _index = 0
    _open: type[StartedBlock] | None = None
    _called = False

    def __init__(self, spec: AnswerSpec, started: Started) -> None:
        self._spec = spec
        self._round = started
        # The calls of tools of the server without a result, by their ids: their names.
        self._unanswered: dict[str, str] = {}
        self._thought: list[str] = []
        self.usage = _usage(started, spec.service_tier)
        # Most requests have no stop sequence.
        sequences = spec.stop_sequences
        if sequences:
            self._scanner = StopScanner(sequences)
        if spec.sources is not None:
            self._claims = ClaimScanner(spec.sources, sequences)
        # A stop sequence must end the answer at once, so text is not gathered while one may come.
        gathers = not spec.streamed and not sequences
        self._gathered: list[str] | None = [] if gathers else None
        # Whether each piece of text is sent as it comes.
        self._plain = not gathers and not sequences and self._claims is None

    def start(self) -> MessageStart:
        """Return the event that begins the message."""
        message = Message(
            model=self._spec.model,
            id=self._spec.message_id,
            content=(),
            stop_reason=None,
            stop_sequence=None,
            usage=self.usage,
            diagnostics=self._spec.diagnostics,
        )
        return MessageStart(message=message)

    def feed(self, event: EngineEvent) -> list[StreamEvent]:
        """Return the stream events for one engine event: often none, several at the end."""
        if self.ended:
            raise RuntimeError("the message has ended")
        self.output_tokens += event.tokens
        if isinstance(event, TextChunk):
            text = event.text
            if self._plain and text and self._open is StartedText:
                # Nearly every event of a stream is one of these, so no function is called for it.
                return [ContentBlockDelta(index=self._index, delta=TextDelta(text=text))]
            if (gathered := self._gathered) is not None:
                gathered.append(text)
                return []
            return self._text(text) if self._plain else self._searched(text)
        if isinstance(event, ToolCallJson):
            return self._feed_input(event)
        if isinstance(event, Finished):
            # First of all: the rest may contain a stop sequence, which ends the message too.
            self._correct(event.prompt)
        rest = self._rest()
        if self.ended:
            return rest
        return rest + self._feed_other(event)

    def gather(self, event: EngineEvent) -> list[StreamEvent]:
        """Do as `feed` does, for an answer that is not `streamed`: quicker for most events."""
        if self._gathered is None or not isinstance(event, TextChunk):
            return self.feed(event)
        self.output_tokens += event.tokens
        self._gathered.append(event.text)
        return []

    def _feed_other(  # noqa: PLR0911 - a way for each kind
        self, event: EngineEvent
    ) -> list[StreamEvent]:
        match event:
            case Finished(reason=reason, refusal=refusal):
                return self._end(self._reason(reason), None, refusal)
            case ThinkingChunk():
                return self._feed_thinking(event)
            case ThinkingSignature(proof=proof):
                return self._end_thought(proof)
            case RedactedThought(proof=proof):
                return self._redacted(proof)
            case ToolCallStart(name=name, identifier=identifier):
                return self._start_call(name, identifier)
            case ServerCallStart(id=call, name=name):
                self._unanswered[call] = name
                return self._begin(StartedServerToolUse(id=call, name=name))
            case ServerResult():
                return self._add_result(event)
            case NextRound():
                return self._begin_round(event)
        raise RuntimeError("the message has started")

    def _searched(self, text: str) -> list[StreamEvent]:
        """Send of a text what is no beginning of a citation or of a stop sequence."""
        if self._claims is not None:
            return self._cited(self._claims.feed(text))
        assert self._scanner is not None  # noqa: S101 - for the type checker
        return self._scanned(self._scanner.feed(text))

    def _scanned(self, scan: Scan) -> list[StreamEvent]:
        events = self._text(scan.text)
        if scan.match is not None:
            events += self._end("stop_sequence", scan.match)
        return events

    def _rest(self) -> list[StreamEvent]:
        """Return the events of the text that was gathered or held back; this block gets no more.

        The text held back for citations may contain a stop sequence, which then ends the message.
        """
        gathered = ""
        if self._gathered:
            gathered = "".join(self._gathered)
            self._gathered.clear()
        if self._claims is not None:
            return self._cited(self._claims.feed(gathered)) + self._cited(self._claims.flush())
        if self._scanner is not None:
            gathered += self._scanner.flush()
        return self._text(gathered)

    def _cited(self, scanned: Passages) -> list[StreamEvent]:
        events = [event for passage in scanned.passages for event in self._passage(passage)]
        if scanned.match is not None:
            events += self._end("stop_sequence", scanned.match)
        return events

    def _passage(self, passage: Passage) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if passage.opens or self._open is not StartedText:
            events = self._begin(StartedText())
        if passage.text:
            events.append(self._delta(TextDelta(text=passage.text)))
        cited = (CitationsDelta(citation=citation) for citation in passage.citations)
        return [*events, *map(self._delta, cited)]

    def _text(self, text: str) -> list[StreamEvent]:
        if not text:
            return []
        delta = TextDelta(text=text)
        if self._open is StartedText:
            return [self._delta(delta)]
        return [*self._begin(StartedText()), self._delta(delta)]

    def _feed_thinking(self, event: ThinkingChunk) -> list[StreamEvent]:
        self.thinking_tokens += event.tokens
        if not event.text or self._spec.thinking == "disabled":
            return []
        opening = [] if self._open is StartedThinking else self._begin(StartedThinking())
        self._thought.append(event.text)
        if not self._spec.shows_thinking:
            return opening
        return [*opening, self._delta(ThinkingDelta(thinking=event.text))]

    def _end_thought(self, proof: str) -> list[StreamEvent]:
        if self._spec.thinking == "disabled":
            return []
        opening = [] if self._open is StartedThinking else self._begin(StartedThinking())
        return opening + self._close(proof)

    def _redacted(self, proof: str) -> list[StreamEvent]:
        if self._spec.thinking == "disabled":
            return []
        hidden = StartedRedactedThinking(data=self._spec.sign("", proof))
        return [*self._begin(hidden), *self._close()]

    def _start_call(self, name: str, identifier: str) -> list[StreamEvent]:
        self._called = True
        call = with_identifier(self._spec.tool_use_id(), identifier)
        return self._begin(StartedToolUse(id=call, name=name))

    def _feed_input(self, event: ToolCallJson) -> list[StreamEvent]:
        if self._open is not StartedToolUse and self._open is not StartedServerToolUse:
            raise RuntimeError("the input of a call that was not started")
        return [self._delta(InputJsonDelta(partial_json=event.text))] if event.text else []

    def _add_result(self, result: ServerResult) -> list[StreamEvent]:
        """Send the result of a tool of the server, which is complete as it starts."""
        before = self._server_tools or ServerToolUsage()
        self._server_tools = ServerToolUsage(
            web_search_requests=before.web_search_requests + result.searches,
            web_fetch_requests=before.web_fetch_requests + result.fetches,
        )
        self._unanswered.pop(result.block.tool_use_id, None)
        return [*self._begin(result.block), *self._close()]

    def _begin_round(self, event: NextRound) -> list[StreamEvent]:
        """Add the prompt that was read again; the open block ends, as another answer begins."""
        self._before = _sum(self._before, event.before or self._round)
        self._round = event.started
        self._add_up()
        return self._close()

    def _add_up(self) -> None:
        """Make the usage of all rounds so far; `server_tool_use` is told at the end."""
        self.usage = _usage(_sum(self._before, self._round), self._spec.service_tier)

    def _begin(self, block: StartedBlock) -> list[StreamEvent]:
        closing = self._close()
        if not self._index and self._spec.thinking == "enabled":
            closing = self._think_nothing(block)
        self._open = type(block)
        return [*closing, ContentBlockStart(index=self._index, content_block=block)]

    def _think_nothing(self, block: StartedBlock) -> list[StreamEvent]:
        if isinstance(block, StartedThinking | StartedRedactedThinking):
            return []
        self._open = StartedThinking
        return [ContentBlockStart(index=0, content_block=StartedThinking()), *self._close()]

    def _delta(self, delta: Delta) -> ContentBlockDelta:
        return ContentBlockDelta(index=self._index, delta=delta)

    def _close(self, proof: str = "") -> list[StreamEvent]:
        if self._open is None:
            return []
        events: list[StreamEvent] = []
        if self._open is StartedThinking:
            signature = self._spec.sign("".join(self._thought), proof)
            events.append(self._delta(SignatureDelta(signature=signature)))
            self._thought.clear()
        events.append(ContentBlockStop(index=self._index))
        self._open = None
        self._index += 1
        return events

    def _correct(self, prompt: Started | None) -> None:
        """Take over the counts of an engine that knows them only at the end."""
        if prompt is not None:
            self._round = prompt
            self._add_up()
        # The last event may take tokens back, and thinking is a part of the output.
        self.output_tokens = max(0, self.output_tokens)
        self.thinking_tokens = min(self.thinking_tokens, self.output_tokens)

    def _reason(self, reason: FinishReason) -> StopReason:
        # Agents continue only after `tool_use`, so a call overrides the end of turn of an engine.
        if self._called and reason is FinishReason.END_TURN:
            return "tool_use"
        return reason._value_

    def _end(
        self, reason: StopReason, sequence: str | None, refusal: Refusal | None = None
    ) -> list[StreamEvent]:
        self.ended = True
        self.stop_reason = reason
        usage = self.usage
        details = None
        if reason == "refusal":
            said = refusal or Refusal()
            details = RefusalDetails(category=said.category, explanation=said.explanation)
        return [
            *self._close(),
            *(self._without_results() if self._unanswered else ()),
            MessageDelta(
                delta=Ending(stop_reason=reason, stop_sequence=sequence, stop_details=details),
                usage=DeltaUsage(
                    input_tokens=usage.input_tokens,
                    cache_creation_input_tokens=usage.cache_creation_input_tokens,
                    cache_read_input_tokens=usage.cache_read_input_tokens,
                    output_tokens=self.output_tokens,
                    output_tokens_details=OutputTokensDetails(thinking_tokens=self.thinking_tokens),
                    server_tool_use=self._server_tools,
                ),
            ),
            MessageStop(),
        ]

    def _without_results(self) -> list[StreamEvent]:
        """End the calls of tools of the server that a stop sequence has cut off from their run."""
        return [
            event
            for call, name in self._unanswered.items()
            for event in (*self._begin(no_result(call, name)), *self._close())
        ]


def _sum(before: Started | None, started: Started) -> Started:
    """Add up the sizes of the prompts of rounds."""
    if before is None:
        return started
    return Started(
        input_tokens=before.input_tokens + started.input_tokens,
        cache_read_tokens=before.cache_read_tokens + started.cache_read_tokens,
        cache_write_5m_tokens=before.cache_write_5m_tokens + started.cache_write_5m_tokens,
        cache_write_1h_tokens=before.cache_write_1h_tokens + started.cache_write_1h_tokens,
    )


def _usage(started: Started, tier: ServiceTier) -> Usage:
    """Return the usage of a prompt. On the wire, `input_tokens` leaves out the cached parts."""
    written = started.cache_write_5m_tokens + started.cache_write_1h_tokens
    return Usage(
        input_tokens=started.input_tokens - started.cache_read_tokens - written,
        cache_creation_input_tokens=written,
        cache_read_input_tokens=started.cache_read_tokens,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=started.cache_write_5m_tokens,
            ephemeral_1h_input_tokens=started.cache_write_1h_tokens,
        ),
        output_tokens=0,
        service_tier=tier,
    )
