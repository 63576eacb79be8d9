"""What each route does: read, ask the service, write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from antiphon.core.errors import ApiError
from antiphon.core.limits.rate_limits import TOKEN_COUNT
from antiphon.core.pagination import IdCursor, page_limit
from antiphon.server.http.boundary import EXCHANGE
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.hang_ups import HangUps
from antiphon.server.http.queries import VERSIONS, read_body, read_version
from antiphon.server.http.responses import write_stream
from antiphon.service.access import Caller
from antiphon.service.answer import Answer
from antiphon.service.background import offload
from antiphon.service.messages import RequestContext
from antiphon.service.platform import Platform
from antiphon.wire.decoding import BodyDecoder, BodyError
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, TokenCount
from antiphon.wire.sse import EventEncoder

Action: TypeAlias = Callable[[Exchange], Awaitable[None]]

# One that every answer has on which something of the limits is told.
LIMIT_HEADER = "anthropic-ratelimit-requests-limit"
_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An action as an ASGI application."""

    action: Action

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self.action(scope[EXCHANGE])


class Endpoints:
    """All actions, over one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._create = {
            version: BodyDecoder(CreateMessageParams, gone) for version, gone in VERSIONS.items()
        }
        self._count = BodyDecoder(CountTokensParams)
        self._encoder = EventEncoder()
        self._hang_ups = HangUps()

    async def create_message(self, exchange: Exchange) -> None:
        caller = await self._let_in(exchange)
        try:
            await self._create_message(exchange, caller)
        except (ApiError, BodyError) as error:
            await self._tell_limits(exchange, caller, error)
            raise

    async def _create_message(self, exchange: Exchange, caller: Caller) -> None:
        version = read_version(exchange)
        body = await read_body(exchange, self._platform.settings)
        params = await offload(len(body), self._create[version].decode, body)
        exchange.fields["model"] = params.model
        context = RequestContext(
            caller, exchange.request_id, version, len(body), _retries(exchange)
        )
        with self._hang_ups.stopping(exchange):
            async with self._platform.messages.answer(params, context) as answer:
                exchange.headers |= answer.headers
                exchange.headers["x-antiphon-model"] = answer.model
                try:
                    await self._write(exchange, answer, stream=params.stream)
                finally:
                    # A caller who hung up was sent nothing, but the model has worked for it.
                    if exchange.started or exchange.gone:
                        answer.mark_due()
                    exchange.fields["input_tokens"] = answer.input_tokens
                    exchange.fields["output_tokens"] = answer.output_tokens

    async def _write(self, exchange: Exchange, answer: Answer, *, stream: bool) -> None:
        if stream:
            interval = self._platform.settings.ping_interval_s
            await write_stream(exchange, answer.events(), self._encoder, interval)
        else:
            await exchange.respond(200, await answer.message())

    async def _tell_limits(self, exchange: Exchange, caller: Caller, error: Exception) -> None:
        """Add to a refusal what is left of the limits, if nobody has: clients look there."""
        told = error.headers if isinstance(error, ApiError) else {}
        if not exchange.started and LIMIT_HEADER not in {**told, **exchange.headers}:
            name = exchange.fields.get("model")
            exchange.headers |= await self._platform.messages.standing(caller, name)

    async def count_tokens(self, exchange: Exchange) -> None:
        caller = await self._let_in(exchange)
        metering = self._platform.metering
        try:
            version = read_version(exchange)
            body = await read_body(exchange, self._platform.settings)
            params = await offload(len(body), self._count.decode, body)
        except (ApiError, BodyError):
            exchange.headers |= await metering.standing(caller, TOKEN_COUNT)
            raise
        exchange.fields["model"] = params.model
        context = RequestContext(caller, exchange.request_id, version, len(body))
        with self._hang_ups.stopping(exchange):
            exchange.headers |= await metering.count(caller, exchange.request_id, params.model)
            try:
                count = await self._platform.messages.count_tokens(params, context)
            except ApiError:
                exchange.headers |= await metering.uncount(caller)
                raise
            await exchange.respond(200, TokenCount(input_tokens=count))

    async def list_models(self, exchange: Exchange) -> None:
        await self._admit(exchange)
        query = exchange.query()
        (limit,) = query.get("limit", [None])[:1]
        listing = self._platform.models.listing(
            IdCursor(page_limit(limit), _one(query, "after_id"), _one(query, "before_id"))
        )
        await exchange.respond(200, listing)

    async def show_model(self, exchange: Exchange) -> None:
        await self._admit(exchange)
        name: str = exchange.scope["path_params"]["model_id"]
        await exchange.respond(200, self._platform.models.find(name).listed())

    async def health(self, exchange: Exchange) -> None:
        await exchange.respond(200, {"status": "ok"})

    async def ready(self, exchange: Exchange) -> None:
        platform = self._platform
        if platform.draining:
            await exchange.respond(503, {"status": "stopping"})
            return
        ready = platform.models.ready
        await exchange.respond(
            200 if ready else 503,
            {"status": "ready" if ready else "loading", "models": platform.models.states()},
        )

    async def _admit(self, exchange: Exchange) -> tuple[Caller, str]:
        """Let only known callers in; return who it is, and the version of the API they speak."""
        return await self._let_in(exchange), read_version(exchange)

    async def _let_in(self, exchange: Exchange) -> Caller:
        caller = await self._platform.access.authenticate(
            exchange.header(b"x-api-key"),
            exchange.header(b"authorization"),
            exchange.header(b"anthropic-workspace-id"),
        )
        exchange.fields["key_id"] = caller.key_id
        exchange.headers["anthropic-organization-id"] = caller.organization_id
        if caller.workspace_id is not None:
            exchange.headers["anthropic-workspace-id"] = caller.workspace_id
        self._platform.uses.note(caller.key_id)
        return caller


def _retries(exchange: Exchange) -> int | None:
    """Return how often this was tried before: the official SDKs say it."""
    said = exchange.header(b"x-stainless-retry-count")
    return int(said) if said is not None and said.isdecimal() and len(said) < _MOST_DIGITS else None


def _one(query: dict[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None
