"""An engine in front of a server that speaks the Claude API."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from weakref import WeakKeyDictionary

import msgspec

from antiphon.engines.base import (
    EngineConfig,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
)
from antiphon.engines.http import Upstream
from antiphon.engines.messages_api.answer import UpstreamMessage
from antiphon.engines.messages_api.options import MessagesOptions
from antiphon.engines.messages_api.request import count_of, request_of
from antiphon.engines.upstreams import (
    ModelCard,
    capabilities_of,
    decode_options,
    estimate,
    find_card,
)


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


class MessagesApiEngine:
    """One model of one upstream. Made by `open_messages_api`."""

    def __init__(self, upstream: Upstream, options: MessagesOptions, card: ModelCard) -> None:
        self.capabilities = capabilities_of(options, card)
        self._upstream = upstream
        self._options = options
        self._model = card.id
        self._counts: WeakKeyDictionary[Prompt, int] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        return self._upstream.open

    async def count_tokens(self, prompt: Prompt) -> int:
        count = self._counts.get(prompt)
        if count is None:
            count = self._counts[prompt] = await self._count(prompt)
        return count

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        room = self.capabilities.context_tokens - await self.count_tokens(prompt)
        # Not every upstream takes 0, and not every one takes more than it has room for.
        most = max(1, min(prompt.max_tokens, room))
        body = request_of(prompt, self._options, self._model, most)
        answer = UpstreamMessage(prompt.max_tokens, limited=most < prompt.max_tokens)
        async with aclosing(self._events(body, answer)) as events:
            async for event in events:
                if prompt.max_tokens:
                    yield event
        yield answer.end() if prompt.max_tokens else Finished(FinishReason.MAX_TOKENS)

    async def aclose(self) -> None:
        await self._upstream.aclose()

    async def _count(self, prompt: Prompt) -> int:
        if self._options.count == "estimate":
            return estimate(prompt)
        body = count_of(prompt, self._options, self._model)
        counted = await self._upstream.ask("POST", "/v1/messages/count_tokens", body, _Count)
        return counted.input_tokens

    async def _events(
        self, body: bytes, answer: UpstreamMessage
    ) -> AsyncGenerator[EngineEvent, None]:
        async with (
            self._upstream.stream("/v1/messages", body) as stream,
            aclosing(stream.frames()) as frames,
        ):
            async for frame in frames:
                for event in answer.feed(frame):
                    stream.flows = True
                    yield event
                if answer.done:
                    stream.complete = True
                    break


async def open_messages_api(config: EngineConfig) -> MessagesApiEngine:
    """Open a model that a server runs; raises `EngineStartError`."""
    options = decode_options(config.model, config.options, MessagesOptions)
    key = {} if options.api_key is None else {"x-api-key": options.api_key}
    headers = {"anthropic-version": options.version, **key, **options.headers}
    async with AsyncExitStack() as stack:
        upstream = Upstream(options.url, headers, options.patience)
        stack.push_async_callback(upstream.aclose)
        card = await find_card(config.model, options, upstream)
        stack.pop_all()
        return MessagesApiEngine(upstream, options, card)
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions
