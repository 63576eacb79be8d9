"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

from collections.abc import AsyncGenerator, Callable
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
from antiphon.core.replay import check_replay, recalled, sign_omitted
from antiphon.core.signatures import sign_thinking
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.engines.base import Engine, EngineError, EngineErrorKind
from antiphon.service.aside import LARGE_BODY, aside
from antiphon.service.documents import read_documents
from antiphon.service.models import Models
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

if TYPE_CHECKING:
    from antiphon.core.citations.sources import Sources

    # It imports an HTTP client, and by default nothing is fetched.
    from antiphon.service.url_sources import UrlSources

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
        url_sources: "UrlSources | None" = None,
    ) -> None:
        self._models = models
        self._entropy = entropy
        self._signing_key = signing_key
        self._url_sources = url_sources

    async def begin(self, params: CreateMessageParams, version: str, size: int = 0) -> Generation:
        """Check a request and prepare its answer; raises `ApiError` before anything is sent.

        `size`: of its body, in bytes.
        """
        model = self._models.find(params.model)
        engine = model.engine()
        prompt, sources = await self._read(prompt_for, params, engine, version, size)
        input_tokens = await _count(engine, prompt)
        check_fits(input_tokens, engine.capabilities)
        shows_thinking = _shows_thinking(params)
        outline = Outline(
            message_id=message_id(self._entropy(ID_ENTROPY)),
            model=params.model,
            input_tokens=input_tokens,
            stop_sequences=tuple(params.stop_sequences or ()),
            watched=params.stream,
            tool_use_id=lambda: tool_use_id(self._entropy(ID_ENTROPY)),
            shows_thinking=shows_thinking,
            thinking=prompt.thinking.mode,
            sign=partial(sign_thinking if shows_thinking else sign_omitted, self._signing_key),
            sources=sources,
        )
        assembly = Assembly(outline)
        return Generation(model.id, engine, prompt, assembly, input_tokens)

    async def count_tokens(self, params: CountTokensParams, version: str, size: int = 0) -> int:
        """Count a prompt: exactly the `input_tokens` that the same request would be billed."""
        engine = self._models.find(params.model).engine()
        prompt, _ = await self._read(prompt_to_count, params, engine, version, size)
        return await _count(engine, prompt)

    async def _read(
        self,
        validate: Callable[[Params, Capabilities, str], Prompt],
        params: Params,
        engine: Engine,
        version: str,
        size: int,
    ) -> "tuple[Prompt, Sources | None]":
        """Check a request, fetch what it names, and read its documents."""
        capabilities = engine.capabilities
        if self._url_sources is not None:
            capabilities = replace(capabilities, url_sources=True)
        asked = await aside(size, validate, params, capabilities, version)
        check_replay(params.messages, self._signing_key)
        if self._url_sources is not None:
            fetched = await self._url_sources.fetched(params)
            if fetched is not params:
                # What came is checked as what was sent.
                asked = await aside(LARGE_BODY, validate, fetched, capabilities, version)
        return await read_documents(recalled(asked))


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
