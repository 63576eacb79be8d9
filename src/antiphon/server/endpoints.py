"""What each route does: read, ask the service, write."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from antiphon.core.catalogue import page_limit
from antiphon.core.errors import InvalidRequestError
from antiphon.server.encodings import charset_of, decoded
from antiphon.server.exchange import Exchange
from antiphon.server.hang_ups import HangUps
from antiphon.server.middleware import EXCHANGE
from antiphon.server.responses import folded, write_stream
from antiphon.service.aside import aside
from antiphon.service.messages import Generation
from antiphon.service.platform import Platform
from antiphon.wire.faults import BodyDecoder
from antiphon.wire.messages import SAMPLING, CountTokensParams, CreateMessageParams, TokenCount
from antiphon.wire.sse import EventEncoder

Action: TypeAlias = Callable[[Exchange], Awaitable[None]]

# The versions that are served, and the parameters of a message that each has no longer.
VERSIONS = {"2023-06-01": (), "2026-10-21": SAMPLING}
BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")


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
        version = await self._admit(exchange)
        body = await self._body(exchange)
        params = await aside(len(body), self._create[version].decode, body)
        exchange.fields["model"] = params.model
        with self._hang_ups.stopping(exchange):
            generation = await self._platform.messages.begin(params, version, len(body))
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
        version = await self._admit(exchange)
        body = await self._body(exchange)
        params = await aside(len(body), self._count.decode, body)
        exchange.fields["model"] = params.model
        with self._hang_ups.stopping(exchange):
            count = await self._platform.messages.count_tokens(params, version, len(body))
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
            exchange.header(b"x-api-key"),
            exchange.header(b"authorization"),
            exchange.header(b"anthropic-workspace-id"),
        )
        exchange.fields["key_id"] = caller.key_id
        exchange.headers["anthropic-organization-id"] = caller.organization_id
        if caller.workspace_id is not None:
            exchange.headers["anthropic-workspace-id"] = caller.workspace_id
        version = exchange.header(b"anthropic-version")
        if version is None:
            raise InvalidRequestError("anthropic-version: header is required")
        if version not in VERSIONS:
            raise InvalidRequestError(f'anthropic-version: "{version}" is not a valid version')
        check_betas(exchange.header(b"anthropic-beta"))
        return version

    async def _body(self, exchange: Exchange) -> bytes:
        settings = self._platform.settings
        limit = settings.max_body_bytes
        encoding = exchange.header(b"content-encoding")
        charset = charset_of(exchange.header(b"content-type"))
        body = await exchange.body(limit, settings.request_timeout_s)
        if encoding is not None:
            body = await decoded(body, encoding, limit)
        return body if charset is None else body.decode(charset).encode()


def check_betas(header: str | None) -> None:
    """Take any names of beta features, known or not: what they ask for stands in the request.

    Claude Code sends names that change monthly, so only what cannot be a name is refused.
    """
    if header is None:
        return
    wrong = [name for one in header.split(",") if (name := one.strip()) and not BETA.match(name)]
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        raise InvalidRequestError(
            f"Unexpected value(s) {names} for the `anthropic-beta` header. Please consult our "
            "documentation at platform.claude.com/docs or try again without the header."
        )


def _one(query: dict[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None
