"""An engine in front of a server that speaks the Claude API."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from antiphon.engines.base import Engine, EngineConfig, Prompt, checked, decode_options
from antiphon.engines.upstream.engine import open_upstream
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.upstream.messages_api.answer import UpstreamMessage
from antiphon.engines.upstream.messages_api.events import Reader
from antiphon.engines.upstream.messages_api.options import MessagesOptions
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.engines.upstream.messages_api.request import count_of, headers_of, request_of
from antiphon.engines.upstream.options import ModelCard, capabilities_of, estimate


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


class MessagesApi:
    """The vocabulary of the Claude API."""

    path = "/v1/messages"

    def __init__(self, upstream: Upstream, options: MessagesOptions, card: ModelCard) -> None:
        self.capabilities = replace(
            capabilities_of(options, card),
            counts_exactly=False,
            cache_ttls=("5m", "1h"),
            loads_tools=options.defer_loading,
        )
        self._upstream = upstream
        self._options = options
        self._model = card.id
        self._envelope = ProofEnvelope(options.url, card.id)
        self._reader = Reader()

    def request(self, prompt: Prompt, max_tokens: int) -> bytes:
        return request_of(prompt, self._options, self._envelope, self._model, max_tokens)

    def headers(self, prompt: Prompt) -> Mapping[str, str]:
        return headers_of(prompt, self._options)

    def answer(self, prompt: Prompt, *, limited: bool) -> UpstreamMessage:
        return UpstreamMessage(prompt.max_tokens, self._envelope, self._reader, limited=limited)

    async def count(self, prompt: Prompt) -> int:
        if self._options.count == "estimate":
            return estimate(prompt)
        body = count_of(prompt, self._options, self._envelope, self._model)
        counted = await self._upstream.ask(
            "POST", "/v1/messages/count_tokens", body, _Count, self.headers(prompt)
        )
        return counted.input_tokens


def check_messages_api(config: EngineConfig) -> None:
    """Check the options. Raises `EngineStartError`."""
    decode_options(config.model, config.options, MessagesOptions)


@checked(check_messages_api)
async def open_messages_api(config: EngineConfig) -> Engine:
    """Open a model that a server runs; raises `EngineStartError`."""
    options = decode_options(config.model, config.options, MessagesOptions)
    key = {} if options.api_key is None else {"x-api-key": options.api_key}
    headers = {"anthropic-version": options.version, **key}
    return await open_upstream(config, options, headers, MessagesApi)
