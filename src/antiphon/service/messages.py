"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from antiphon.core.assembly import Assembly, Outline
from antiphon.core.errors import (
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    TimeoutError_,
)
from antiphon.core.generation import Capabilities, Prompt
from antiphon.core.identity import ID_ENTROPY, message_id, tool_use_id
from antiphon.core.signatures import is_signed, sign_thinking
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.engines.base import Engine, EngineError, EngineErrorKind
from antiphon.service.documents import read_documents
from antiphon.service.models import Models
from antiphon.wire.content import ThinkingParam
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, MessageParam

if TYPE_CHECKING:
    # It imports an HTTP client, and by default nothing is fetched.
    from antiphon.service.sources import Sources

Params = TypeVar("Params", CreateMessageParams, CountTokensParams)


class Generation:
    """One answer on its way: who gives it, what it has cost so far, and its events.

    `batches` may be iterated once. Closing it early stops the engine.
    """

    def __init__(
        self, model: str, engine: Engine, prompt: Prompt, assembly: Assembly, input_tokens: int
    ) -> None:
        self.model = model
        self.input_tokens = input_tokens
        self._engine = engine
        self._prompt = prompt
        self._assembly = assembly

    @property
    def output_tokens(self) -> int:
        return self._assembly.output_tokens

    async def batches(self) -> AsyncGenerator[list[StreamEvent], None]:
        """Yield the stream; raises `ApiError` when the engine fails, at any moment.

        Events that come at the same moment come together: one step for a token, not several.
        """
        assembly = self._assembly
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

    def __init__(
        self,
        models: Models,
        entropy: Callable[[int], bytes],
        signing_key: bytes,
        sources: "Sources | None" = None,
    ) -> None:
        self._models = models
        self._entropy = entropy
        self._signing_key = signing_key
        self._sources = sources

    async def begin(self, params: CreateMessageParams, version: str) -> Generation:
        """Check a request and prepare its answer; raises `ApiError` before anything is sent."""
        model = self._models.find(params.model)
        engine = model.engine()
        prompt = await self._prompt(prompt_for, params, engine, version)
        input_tokens = await _count(engine, prompt)
        check_fits(input_tokens, engine.capabilities)
        outline = Outline(
            message_id=message_id(self._entropy(ID_ENTROPY)),
            model=params.model,
            input_tokens=input_tokens,
            stop_sequences=tuple(params.stop_sequences or ()),
            watched=params.stream,
            tool_use_id=lambda: tool_use_id(self._entropy(ID_ENTROPY)),
            shows_thinking=_shows_thinking(params),
            sign=partial(sign_thinking, self._signing_key),
        )
        assembly = Assembly(outline)
        return Generation(model.id, engine, prompt, assembly, input_tokens)

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

    async def count_tokens(self, params: CountTokensParams, version: str) -> int:
        """Count a prompt: exactly the `input_tokens` that the same request would be billed."""
        engine = self._models.find(params.model).engine()
        return await _count(engine, await self._prompt(prompt_to_count, params, engine, version))

    async def _prompt(
        self,
        validate: Callable[[Params, Capabilities, str], Prompt],
        params: Params,
        engine: Engine,
        version: str,
    ) -> Prompt:
        """Check a request, fetch what it names, and read its documents."""
        capabilities = engine.capabilities
        if self._sources is not None:
            capabilities = replace(capabilities, url_sources=True)
        prompt = validate(params, capabilities, version)
        self._check_signatures(params.messages)
        if self._sources is not None:
            fetched = await self._sources.fetched(params)
            if fetched is not params:
                prompt = validate(fetched, capabilities, version)
        return await read_documents(prompt)


def _shows_thinking(params: CreateMessageParams) -> bool:
    return getattr(params.thinking, "display", None) != "omitted"


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
            return OverloadedError()
        case EngineErrorKind.TIMEOUT:
            return TimeoutError_()
        case EngineErrorKind.FAILED:
            return InternalError()
