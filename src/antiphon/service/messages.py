"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from math import ceil

from antiphon.core.assembly import Assembly, Outline
from antiphon.core.bounds import surely_fits
from antiphon.core.errors import (
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    TimeoutError_,
)
from antiphon.core.generation import Prompt
from antiphon.core.identity import ID_ENTROPY, message_id, tool_use_id
from antiphon.core.replay import check_replay, recalled, sign_omitted, with_proofs
from antiphon.core.signatures import sign_thinking
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.engines.base import Engine, EngineError, EngineErrorKind
from antiphon.service.aside import aside
from antiphon.service.documents import read_documents
from antiphon.service.models import Models
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams


class Generation:
    """One answer on its way: who gives it, what it has cost so far, and its events.

    `batches` may be iterated once. Closing it early stops the engine.
    """

    def __init__(self, model: str, engine: Engine, prompt: Prompt, assembly: Assembly) -> None:
        self.model = model
        self._engine = engine
        self._prompt = prompt
        self._assembly = assembly

    @property
    def input_tokens(self) -> int:
        return self._assembly.input_tokens

    @property
    def output_tokens(self) -> int:
        return self._assembly.output_tokens

    async def batches(self) -> AsyncGenerator[list[StreamEvent], None]:
        """Yield the stream; raises `ApiError` when the engine fails, at any moment.

        Events that come at the same moment come together: one step for a token, not several.
        """
        assembly = self._assembly
        if not self._engine.capabilities.says_input:
            yield [assembly.start()]
        try:
            async with aclosing(self._engine.generate(self._prompt)) as engine_events:
                async for engine_event in engine_events:
                    if batch := assembly.feed(engine_event):
                        yield batch
                    if assembly.ended:
                        return
        except EngineError as error:
            raise as_api_error(error) from error
        raise InternalError from EngineError(
            EngineErrorKind.FAILED, "the engine's answer has no end"
        )


class Messages:
    """What callers do with messages."""

    def __init__(self, models: Models, entropy: Callable[[int], bytes], signing_key: bytes) -> None:
        self._models = models
        self._entropy = entropy
        self._signing_key = signing_key

    async def begin(self, params: CreateMessageParams, version: str, size: int = 0) -> Generation:
        """Check a request and prepare its answer; raises `ApiError` before anything is sent.

        `size`: of its body, in bytes.
        """
        model = self._models.find(params.model)
        engine = model.engine()
        asked = await aside(size, prompt_for, params, engine.capabilities, version)
        check_replay(params.messages, self._signing_key)
        prompt, sources = await read_documents(self._recalled(asked))
        shows_thinking = _shows_thinking(params)
        outline = Outline(
            message_id=message_id(self._entropy(ID_ENTROPY)),
            model=params.model,
            input_tokens=await _size(engine, prompt),
            stop_sequences=tuple(params.stop_sequences or ()),
            watched=params.stream,
            tool_use_id=lambda: tool_use_id(self._entropy(ID_ENTROPY)),
            shows_thinking=shows_thinking,
            thinking=prompt.thinking.mode,
            sign=partial(sign_thinking if shows_thinking else sign_omitted, self._signing_key),
            sources=sources,
        )
        return Generation(model.id, engine, prompt, Assembly(outline))

    async def count_tokens(self, params: CountTokensParams, version: str, size: int = 0) -> int:
        """Count a prompt: exactly the `input_tokens` that the same request would be billed."""
        engine = self._models.find(params.model).engine()
        asked = await aside(size, prompt_to_count, params, engine.capabilities, version)
        check_replay(params.messages, self._signing_key)
        prompt, _ = await read_documents(self._recalled(asked))
        return await _count(engine, prompt)

    def _recalled(self, prompt: Prompt) -> Prompt:
        """Give the engine back what it thought, and what it needs to know it again."""
        return with_proofs(recalled(prompt), self._signing_key)


def _shows_thinking(params: CreateMessageParams) -> bool:
    return getattr(params.thinking, "display", None) != "omitted"


async def _size(engine: Engine, prompt: Prompt) -> int | None:
    """Count a prompt and refuse one that is too long; `None` if its engine will say its size.

    Counting may cost as much as asking for the answer, so where the engine says it and the prompt
    cannot be too long, nobody counts.
    """
    limits = engine.capabilities
    if limits.says_input and surely_fits(prompt, limits):
        return None
    counted = await _count(engine, prompt)
    check_fits(counted, limits)
    return None if limits.says_input else counted


async def _count(engine: Engine, prompt: Prompt) -> int:
    try:
        return await engine.count_tokens(prompt)
    except EngineError as error:
        raise as_api_error(error) from error


def as_api_error(error: EngineError) -> ApiError:
    """Map what an engine says to the catalogue; only `UNSUPPORTED` speaks to the caller."""
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
