"""What each route does: read, ask the service, write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from antiphon.core.catalogue import page_limit
from antiphon.core.errors import InvalidRequestError
from antiphon.server.exchange import Exchange
from antiphon.server.hang_ups import HangUps
from antiphon.server.middleware import EXCHANGE
from antiphon.server.responses import folded, write_stream
from antiphon.service.messages import Generation
from antiphon.service.platform import Platform
from antiphon.wire.faults import BodyDecoder
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, TokenCount
from antiphon.wire.sse import EventEncoder

Action: TypeAlias = Callable[[Exchange], Awaitable[None]]

VERSIONS = frozenset({"2023-06-01", "2026-10-21"})


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
        self._create = BodyDecoder(CreateMessageParams)
        self._count = BodyDecoder(CountTokensParams)
        self._encoder = EventEncoder()
        self._hang_ups = HangUps()

    async def create_message(self, exchange: Exchange) -> None:
        version = await self._admit(exchange)
        params = self._create.decode(await self._body(exchange))
        exchange.fields["model"] = params.model
        with self._hang_ups.stopping(exchange):
            generation = await self._platform.messages.begin(params, version)
            exchange.headers["x-antiphon-model"] = generation.model
            try:
                await self._answer(exchange, generation, stream=params.stream)
            finally:
                exchange.fields["input_tokens"] = generation.input_tokens
                exchange.fields["output_tokens"] = generation.output_tokens

    async def _answer(self, exchange: Exchange, generation: Generation, *, stream: bool) -> None:
        if stream:
            interval = self._platform.settings.ping_interval_s
            await write_stream(exchange, generation.batches(), self._encoder, interval)
        else:
            await exchange.respond(200, await folded(generation.batches()))

    async def count_tokens(self, exchange: Exchange) -> None:
        await self._admit(exchange)
        params = self._count.decode(await self._body(exchange))
        exchange.fields["model"] = params.model
        with self._hang_ups.stopping(exchange):
            count = await self._platform.messages.count_tokens(params)
            await exchange.respond(200, TokenCount(input_tokens=count))

    async def list_models(self, exchange: Exchange) -> None:
        await self._admit(exchange)
        query = exchange.query()
        listing = self._platform.models.listing(
            limit=page_limit(query.get("limit", ())),
            after_id=_one(query, "after_id"),
            before_id=_one(query, "before_id"),
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

    async def _admit(self, exchange: Exchange) -> str:
        """Let only known callers in; return the version of the API that they speak."""
        caller = await self._platform.access.authenticate(
            exchange.header(b"x-api-key"), exchange.header(b"authorization")
        )
        exchange.fields["key_id"] = caller.key_id
        version = exchange.header(b"anthropic-version")
        if version is None:
            raise InvalidRequestError("anthropic-version: header is required")
        if version not in VERSIONS:
            raise InvalidRequestError(f'anthropic-version: "{version}" is not a valid version')
        return version

    async def _body(self, exchange: Exchange) -> bytes:
        return await exchange.body(self._platform.settings.max_body_bytes)


def _one(query: dict[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None
