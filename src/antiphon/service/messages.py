"""The use cases of `/v1/messages`: count a prompt, and generate an answer to it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import UNSET, structs
from msgspec.structs import replace

from antiphon.core.assembly import AnswerSpec
from antiphon.core.attribution import with_constant_attribution
from antiphon.core.billing.price_list import price_for
from antiphon.core.citations.sources import Sources
from antiphon.core.errors import ApiError
from antiphon.core.hints import NO_HINTS
from antiphon.core.ids import ID_ENTROPY, message_id, tool_use_id
from antiphon.core.images import MEDIA_TYPES
from antiphon.core.prompt import Capabilities, Prompt
from antiphon.core.thinking_signatures import (
    check_replay,
    sign_omitted,
    sign_thinking,
    thinking_for_engine,
)
from antiphon.core.validation import prompt_for, prompt_to_count
from antiphon.core.validation.tool_changes import has_changes
from antiphon.engines.base import Engine, keeps_prefixes
from antiphon.engines.step_runner import StepRunner
from antiphon.schemas.steps import Steps
from antiphon.service.access import Caller, RequestContext
from antiphon.service.answer import Answer
from antiphon.service.background import BODY_FOR_A_THREAD
from antiphon.service.caching import CachedModel, CachedRequest, PromptCaching
from antiphon.service.content.documents import ReadPrompt, read_documents
from antiphon.service.content.file_reader import FileReader
from antiphon.service.content.filling import Wanted, blocks_from
from antiphon.service.content.images import convert_images, converts_images
from antiphon.service.engine_meter import EngineMeter
from antiphon.service.limits.admission import AdmissionRequest
from antiphon.service.limits.admitter import Admitter
from antiphon.service.limits.batch_lane import BatchTicket
from antiphon.service.limits.gate import Gate
from antiphon.service.limits.waits import Waits
from antiphon.service.models import Models, ServedModel
from antiphon.service.prompt_size import count, size_to_admit, written_ttls
from antiphon.service.server_tools.tools import ServerTools
from antiphon.service.server_tools.web.tools import WebTools, no_web_tools
from antiphon.wire.content import FileSource
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

if TYPE_CHECKING:
    from antiphon.service.content.files import FileSources

    # Imports an HTTP client, and by default nothing is fetched.
    from antiphon.service.content.sources import UrlSources

# Checks of large requests that run at the same time.
THREADS = 2
# Capabilities of engines that are kept with what this server makes of them.
MOST_KNOWN = 64
# Names of models, as callers write them, whose prices are kept.
KEPT_PRICES = 256

Params = TypeVar("Params", CreateMessageParams, CountTokensParams)

TEXTLESS_HEADER: Final = "x-antiphon-pdf-pages-without-text"
"""The number of pages of PDFs that the model cannot read: scans, and broken pages."""


class Messages:
    """Answers to messages, and counts of their tokens."""

    def __init__(  # noqa: PLR0913 - the parts of the platform that it needs
        self,
        models: Models,
        admitter: Admitter,
        entropy: Callable[[int], bytes],
        signing_key: bytes,
        *,
        caching: PromptCaching,
        file_reader: FileReader,
        url_sources: "UrlSources | None" = None,
        file_sources: "FileSources | None" = None,
        web: WebTools | None = None,
        normalize_attribution: bool = True,
    ) -> None:
        self._models = models
        self._admitter = admitter
        self._entropy = entropy
        self._signing_key = signing_key
        self._caching = caching
        self._file_reader = file_reader
        self._url_sources = url_sources
        self._file_sources = file_sources
        self._normalize_attribution = normalize_attribution
        self._checks = StepRunner(THREADS)
        # Callers ask under few names, though they may choose any that a wildcard takes.
        self._price_for = lru_cache(maxsize=KEPT_PRICES)(price_for)
        self._able: dict[int, tuple[Capabilities, Capabilities]] = {}
        self._server_tools = ServerTools(admitter, entropy, file_reader, web or no_web_tools())

    def answer(self, params: CreateMessageParams, context: RequestContext) -> "AnswerContext":
        """Check and admit a request, and yield its answer, which is generated as it is read.

        Raises `ApiError`, also before the block. The end of the block writes the bill and lets
        the next request begin, in every case.
        """
        model = self._models.find(params.model)
        admit = partial(self._admitted, model, params, context)
        return AnswerContext(model.gate, admit, context.waits, model.meter)

    def batch_answer(
        self,
        params: CreateMessageParams,
        context: RequestContext,
        make_way: Callable[[], None],
        queued: Callable[[BatchTicket], None],
    ) -> "AnswerContext":
        """As `answer`, for a request of a batch: it waits until no interactive one needs the room.

        `make_way` is called, at most once, if the request has to end for an interactive one because
        its engine cannot park it: the block is then to be cancelled. `queued` is called with the
        ticket of the request. The bill is the answer's `entry`, which is written nowhere.
        Raises `SpendLimitReachedError` too.
        """
        model = self._models.find(params.model)
        model.engine()  # a model that is loading has no lane yet
        ticket = model.gate.batches.ticket(make_way)
        queued(ticket)
        context = replace(context, ticket=ticket)
        admit = partial(self._admitted, model, params, context)
        return AnswerContext(ticket, admit, context.waits, model.meter)

    async def _admitted(
        self, model: ServedModel, params: CreateMessageParams, context: RequestContext
    ) -> Answer:
        engine = model.engine()
        limits = engine.capabilities
        prompt, file_size = await self._valid(prompt_for, params, engine, context)
        cached = None
        # Most requests have nothing to do with the prompt cache.
        if prompt.breakpoints or params.diagnostics is not None:
            cached = await self._cached(prompt, params, model, engine, context)
        read = await self._read(prompt, engine, context.size + file_size)
        prompt = read.prompt
        size = await size_to_admit(engine, prompt, cached)
        exact = limits.counts_exactly
        ticket = context.ticket
        request = AdmissionRequest(
            caller=context.caller,
            request_id=context.request_id,
            model=params.model,
            served_model=model.id,
            group=model.limit_group,
            price=self._price_for(params.model, model.id, model.price),
            input_tokens=size,
            exact=exact,
            caches=written_ttls(engine, prompt),
            planned_reads=cached.planned_reads if cached else 0,
            max_output=min(params.max_tokens, limits.context_tokens - size * exact),
            retries=context.retries,
            batch_id=context.batch_id,
            is_parked=_never if ticket is None else ticket.is_parked,
            note_first_token=model.gate.batches.first_token_watch()
            if ticket is None
            else ticket.note_first_token,
            note_money_wait=None if context.waits is None else context.waits.note_money,
            search_price=self._server_tools.search_price,
        )
        admission = await self._admitter.admit(request)
        if read.textless_pages:
            admission.headers[TEXTLESS_HEADER] = str(read.textless_pages)
        sources = self._server_tools.sources(read)
        spec = self._spec(params, context, prompt, sources, cached)
        rounds = self._server_tools.rounds(
            engine, prompt, request, admission, cached=cached, sources=sources
        )
        return Answer(
            model.id, engine, prompt, spec, admission=admission, cached=cached, rounds=rounds
        )

    async def _cached(
        self,
        prompt: Prompt,
        params: CreateMessageParams,
        model: ServedModel,
        engine: Engine,
        context: RequestContext,
    ) -> CachedRequest:
        """Begin with the prompt cache."""
        kind = CachedModel(
            id=model.id,
            minimum_tokens=model.settings.cache_minimum_tokens,
            keeps_prefixes=keeps_prefixes(engine),
            upstream_caches=bool(engine.capabilities.cache_ttls),
        )
        return await self._caching.begin(prompt, params, context, kind)

    def _spec(
        self,
        params: CreateMessageParams,
        context: RequestContext,
        prompt: Prompt,
        sources: Sources | None,
        cached: CachedRequest | None,
    ) -> AnswerSpec:
        shows_thinking = _shows_thinking(params)
        return AnswerSpec(
            message_id=message_id(self._entropy(ID_ENTROPY)),
            model=params.model,
            stop_sequences=tuple(params.stop_sequences or ()),
            streamed=params.stream,
            tool_use_id=lambda: tool_use_id(self._entropy(ID_ENTROPY)),
            shows_thinking=shows_thinking,
            thinking=prompt.thinking.mode,
            sign=partial(sign_thinking if shows_thinking else sign_omitted, self._signing_key),
            sources=sources,
            diagnostics=cached.diagnostics if cached else None,
            service_tier=context.tier,
        )

    async def count_tokens(self, params: CountTokensParams, context: RequestContext) -> int:
        """Count a prompt: exactly the `input_tokens` on the bill of the same request."""
        model = self._models.find(params.model)
        await model.counting.enter()
        try:
            engine = model.engine()
            prompt, file_size = await self._valid(prompt_to_count, params, engine, context)
            read = await self._read(prompt, engine, context.size + file_size)
            return await count(engine, read.prompt)
        finally:
            model.counting.leave()

    async def _valid(
        self,
        validate: Callable[..., Prompt],
        params: Params,
        engine: Engine,
        context: RequestContext,
    ) -> tuple[Prompt, int]:
        """Check a request, and fill in its files and URLs. The prompt has the caller's blocks.

        Returns the bytes of the files besides.
        """
        limits = self._limits_of(engine)
        named: list[Wanted] = []
        are_strings = all([isinstance(one.content, str) for one in params.messages])  # noqa: C419 - faster

        def check(params: Params, steps: Steps | None = None) -> Prompt:
            prompt = validate(params, limits, context.version, steps)
            if are_strings:
                # None has thinking, an image or a document.
                return prompt
            check_replay(params.messages, self._signing_key)
            # Here, as a large request is looked at in a thread.
            named[:] = blocks_from(params, FileSource)
            return thinking_for_engine(prompt, self._signing_key)

        prompt = await self._checked(check, params, context.size)
        file_size = 0
        if named or self._url_sources is not None:
            filled, file_size = await self._filled(params, named, context)
            if filled is not params:
                # Content from elsewhere follows the same rules as content of the request.
                prompt = await self._checked(check, filled, BODY_FOR_A_THREAD)
        if context.hints is not NO_HINTS:
            prompt = structs.replace(prompt, hints=context.hints, parking=context.ticket)
        prompt = with_constant_attribution(prompt) if self._normalize_attribution else prompt
        opened = self._server_tools.opened(self._caching.salted(prompt, context.caller))
        return opened, file_size

    def _limits_of(self, engine: Engine) -> Capabilities:
        """Return what an engine can do on this server: for each of its capabilities once."""
        limits = engine.capabilities
        known = self._able.get(id(limits))
        # What is kept here is alive, so no other object has its `id`.
        if known is not None:
            return known[1]
        able = replace(
            limits,
            url_sources=self._url_sources is not None,
            file_sources=self._file_sources is not None,
            image_types=MEDIA_TYPES if converts_images(limits) else limits.image_types,
        )
        if len(self._able) >= MOST_KNOWN:
            self._able.clear()
        self._able[id(limits)] = limits, able
        return able

    async def _filled(
        self, params: Params, named: Sequence[Wanted], context: RequestContext
    ) -> tuple[Params, int]:
        """Return a request with the content of its files and URLs, and the bytes of the files.

        `named` are the blocks that name files.
        """
        file_size = 0
        if named and self._file_sources is not None:
            params, file_size = await self._file_sources.filled(params, named, context)
        if self._url_sources is not None:
            params = await self._url_sources.fetched(params)
        return params, file_size

    async def _read(self, prompt: Prompt, engine: Engine, size: int) -> ReadPrompt:
        """Read the documents of a prompt, and convert its images."""
        read = await read_documents(prompt, self._file_reader, size)
        if not converts_images(engine.capabilities):
            return read
        able = engine.capabilities
        prompt = await convert_images(
            read.prompt, self._file_reader, able.image_types, able.image_pixels
        )
        return structs.replace(read, prompt=prompt)

    async def _checked(self, check: Callable[..., Prompt], params: Params, size: int) -> Prompt:
        """Check a request of so many bytes; a large one, and large schemas, in a thread."""
        if size < BODY_FOR_A_THREAD and not _has_schemas(params):
            return check(params)
        return await self._checks.run(
            lambda work: check(params, steps=work.budget()), brief=size < BODY_FOR_A_THREAD
        )

    async def remaining_headers(self, caller: Caller, name: str | None) -> dict[str, str]:
        """Return the headers of a caller's limits for a model, for refusals.

        For an unknown model they are those of the only group, if there is only one.
        """
        group = self._models.group_of(name)
        return {} if group is None else await self._admitter.remaining_headers(caller, group)


class AnswerContext:
    """Holds a place at the model's gate while `admit` and the caller work on an answer.

    `waits` gets the seconds before the gate, also of a caller that hangs up there; `meter` how the
    engine did.

    It is a class because it is entered for every request: a generator costs three times as much.
    """

    __slots__ = ("_admit", "_answer", "_gate", "_meter", "_waits")

    def __init__(
        self,
        gate: Gate | BatchTicket,
        admit: Callable[[], Awaitable[Answer]],
        waits: Waits | None = None,
        meter: EngineMeter | None = None,
    ) -> None:
        self._gate = gate
        self._meter = meter
        self._admit = admit
        self._waits = waits

    async def __aenter__(self) -> Answer:
        now = asyncio.get_running_loop().time
        began = now()
        try:
            await self._gate.enter()
        finally:
            if self._waits is not None:
                self._waits.gate_s = now() - began
        try:
            self._answer = await self._admit()
        except BaseException as error:
            if self._meter is not None:
                self._meter.note_error(error.__cause__)
            self._gate.leave()
            raise
        return self._answer

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            answer = self._answer
            answer.close(error.type if isinstance(error, ApiError) else None)
            if self._meter is not None:
                self._note(self._meter, answer, error)
        finally:
            self._gate.leave()

    def _note(self, meter: EngineMeter, answer: Answer, error: BaseException | None) -> None:
        if error is not None:
            meter.note_error(error.__cause__)
        if answer.entry is not None:
            money_s = None if self._waits is None else self._waits.money_s
            meter.note(answer.engine_number, answer.entry, money_s or 0.0)


def _never() -> bool:
    return False


def _has_schemas(params: Params) -> bool:
    return (
        params.tools is not UNSET
        or params.output_config is not UNSET
        or params.output_format is not None
        or has_changes(params.messages)
    )


def _shows_thinking(params: CreateMessageParams) -> bool:
    return getattr(params.thinking, "display", None) != "omitted"
