"""An engine in front of a server that is compatible with OpenAI's chat completions."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from antiphon.engines.base import (
    Capabilities,
    Engine,
    EngineConfig,
    Prompt,
    checked,
    decode_options,
)
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.engines.upstream.chat_completions.count import Counter
from antiphon.engines.upstream.chat_completions.forced import ForcedAnswer, is_forced
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.chat_completions.request import request_of
from antiphon.engines.upstream.engine import Answering, open_upstream
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.upstream.options import ModelCard, capabilities_of

KNOWING_SALTS: Final = frozenset({"vllm", "sglang"})
"""What servers call themselves that keep salts apart."""


class ChatCompletions:
    """The vocabulary of chat completions.

    Its usage comes with the last chunk, so the prompt is counted first. Where the server cannot
    count, the first size is an estimate, and only the usage is true.
    """

    path = "/v1/chat/completions"

    def __init__(self, upstream: Upstream, options: ChatOptions, card: ModelCard) -> None:
        self._exact = replace(capabilities_of(options, card), efforts=options.levels)
        self._estimated = replace(self._exact, counts_exactly=False)
        self._options = options
        self._model = card.id
        self._reader = ChunkReader()
        # It may be any value.
        knows = isinstance(card.owned_by, str) and card.owned_by in KNOWING_SALTS
        self._salted = knows if options.cache_salt is None else options.cache_salt
        self._counter = Counter(upstream, options, card.id)

    @property
    def capabilities(self) -> Capabilities:
        return self._estimated if self._counter.estimates else self._exact

    def request(self, prompt: Prompt, max_tokens: int) -> bytes:
        return request_of(prompt, self._options, self._model, max_tokens, salted=self._salted)

    def headers(self, _prompt: Prompt) -> Mapping[str, str]:
        return {}

    def answer(self, prompt: Prompt, *, limited: bool) -> Answering:
        answer = ChatAnswer(prompt.max_tokens, self._reader, limited=limited)
        return ForcedAnswer(answer, prompt) if is_forced(prompt, self._options) else answer

    async def count(self, prompt: Prompt) -> int:
        return await self._counter.count(prompt)


def check_chat_completions(config: EngineConfig) -> None:
    """Check the options. Raises `EngineStartError`."""
    decode_options(config.model, config.options, ChatOptions)


@checked(check_chat_completions)
async def open_chat_completions(config: EngineConfig) -> Engine:
    """Open a model that a server runs; raises `EngineStartError`."""
    options = decode_options(config.model, config.options, ChatOptions)
    key = {} if options.api_key is None else {"Authorization": f"Bearer {options.api_key}"}
    return await open_upstream(config, options, key, ChatCompletions)
