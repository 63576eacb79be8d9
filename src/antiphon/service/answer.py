"""One answer: the only path from an engine's events to the caller and to the bill.

    started ──► events … ──► ended         completed
       │           └─ an error, a hang-up   interrupted, once anything is due
       └─ an error                          failed: free

A stream writes what `generate` passes on; other requests return `message`, the fold of the same, so
the two cannot differ.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from math import ceil
from typing import Any, TypeAlias

from msgspec.structs import replace

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.pricing import FREE
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.errors import (
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    TimeoutError_,
)
from antiphon.core.prompt import Prompt, Started
from antiphon.core.request_records import NO_FACTS, RequestFacts
from antiphon.engines.base import Engine, EngineError, EngineErrorKind, EngineEvent
from antiphon.service.caching import CachedRequest
from antiphon.service.limits.admission import Admission
from antiphon.service.server_tools.loop import Rounds, ServerToolLoop
from antiphon.wire.events import StreamEvent
from antiphon.wire.fold import Fold
from antiphon.wire.messages import Message

TakeGroup: TypeAlias = Callable[[list[StreamEvent]], Awaitable[object] | None]
"""Takes simultaneous events of a stream. If it returns something to wait for, no event comes
before that has ended."""

Generate: TypeAlias = Callable[[TakeGroup], Coroutine[Any, Any, None]]
"""Makes an answer; see `Answer.generate`."""


class Answer:
    """The answer to one admitted request, made by `Messages.answer`.

    `model` is the id of the serving model, `headers` report the rest of the caller's limits, and
    `entry` is the bill, from `close` on. With `rounds` tools of the server run inside of it.
    """

    entry: LedgerEntry | None = None
    # Which of a model's engines answers; 0 where there is one, or while it is not known.
    engine_number = 0
    _assembly: Assembly | None = None
    _due = False

    def __init__(  # noqa: PLR0913 - what an answer is made of
        self,
        model: str,
        engine: Engine,
        prompt: Prompt,
        spec: AnswerSpec,
        *,
        admission: Admission,
        cached: CachedRequest | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        self.model = model
        self.headers = admission.headers
        self._engine = engine
        self._prompt = prompt
        self._rounds = rounds
        self._spec = spec
        self._admission = admission
        self._cached = cached
        # Before `Started`, the size of the prompt is known only from an engine that counts exactly.
        exact = engine.capabilities.counts_exactly
        self._prompt_tokens = TokenCounts(input=admission.input_tokens if exact else 0)

    @property
    def cached_tokens(self) -> tuple[int, int]:
        """The tokens of the prompt that were read from a prompt cache, and those written to one."""
        tokens = self._prompt_tokens
        return tokens.cache_read, tokens.cache_write_5m + tokens.cache_write_1h

    @property
    def message_id(self) -> str:
        """The id of the message."""
        return self._spec.message_id

    @property
    def input_tokens(self) -> int:
        """The size of the whole prompt: from the engine, and before that from the admission."""
        return self._prompt_tokens.prompt or self._admission.input_tokens

    @property
    def facts(self) -> RequestFacts:
        """What explains the request in the request log."""
        cached = self._cached
        use = None if cached is None else cached.use(self._prompt_tokens)
        price = self._admission.price
        if use is None and price is FREE:
            return NO_FACTS
        return RequestFacts(cache=use, price=None if price is FREE else price)

    @property
    def cache_header(self) -> str | None:
        """The value of `x-antiphon-cache`: what was read, or planned before the start."""
        if self._cached is None:
            return None
        return self._cached.header(None if self._assembly is None else self._prompt_tokens)

    @property
    def output_tokens(self) -> int:
        """The tokens produced so far."""
        return 0 if self._assembly is None else self._assembly.output_tokens

    def mark_due(self) -> None:
        """Note that a part of the answer was sent, or that the caller left during it.

        From now on an answer that ends early is interrupted, not failed: the tokens produced
        until then are billed.
        """
        self._due = True

    async def message(self) -> Message:
        """Return the whole answer, instead of `generate`. Raises as `generate` does."""
        fold = Fold()
        await self.generate(fold.extend)
        return fold.message()

    async def generate(self, take: TakeGroup) -> None:
        """Pass the events of the answer to `take`, as they are made, once.

        Raises `ApiError` when the engine fails, at any moment. An error of `take`, or a
        cancellation, stops the engine.
        """
        cached = self._cached
        if cached is not None:
            await cached.admitted()
        engine_events = self._generated()
        try:
            # As `aclosing` does, which is two coroutines more for every request.
            try:
                assembly = self._begin(await anext(engine_events, None))
                if (full := take([assembly.start()])) is not None:
                    await full
                feed = assembly.feed if self._spec.streamed else assembly.gather
                admission, usage = self._admission, assembly.usage
                async for engine_event in engine_events:
                    if cached is not None:
                        # Before anything is sent: whoever has the beginning may read the entries.
                        spec, price = self._spec, self._admission.price
                        await cached.begun(spec.message_id, price, spec.service_tier)
                        cached = None
                    group = feed(engine_event)
                    # Before the group is sent: every sent token is billed, whenever the end comes.
                    if assembly.usage is not usage:
                        usage = assembly.usage
                        self._note_prompt(assembly)
                    admission.produced(assembly.output_tokens, assembly.thinking_tokens)
                    if group:
                        if (full := take(group)) is not None:
                            await full
                        # The end of a message is a group, so an ended one does not come by here.
                        if assembly.ended:
                            return
            finally:
                await engine_events.aclose()
        except EngineError as error:
            raise as_api_error(error) from error
        raise InternalError from _failed("the answer of the engine has no end")

    def _generated(self) -> AsyncGenerator[EngineEvent, None]:
        """Return the events of the engine, in rounds if tools of the server are on offer."""
        if self._rounds is None:
            return self._engine.generate(self._prompt)
        return ServerToolLoop(self._engine, self._prompt, self._rounds).generate()

    def _begin(self, first: object) -> Assembly:
        if not isinstance(first, Started):
            raise InternalError from _failed("the engine did not say how long the prompt is")
        self.engine_number = first.engine
        if self._cached is not None:
            first = self._cached.claimed(first)
        self._assembly = assembly = Assembly(self._spec, first)
        self._note_prompt(assembly)
        return assembly

    def _note_prompt(self, assembly: Assembly) -> None:
        """Tell the admission the size of the prompt, unless it knows it already."""
        tokens = TokenCounts.of(assembly.usage)
        if tokens != self._prompt_tokens:
            self._prompt_tokens = tokens
            self._admission.prompt(tokens)

    def close(self, error_type: str | None = None) -> None:
        """Write the bill; `error_type` is the type of the error sent to the caller, if any.

        A request that was answered with an error is free, as the caller got no usage. A request
        that was broken off is billed for the tokens produced until then.
        """
        assembly, tokens = self._assembly, self._prompt_tokens
        stop_reason = None
        outcome = Outcome.INTERRUPTED if self._due else Outcome.FAILED
        if assembly is not None:
            stop_reason = assembly.stop_reason
            output, thinking = assembly.output_tokens, assembly.thinking_tokens
            tokens = replace(tokens, output=output, thinking=thinking)
            outcome = Outcome.COMPLETED if assembly.ended else outcome
        if outcome is Outcome.FAILED:
            tokens = TokenCounts()
        close = self._admission.close
        self.entry = close(outcome, tokens, stop_reason=stop_reason, error_type=error_type)


def as_api_error(error: EngineError) -> ApiError:
    """Map an engine's error to the catalogue; only the message of `UNSUPPORTED` is shown."""
    match error.kind:
        case EngineErrorKind.UNSUPPORTED:
            return InvalidRequestError(str(error))
        case EngineErrorKind.OVERLOADED:
            return OverloadedError(headers=_retry_after(error))
        case EngineErrorKind.TIMEOUT:
            return TimeoutError_()
        case EngineErrorKind.FAILED:
            return InternalError()


def _retry_after(error: EngineError) -> dict[str, str]:
    if error.retry_after_s is None:
        return {}
    return {"retry-after": str(ceil(error.retry_after_s))}


def _failed(fault: str) -> EngineError:
    return EngineError(EngineErrorKind.FAILED, fault)
