"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from math import ceil

from msgspec.structs import replace

from antiphon.core.assembly import Assembly, Outline
from antiphon.core.bounds import surely_fits
from antiphon.core.errors import (
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    TimeoutError_,
)
from antiphon.core.generation import Prompt, Turn
from antiphon.core.identity import ID_ENTROPY, message_id, tool_use_id
from antiphon.core.signatures import is_signed, proof_in, sign_thinking
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.engines.base import Engine, EngineError, EngineErrorKind
from antiphon.service.documents import read_documents
from antiphon.service.models import Models
from antiphon.wire.content import ContentParam, RedactedThinkingParam, ThinkingParam
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, MessageParam


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

    async def begin(self, params: CreateMessageParams, version: str) -> Generation:
        """Check a request and prepare its answer; raises `ApiError` before anything is sent."""
        model = self._models.find(params.model)
        engine = model.engine()
        prompt = await read_documents(prompt_for(params, engine.capabilities, version))
        self._check_signatures(params.messages)
        prompt = self._with_proofs(prompt)
        outline = Outline(
            message_id=message_id(self._entropy(ID_ENTROPY)),
            model=params.model,
            input_tokens=await _size(engine, prompt),
            stop_sequences=tuple(params.stop_sequences or ()),
            watched=params.stream,
            tool_use_id=lambda: tool_use_id(self._entropy(ID_ENTROPY)),
            shows_thinking=_shows_thinking(params),
            sign=partial(sign_thinking, self._signing_key),
        )
        return Generation(model.id, engine, prompt, Assembly(outline))

    def _check_signatures(self, messages: Sequence[MessageParam]) -> None:
        """Refuse thinking that did not come from here as it is."""
        for index, message in enumerate(messages):
            blocks = () if isinstance(message.content, str) else message.content
            for place, block in enumerate(blocks):
                if isinstance(block, ThinkingParam) and not is_signed(
                    self._signing_key, block.thinking, block.signature
                ):
                    raise InvalidRequestError(
                        f"messages.{index}.content.{place}: Invalid `signature` in `thinking` block"
                    )

    def _with_proofs(self, prompt: Prompt) -> Prompt:
        """Give an engine its own proofs back, where signatures of ours were put around them."""
        if not any(_is_thought(block) for turn in prompt.turns for block in turn.content):
            return prompt
        turns = tuple(
            Turn(turn.role, tuple(map(self._proven, turn.content))) for turn in prompt.turns
        )
        return replace(prompt, turns=turns)

    def _proven(self, block: ContentParam) -> ContentParam:
        match block:
            case ThinkingParam(signature=signature):
                return replace(block, signature=proof_in(self._signing_key, signature) or "")
            case RedactedThinkingParam(data=data):
                # What is not from here stays as it is: engines leave it out.
                return replace(block, data=proof_in(self._signing_key, data) or data)
        return block

    async def count_tokens(self, params: CountTokensParams, version: str) -> int:
        """Count a prompt: exactly the `input_tokens` that the same request would be billed."""
        engine = self._models.find(params.model).engine()
        prompt = prompt_to_count(params, engine.capabilities, version)
        self._check_signatures(params.messages)
        return await _count(engine, self._with_proofs(await read_documents(prompt)))


def _shows_thinking(params: CreateMessageParams) -> bool:
    return getattr(params.thinking, "display", None) != "omitted"


def _is_thought(block: ContentParam) -> bool:
    return isinstance(block, ThinkingParam | RedactedThinkingParam)


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
