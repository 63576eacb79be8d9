"""SGLang's HTTP interface as a token machine."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.sglang.server_types import (
    DetokenizeBody,
    Detokenized,
    GenerateBody,
    Generated,
    Meta,
    Sampling,
    ServerInfo,
)
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token_server.answers import (
    DONE,
    FAILURE,
    broken,
    pieces_of,
    sent_top_p,
    unended,
)
from antiphon.engines.token_server.client import ServerClient
from antiphon.engines.token_server.decoding import PieceDecoder, TextDecoder
from antiphon.engines.upstream.http import Upstream, decode, failed
from antiphon.engines.upstream.refusals import refusal
from antiphon.wire.sse import Frame

PATH: Final = "/generate"
URGENCY: Final = 100
"""How far the priority of batches is from 0, that of all others. SGLang takes those without a
priority last."""
EVERY_TOKEN: Final = -1
"""SGLang's `top_k` for no limit."""

T = TypeVar("T")


class SglangClient(ServerClient):
    """The client of one SGLang server."""

    low_values_first = False
    """Whether the server takes low priorities first."""

    async def info(self) -> ServerInfo:
        """Return how the server was started; nothing if it does not tell, as routers do not."""
        return await told(self.upstream, "/server_info", ServerInfo)

    async def version(self) -> str | None:
        return (await self.info()).version

    async def read(self, tokens: Sequence[int], salt: str, *, in_batch: bool = False) -> Generated:
        """Let SGLang read a prompt, and return what it says of it."""
        body = self._body(
            tokens, Sampling(max_new_tokens=1, temperature=0.0), salt, in_batch=in_batch
        )
        return await self.upstream.ask("POST", PATH, msgspec.json.encode(body), Generated)

    async def echoed(self, tokens: Sequence[int]) -> str:
        """Return what SGLang takes tokens for.

        It is asked for nothing but that: a token that its model does not have ends the server.
        """
        body = msgspec.json.encode(DetokenizeBody(self.model, list(tokens)))
        return (await self.upstream.ask("POST", "/v1/detokenize", body, Detokenized)).text

    async def complete(
        self,
        request: CompletionRequest,
        salt: str,
        *,
        in_batch: bool = False,
        tell_cached: Callable[[int], None] | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early closes the connection, which ends it.

        `tell_cached` is called before the first piece, with the tokens of the prompt that SGLang
        had. It is not told the stop texts: it misses some, and they are found here.
        """
        pieces = PieceDecoder(
            TextDecoder(self.vocabulary, request.tokens, request.shown), request.stop
        )
        body = msgspec.structs.replace(
            self._body(request.tokens, _sampling(request), salt, in_batch=in_batch), stream=True
        )
        counted = 0
        async with self.upstream.stream(PATH, msgspec.json.encode(body)) as stream:
            while frames := await stream.read():
                for meta, output in _events(frames):
                    stream.flows = True
                    tokens = _new_tokens(meta, output, len(request.tokens), counted)
                    if tell_cached is not None:
                        tell_cached(meta.cached_tokens or 0)
                        tell_cached = None
                    counted += len(tokens)
                    reason = meta.finish_reason
                    why = None if reason is None else reason.type
                    for piece in pieces_of(pieces, tokens, why):
                        yield piece
                    if pieces.ended:
                        stream.complete = reason is not None
                        return
        raise unended()

    def _body(
        self, tokens: Sequence[int], sampling: Sampling, salt: str, *, in_batch: bool
    ) -> GenerateBody:
        urgency = 0
        if in_batch:
            urgency = URGENCY if self.low_values_first else -URGENCY
        return GenerateBody(
            input_ids=list(tokens),
            sampling_params=sampling,
            extra_key=salt or None,
            priority=urgency if self.priority else None,
        )


async def told(upstream: Upstream, path: str, kind: type[T]) -> T:
    """Return what a server tells of itself, nothing if it refuses. Raises if it is away."""
    try:
        return await upstream.ask("GET", path, None, kind)
    except EngineError as error:
        if error.kind in (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT):
            raise
        return kind()


def _sampling(request: CompletionRequest) -> Sampling:
    return Sampling(
        # What is only read writes one token, as on vLLM.
        max_new_tokens=max(1, request.max_tokens),
        temperature=request.temperature,
        top_p=sent_top_p(request.top_p),
        top_k=EVERY_TOKEN if request.top_k == 0 else request.top_k,
        ebnf=request.grammar,
    )


def _events(frames: Sequence[Frame]) -> Iterator[tuple[Meta, list[int]]]:
    """Yield what frames say. Raises `EngineError` for an error, or an end before its time."""
    for frame in frames:
        if frame.data == DONE:
            raise unended()
        event = decode(frame.data, Generated)
        if event.error is not None:
            raise broken(event.error)
        if event.meta_info is None or event.output_ids is None:
            raise failed("it does not tell the tokens of its answer (`output_ids`, `meta_info`)")
        reason = event.meta_info.finish_reason
        if reason is not None and reason.type == "abort":
            raise refusal(reason.status_code or FAILURE, reason.message)
        yield event.meta_info, event.output_ids


def _new_tokens(meta: Meta, output: list[int], prompt: int, before: int) -> list[int]:
    """Return the tokens that are new in an event, behind `before` others.

    Raises `EngineError` if SGLang has counted other tokens than were sent and came.
    """
    if meta.prompt_tokens != prompt:
        raise failed(f"it read {meta.prompt_tokens} tokens where {prompt} were sent")
    if meta.completion_tokens == len(output):
        return output[before:]
    if meta.completion_tokens == before + len(output):
        return output
    raise failed(f"it counted {meta.completion_tokens} tokens where {before + len(output)} came")
