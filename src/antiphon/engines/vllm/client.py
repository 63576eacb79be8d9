"""vLLM's HTTP interface as a token machine."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, Final

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from antiphon.engines.token_server.decoding import PieceDecoder, TextDecoder
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Upstream, decode, failed
from antiphon.engines.upstream.refusals import RefusedError, refusal, sentence
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
LEAST_TOP_P: Final = 1e-6
"""vLLM refuses a `top_p` of 0, which means the likeliest token alone."""
DONE: Final = "[DONE]"
FAILURE: Final = 500


class VllmClient:
    """The client of one vLLM server, for its model of the name `model`.

    With `priority` the server is told which requests can wait.
    """

    def __init__(
        self, upstream: Upstream, model: str, vocabulary: Vocabulary, *, priority: bool = False
    ) -> None:
        self.model = model
        self.priority = priority
        self.vocabulary = vocabulary
        self._upstream = upstream

    @property
    def open(self) -> bool:
        return self._upstream.open

    async def version(self) -> str | None:
        """Return the version of the server; `None` if it does not tell, as routers do not."""
        try:
            return (await self._upstream.ask("GET", "/version", None, Version)).version
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
        return await self._upstream.ask("POST", PATH, msgspec.json.encode(body), Completion)

    async def complete(
        self, request: CompletionRequest, salt: str, *, in_batch: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early closes the connection, which ends it."""
        pieces = PieceDecoder(
            TextDecoder(self.vocabulary, request.tokens, request.shown), request.stop
        )
        body = self._completion(request, salt, in_batch=in_batch)
        counted = 0
        async with self._upstream.stream(PATH, msgspec.json.encode(body)) as stream:
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
        raise _unended()

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
        top_p = request.top_p
        return msgspec.structs.replace(
            self._body(request.tokens, salt, in_batch=in_batch),
            # No token at all cannot be asked for.
            max_tokens=max(1, request.max_tokens),
            temperature=request.temperature,
            top_p=None if top_p is None else max(top_p, LEAST_TOP_P),
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
            raise _unended()
        event = decode(frame.data, Completion)
        if event.error is not None:
            raise _broken(event.error)
        yield event


def _unended() -> EngineError:
    return failed("it ended an answer in the middle")


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


def _pieces(pieces: PieceDecoder, choice: Choice) -> "list[Piece]":
    """Return the pieces of one event. The token that ends an answer is no part of its text."""
    tokens, reason = _tokens(choice), choice.finish_reason
    is_end = reason == "stop" and not isinstance(choice.stop_reason, str)
    found = list(pieces.feed(tokens[:-1] if is_end else tokens))
    if pieces.ended or reason is None:
        return found
    if is_end:
        return [*found, *pieces.end(PieceEnd.MODEL, min(1, len(tokens)))]
    if reason == "stop":
        return [*found, *pieces.end(PieceEnd.STOP)]
    if reason == "length":
        return [*found, *pieces.end(PieceEnd.LIMIT)]
    raise failed(f"the answer was broken off: {reason}")


def _broken(error: Any) -> EngineError:
    """Return the error that an event of a stream tells of."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) else FAILURE
    found: RefusedError = refusal(status, sentence(error), None, error)
    return found
