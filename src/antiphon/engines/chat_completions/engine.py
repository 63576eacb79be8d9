"""An engine in front of a server that is compatible with OpenAI's chat completions."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from weakref import WeakKeyDictionary

from antiphon.engines.base import (
    EngineConfig,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
)
from antiphon.engines.chat_completions.answer import ChatAnswer
from antiphon.engines.chat_completions.count import Counter
from antiphon.engines.chat_completions.options import ChatOptions
from antiphon.engines.chat_completions.request import request_of
from antiphon.engines.http import Upstream
from antiphon.engines.upstreams import ModelCard, capabilities_of, decode_options, find_card


class ChatCompletionsEngine:
    """One model of one upstream. Made by `open_chat_completions`."""

    def __init__(self, upstream: Upstream, options: ChatOptions, card: ModelCard) -> None:
        self.capabilities = replace(capabilities_of(options, card), efforts=options.levels)
        self._upstream = upstream
        self._options = options
        self._model = card.id
        self._counter = Counter(upstream, options, card.id)
        self._counts: WeakKeyDictionary[Prompt, int] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        return self._upstream.open

    async def count_tokens(self, prompt: Prompt) -> int:
        count = self._counts.get(prompt)
        if count is None:
            count = self._counts[prompt] = await self._counter.count(prompt)
        return count

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        room = self.capabilities.context_tokens - await self.count_tokens(prompt)
        # An upstream asked for no token, or for more than fit, refuses.
        most = max(1, min(prompt.max_tokens, room))
        body = request_of(prompt, self._options, self._model, most)
        answer = ChatAnswer(prompt.max_tokens, limited=most < prompt.max_tokens)
        events = self._events(body, answer)
        async with aclosing(events):
            async for event in events:
                if prompt.max_tokens:
                    yield event
        if not prompt.max_tokens:
            yield Finished(FinishReason.MAX_TOKENS)

    async def aclose(self) -> None:
        await self._upstream.aclose()

    async def _events(self, body: bytes, answer: ChatAnswer) -> AsyncGenerator[EngineEvent, None]:
        async with (
            self._upstream.stream("/v1/chat/completions", body) as stream,
            aclosing(stream.frames()) as frames,
        ):
            async for frame in frames:
                for event in answer.feed(frame):
                    stream.flows = True
                    yield event
                if answer.done:
                    stream.complete = True
                    break
        for event in answer.end():
            yield event


async def open_chat_completions(config: EngineConfig) -> ChatCompletionsEngine:
    """Open a model that a server runs; raises `EngineStartError`."""
    options = decode_options(config.model, config.options, ChatOptions)
    key = {} if options.api_key is None else {"Authorization": f"Bearer {options.api_key}"}
    async with AsyncExitStack() as stack:
        upstream = Upstream(options.url, {**key, **options.headers}, options.patience)
        stack.push_async_callback(upstream.aclose)
        card = await find_card(config.model, options, upstream)
        stack.pop_all()
        return ChatCompletionsEngine(upstream, options, card)
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions
