"""vLLM's HTTP interface as a token machine."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Final

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token_server.answers import DONE, broken, pieces_of, sent_top_p, unended
from antiphon.engines.token_server.client import ServerClient
from antiphon.engines.token_server.decoding import PieceDecoder, TextDecoder
from antiphon.engines.upstream.http import decode, failed
from antiphon.engines.vllm.server_types import (
    Choice,
    Completion,
    CompletionBody,
    Grammar,
    StreamOptions,
    Usage,
    Version,
)
from antiphon.wire.sse import Frame

PATH: Final = "/v1/completions"
BATCH_PRIORITY: Final = 100
"""The priority of requests of batches: vLLM takes lower ones first, and 0 is that of all others."""


class VllmClient(ServerClient):
    """The client of one vLLM server."""

    async def version(self) -> str | None:
        """Return the version of the server; `None` if it does not tell, as routers do not."""
        try:
            return (await self.upstream.ask("GET", "/version", None, Version)).version
        except EngineError as error:
            if error.kind is EngineErrorKind.OVERLOADED:
                raise
            return None

    async def read(self, tokens: Sequence[int], salt: str, *, in_batch: bool = False) -> Usage:
        """Let vLLM read a prompt, and return what it says of it."""
        answer = await self.ask(self._body(tokens, salt, in_batch=in_batch))
        if answer.usage is None:
            raise failed("it counted nothing")
        return answer.usage

    async def echoed(self, tokens: Sequence[int]) -> str:
        """Return what vLLM takes tokens for, and a token of an answer."""
        body = msgspec.structs.replace(self._body(tokens, "", in_batch=False), echo=True)
        return "".join(choice.text for choice in (await self.ask(body)).choices)

    async def ask(self, body: CompletionBody) -> Completion:
        return await self.upstream.ask("POST", PATH, msgspec.json.encode(body), Completion)

    async def complete(
        self, request: CompletionRequest, salt: str, *, in_batch: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early closes the connection, which ends it."""
        pieces = PieceDecoder(
            TextDecoder(self.vocabulary, request.tokens, request.shown), request.stop
        )
        body = self._completion(request, salt, in_batch=in_batch)
        counted = 0
        async with self.upstream.stream(PATH, msgspec.json.encode(body)) as stream:
            while frames := await stream.read():
                for event in _events(frames):
                    stream.flows = True
                    for choice in event.choices[:1]:
                        counted += len(_tokens(choice))
                        _check(event.usage, len(request.tokens), counted)
                        for piece in _pieces(pieces, choice):
                            yield piece
                    if pieces.ended:
                        stream.complete = True
                        return
        raise unended()

    def _body(self, tokens: Sequence[int], salt: str, *, in_batch: bool) -> CompletionBody:
        return CompletionBody(
            model=self.model,
            prompt=list(tokens),
            max_tokens=1,
            temperature=0.0,
            # vLLM refuses an empty one.
            cache_salt=salt or None,
            priority=BATCH_PRIORITY if in_batch and self.priority else 0,
        )

    def _completion(
        self, request: CompletionRequest, salt: str, *, in_batch: bool
    ) -> CompletionBody:
        return msgspec.structs.replace(
            self._body(request.tokens, salt, in_batch=in_batch),
            # No token at all cannot be asked for.
            max_tokens=max(1, request.max_tokens),
            temperature=request.temperature,
            top_p=sent_top_p(request.top_p),
            top_k=request.top_k,
            structured_outputs=None if request.grammar is None else Grammar(request.grammar),
            stop=request.stop,
            # A stop text may be a control token.
            skip_special_tokens=False,
            stream=True,
            stream_options=StreamOptions(),
            return_token_ids=True,
        )


def _events(frames: Sequence[Frame]) -> Iterator[Completion]:
    """Yield what frames say. Raises `EngineError` for an error, or an end before its time."""
    for frame in frames:
        if frame.data == DONE:
            raise unended()
        event = decode(frame.data, Completion)
        if event.error is not None:
            raise broken(event.error)
        yield event


def _tokens(choice: Choice) -> list[int]:
    if choice.token_ids is None:
        raise failed("it does not tell the tokens of its answer (`return_token_ids`)")
    return choice.token_ids


def _check(usage: Usage | None, prompt: int, answer: int) -> None:
    """Raise `EngineError` if vLLM has counted other tokens than were sent and came."""
    if usage is None:
        return
    if usage.prompt_tokens != prompt:
        raise failed(f"it read {usage.prompt_tokens} tokens where {prompt} were sent")
    if usage.completion_tokens not in (None, answer):
        raise failed(f"it counted {usage.completion_tokens} tokens where {answer} came")


def _pieces(pieces: PieceDecoder, choice: Choice) -> list[Piece]:
    by_model = not isinstance(choice.stop_reason, str)
    return pieces_of(pieces, _tokens(choice), choice.finish_reason, by_model=by_model)
