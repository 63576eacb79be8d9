"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import structs

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.core.billing.price_list import price_for
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.citations.sources import Sources
from antiphon.core.errors import (
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    TimeoutError_,
)
from antiphon.core.ids import ID_ENTROPY, message_id, tool_use_id
from antiphon.core.prompt import Capabilities, Prompt, Started
from antiphon.core.thinking_signatures import (
    check_replay,
    restore_thinking,
    sign_omitted,
    sign_thinking,
    with_proofs,
)
from antiphon.core.token_bounds import tokens_at_most
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.engines.base import Engine, EngineError, EngineErrorKind
from antiphon.service.access import Caller
from antiphon.service.background import LARGE_BODY, offload
from antiphon.service.content.documents import read_documents
from antiphon.service.limits.admission import Admission, AdmissionRequest
from antiphon.service.limits.metering import Metering
from antiphon.service.models import Models, ServedModel
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

if TYPE_CHECKING:
    # It imports an HTTP client, and by default nothing is fetched.
    from antiphon.service.content.sources import UrlSources

Params = TypeVar("Params", CreateMessageParams, CountTokensParams)


class Asking(msgspec.Struct, frozen=True):
    """Who asks, under which id, in which version of the API, and with how large a body.

    `retries` is how often the client has tried before, if it says so.
    """

    caller: Caller
    request_id: str
    version: str
    size: int = 0
    retries: int | None = None


class Generation:
    """One answer on its way: who gives it, what it has cost so far, and its events.

    `batches` may be iterated once. Closing it early stops the engine. Whatever happens, `close`
    comes at the end: it writes the bill, and lets the next request in. `headers` tell the caller
    what is left of its limits.
    """

    def __init__(
        self,
        model: ServedModel,
        prompt: Prompt,
        assembly: Assembly,
        grant: Admission,
    ) -> None:
        self.model = model.id
        self.headers = grant.headers
        self._engine = model.engine()
        self._gate = model.gate
        self._prompt = prompt
        self._assembly = assembly
        self._grant = grant

    @property
    def input_tokens(self) -> int:
        """The size of the prompt, by the engine that answers as soon as it has said it."""
        return self._assembly.input_tokens or self._grant.input_tokens

    @property
    def output_tokens(self) -> int:
        return self._assembly.output_tokens

    async def batches(self) -> AsyncGenerator[list[StreamEvent], None]:
        """Yield the stream; raises `ApiError` when the engine fails, at any moment.

        Events that come at the same moment come together: one step for a token, not several.
        """
        assembly, grant = self._assembly, self._grant
        says_input = self._engine.capabilities.says_input
        if not says_input:
            yield [assembly.start()]
        try:
            async with aclosing(self._engine.generate(self._prompt)) as engine_events:
                async for engine_event in engine_events:
                    batch = assembly.feed(engine_event)
                    if says_input and isinstance(engine_event, Started):
                        grant.prompt(TokenCounts.of(assembly.usage))
                    # Before the caller sees it: nothing is given away, whenever the end comes.
                    grant.produced(assembly.output_tokens, assembly.thinking_tokens)
                    if batch:
                        yield batch
                    if assembly.ended:
                        return
        except EngineError as error:
            raise as_api_error(error) from error
        raise InternalError from EngineError(
            EngineErrorKind.FAILED, "the engine's answer has no end"
        )

    def close(self, outcome: Outcome, error_type: str | None = None) -> None:
        """Write the bill. A request that was answered with an error was told no usage: it is free.

        One that is broken off has used what was produced until then.
        """
        assembly = self._assembly
        tokens = TokenCounts()
        if assembly.ended:
            outcome = Outcome.COMPLETED
        if outcome is not Outcome.FAILED:
            tokens = structs.replace(
                TokenCounts.of(assembly.usage),
                output=assembly.output_tokens,
                thinking=assembly.thinking_tokens,
            )
        self._grant.close(outcome, tokens, stop_reason=assembly.stop_reason, error_type=error_type)
        self._gate.leave()


class Messages:
    """What callers do with messages."""

    def __init__(
        self,
        models: Models,
        metering: Metering,
        entropy: Callable[[int], bytes],
        signing_key: bytes,
        url_sources: "UrlSources | None" = None,
    ) -> None:
        self._models = models
        self._metering = metering
        self._entropy = entropy
        self._signing_key = signing_key
        self._url_sources = url_sources

    async def begin(self, params: CreateMessageParams, asking: Asking) -> Generation:
        """Check a request, admit it, and prepare its answer.

        Raises `ApiError` before anything is sent. Whoever gets a `Generation` has to `close` it.
        """
        model = self._models.find(params.model)
        await model.gate.enter()
        try:
            return await self._begin(model, params, asking)
        except BaseException:
            model.gate.leave()
            raise

    async def _begin(
        self, model: ServedModel, params: CreateMessageParams, asking: Asking
    ) -> Generation:
        engine = model.engine()
        limits = engine.capabilities
        prompt, sources = await self._read(prompt_for, params, engine, asking)
        size, exact = await _size(engine, prompt)
        # What the engine says itself is the usage; admission has to know something before.
        outline = self._outline(params, prompt, sources, None if limits.says_input else size)
        question = AdmissionRequest(
            request_id=asking.request_id,
            model=params.model,
            served_model=model.id,
            group=model.limit_group,
            price=price_for(params.model, model.id, model.price),
            input_tokens=size,
            exact=exact,
            # What an upstream writes to its prompt cache is paid as such.
            caches=("5m", "1h") if limits.says_input else (),
            max_output=min(params.max_tokens, limits.context_tokens - size * exact),
            retries=asking.retries,
        )
        grant = await self._metering.admit(asking.caller, question)
        return Generation(model, prompt, Assembly(outline), grant)

    def _outline(
        self,
        params: CreateMessageParams,
        prompt: Prompt,
        sources: Sources | None,
        input_tokens: int | None,
    ) -> AnswerSpec:
        shows_thinking = _shows_thinking(params)
        return AnswerSpec(
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

    async def count_tokens(self, params: CountTokensParams, asking: Asking) -> int:
        """Count a prompt: exactly the `input_tokens` that the same request would be billed."""
        model = self._models.find(params.model)
        await model.counting.enter()
        try:
            engine = model.engine()
            prompt, _ = await self._read(prompt_to_count, params, engine, asking)
            return await _count(engine, prompt)
        finally:
            model.counting.leave()

    async def _read(
        self,
        validate: Callable[[Params, Capabilities, str], Prompt],
        params: Params,
        engine: Engine,
        asking: Asking,
    ) -> tuple[Prompt, Sources | None]:
        """Check a request, fetch what it names, and read its documents."""
        limits = engine.capabilities
        if self._url_sources is not None:
            limits = replace(limits, url_sources=True)
        asked = await offload(asking.size, validate, params, limits, asking.version)
        check_replay(params.messages, self._signing_key)
        if self._url_sources is not None:
            fetched = await self._url_sources.fetched(params)
            if fetched is not params:
                # What came is checked as what was sent.
                asked = await offload(LARGE_BODY, validate, fetched, limits, asking.version)
        return await read_documents(self._recalled(asked))

    def _recalled(self, prompt: Prompt) -> Prompt:
        """Give the engine back what it thought, and what it needs to know it again."""
        return with_proofs(restore_thinking(prompt), self._signing_key)

    async def standing(self, caller: Caller, name: str | None) -> dict[str, str]:
        """Tell what is left of a caller's limits for a model, where an answer has no other way.

        Without the name of a model it is that of the only group that there is, if there is one.
        """
        group = self._models.group_of(name)
        return {} if group is None else await self._metering.standing(caller, group)


def _shows_thinking(params: CreateMessageParams) -> bool:
    return getattr(params.thinking, "display", None) != "omitted"


async def _size(engine: Engine, prompt: Prompt) -> tuple[int, bool]:
    """Return how large a prompt is and `True`, or how large it is at most and `False`.

    Counting may cost as much as asking for the answer, so where the engine says the size with it,
    and the prompt surely fits, nobody counts. Raises `ApiError` for a prompt that is too long.
    """
    limits = engine.capabilities
    most = tokens_at_most(prompt) if limits.says_input else None
    if most is not None and most < limits.context_tokens:
        return most, False
    counted = await _count(engine, prompt)
    check_fits(counted, limits)
    return counted, not limits.says_input


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
