"""`/v1/messages`: generate an answer, as a stream or whole, and count the tokens of a prompt."""

from functools import partial
from urllib.parse import quote

from antiphon.core.errors import ApiError
from antiphon.core.hints import hints_of
from antiphon.core.limits.rate_limits import TOKEN_COUNT
from antiphon.server.call_limits import lacks_limits
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.hang_ups import HangUps
from antiphon.server.http.requests import Request
from antiphon.server.http.responses import write_stream
from antiphon.service.access import Caller, RequestContext
from antiphon.service.answer import Answer
from antiphon.service.caching import CACHE_HEADER
from antiphon.service.platform import Platform
from antiphon.wire.decoding import BodyError
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, TokenCount
from antiphon.wire.sse import EventEncoder

_MOST_DIGITS = 10
# What a model's id has beyond these characters is percent-encoded in its header.
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


class MessageEndpoints:
    """The endpoints of messages, over one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._encoder = EventEncoder()
        self._hang_ups = HangUps()
        self._names = {model: quote(model, safe=PRINTABLE) for model in platform.models.ids}

    async def create_message(self, request: Request[CreateMessageParams]) -> None:
        exchange, params = request.exchange, request.params
        exchange.fields["model"] = shortened(params.model)
        context = RequestContext(
            request.caller,
            exchange.request_id,
            request.version,
            request.size,
            _retries(exchange),
            hints_of(exchange.header),
            waits=exchange.waits,
            hold=request.share.add_files,
        )
        with self._hang_ups.stopping(exchange):
            async with self._platform.messages.answer(params, context) as answer:
                exchange.answer = answer
                exchange.headers |= answer.headers
                exchange.headers["x-antiphon-model"] = self._names[answer.model]
                try:
                    await self._write(exchange, answer, stream=params.stream)
                finally:
                    # A caller that hung up got nothing, but the model has worked for it.
                    if exchange.started or exchange.gone:
                        answer.mark_due()
                    exchange.fields["input_tokens"] = answer.input_tokens
                    exchange.fields["output_tokens"] = answer.output_tokens
                    if any(cached := answer.cached_tokens):
                        names = ("cache_read_input_tokens", "cache_creation_input_tokens")
                        exchange.fields |= zip(names, cached, strict=True)

    async def _write(self, exchange: Exchange, answer: Answer, *, stream: bool) -> None:
        if stream:
            interval = self._platform.settings.ping_interval_s
            note_cache = partial(_note_cache, exchange, answer)
            await write_stream(exchange, answer.generate, self._encoder, interval, note_cache)
        else:
            message = await answer.message()
            _note_cache(exchange, answer)
            await exchange.respond(200, message)

    async def count_tokens(self, request: Request[CountTokensParams]) -> TokenCount | None:
        """Count the tokens of a prompt; the draw of a refused request is given back."""
        exchange, caller, params = request.exchange, request.caller, request.params
        admitter = self._platform.admitter
        exchange.fields["model"] = shortened(params.model)
        context = RequestContext(
            caller,
            exchange.request_id,
            request.version,
            request.size,
            hold=request.share.add_files,
        )
        with self._hang_ups.stopping(exchange):
            exchange.headers |= await admitter.admit_call(
                caller, exchange.request_id, TOKEN_COUNT, params.model
            )
            try:
                count = await self._platform.messages.count_tokens(params, context)
            except ApiError:
                exchange.headers |= await admitter.give_back_call(caller, TOKEN_COUNT)
                raise
            return TokenCount(input_tokens=count)
        return None

    async def add_message_limits(
        self, exchange: Exchange, caller: Caller, error: ApiError | BodyError
    ) -> None:
        """Add the headers of the limits to the refusal of a message."""
        if lacks_limits(exchange, error):
            name = exchange.fields.get("model")
            exchange.headers |= await self._platform.messages.remaining_headers(caller, name)


def _note_cache(exchange: Exchange, answer: Answer) -> None:
    """Say in a header what the request reads from the prompt cache, as far as it is known now."""
    header = answer.cache_header
    if header is not None:
        exchange.headers[CACHE_HEADER] = header


def _retries(exchange: Exchange) -> int | None:
    """Return the number of earlier tries, which the official SDKs send."""
    sent = exchange.header(b"x-stainless-retry-count")
    return int(sent) if sent is not None and sent.isdecimal() and len(sent) < _MOST_DIGITS else None
