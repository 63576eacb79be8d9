"""llama.cpp's HTTP interface as a token machine; exceptions of the transport end here."""

import asyncio
import time
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, TypeVar

import msgspec

from antiphon.core.images import UNREADABLE
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.process import CHORES
from antiphon.engines.llama.rates import CompletionSpeeds
from antiphon.engines.llama.server_types import (
    CompletionBody,
    DetokenizeAnswer,
    ErasedSlot,
    ErrorBody,
    EvaluatedAnswer,
    MediaPrompt,
    PromptProgress,
    Props,
    RestoredSlot,
    SavedSlot,
    Slot,
    StreamedEvent,
    TokenizeAnswer,
)
from antiphon.engines.llama.session import FIRST_ERROR, LlamaSession
from antiphon.engines.llama.silence import SilenceWatch
from antiphon.engines.llama.supervisor import LlamaServer
from antiphon.engines.states import EngineSpeeds
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from antiphon.transport.base import (
    AsyncResponseStream,
    ConnectError,
    ConnectionLost,
    TransportError,
    TransportTimeout,
)

SILENCE_TIMEOUT_S: Final = 60.0
RECONNECT_S: Final = (0.02, 0.1, 0.5)
UNAVAILABLE: Final = 503
TOKENS_AT_ONCE: Final = 32 * 1024
"""The bytes of an answer with tokens that are read in one turn: half a millisecond."""

BROKEN_IMAGE: Final = "Failed to load image or audio file"

ENDS: Final[Mapping[str, PieceEnd]] = {
    "eos": PieceEnd.MODEL,
    "limit": PieceEnd.LIMIT,
    "word": PieceEnd.STOP,
}

_Errors: TypeAlias = tuple[type[TransportError], ...]
NOT_SENT: Final[_Errors] = (ConnectError,)
REPEATABLE: Final[_Errors] = (ConnectError, ConnectionLost)
"""Errors after which a request may be sent again if a repetition changes nothing; `NOT_SENT`
holds those after which any request may. None is sent again after a time has run out."""


T = TypeVar("T")


class LlamaAnswer:
    """An answer of llama.cpp, and the address that it came from."""

    def __init__(self, address: str, response: AsyncResponseStream) -> None:
        self.address = address
        self.status = response.status
        self._response = response

    async def read(self) -> bytes:
        return await self._response.read(None)

    async def next_piece(self) -> bytes:
        """Return the body as it comes, and `b""` at its end."""
        return await self._response.read_chunk(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        while piece := await self.next_piece():
            yield piece

    def close(self) -> None:
        """End the answer; who waits for more of it gets an error."""
        self._response.close()


class SlotUse:
    """One completion in a slot, and what llama.cpp says about the prompt that it reads there.

    A `fresh` one reuses nothing that the slot holds. `reused` are the tokens that were not read
    again, `None` until llama.cpp has said so; `read` were, in `read_ms` milliseconds.
    """

    def __init__(self, slot: int, *, fresh: bool = False) -> None:
        self.slot = slot
        self.fresh = fresh
        self.reused: int | None = None
        self.read = 0
        self.read_ms = 0.0

    def note(self, progress: PromptProgress) -> None:
        """Note a report of the prompt's progress."""
        self.reused = progress.cache
        self.read = progress.processed - progress.cache
        self.read_ms = progress.time_ms


class LlamaClient:
    """The HTTP client of one llama.cpp. `now` is the clock by which it is silent, in seconds."""

    def __init__(
        self,
        server: LlamaServer,
        session: LlamaSession,
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._now = now
        self._silence_timeout_s = silence_timeout_s
        self._session = session
        self._chores = asyncio.Semaphore(CHORES)
        self._speeds = CompletionSpeeds()

    @property
    def ready(self) -> bool:
        return self._server.ready

    @property
    def speeds(self) -> EngineSpeeds:
        """How fast llama.cpp says that it was in the last minutes."""
        return self._speeds.told(self._now())

    async def props(self) -> Props:
        return decode(await self._ask("GET", "/props"), Props)

    async def slots(self) -> list[Slot]:
        return decode(await self._ask("GET", "/slots"), list[Slot])

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> "array[int]":
        """Tokenize `text`; `control` reads control tokens in it, `ends` adds the model's ends."""
        question = {"content": text, "parse_special": control, "add_special": ends}
        body = msgspec.json.encode(question)
        async with self._chores, self._open("POST", "/tokenize", body, REPEATABLE) as response:
            return await _tokens_in(response.pieces())

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; control tokens as they are spelt."""
        body = msgspec.json.encode({"tokens": list(tokens)})
        return decode(await self._ask("POST", "/detokenize", body), DetokenizeAnswer).content

    async def save_slot(self, slot: int, file: str) -> SavedSlot:
        """Save a slot in a file of the slot folder; waits for an answer that is computed in it."""
        return decode(await self._act(slot, "save", file), SavedSlot)

    async def restore_slot(self, slot: int, file: str) -> RestoredSlot:
        """Restore a file of the slot folder into a slot.

        After an `EngineError` the KV of every slot may be wrong: the child has to be ended.
        """
        return decode(await self._act(slot, "restore", file), RestoredSlot)

    async def erase_slot(self, slot: int) -> int:
        """Empty a slot; returns how many tokens it held."""
        return decode(await self._act(slot, "erase"), ErasedSlot).n_erased

    async def evaluated(self, prompt: MediaPrompt, use: "SlotUse | None" = None) -> int:
        """Let llama.cpp read a prompt, and return its number of tokens."""
        fields = {
            "prompt": prompt,
            "n_predict": 0,
            "id_slot": -1 if use is None else use.slot,
            "cache_prompt": False,
            "response_fields": ["tokens_evaluated"],
        }
        body = msgspec.json.encode(fields)
        async with self._open("POST", "/completion", body) as response:
            return decode(await response.read(), EvaluatedAnswer).tokens_evaluated

    async def complete(
        self,
        request: CompletionRequest,
        media: MediaPrompt | None = None,
        use: "SlotUse | None" = None,
    ) -> AsyncGenerator[Piece, None]:
        """Continue a prompt; if it has images, `media` is sent instead of its tokens.

        `use` names the slot, and learns what was read there; without it llama.cpp chooses one.
        Raises an `EngineError` of the kind `TIMEOUT` when llama.cpp falls silent.
        """
        total = 0
        body = completion_body(request, request.tokens if media is None else media, use)
        # Reading an image has no events, and a foreign server may have a queue.
        from_start = media is None and self._server.supervised
        async with (
            self._open("POST", "/completion", body) as response,
            self._watched(response) as watch,
        ):
            async for line in _lines(response, watch, from_start=from_start):
                if line.startswith(b"data: "):
                    event = decode(line[6:], StreamedEvent)
                    if use is not None and event.prompt_progress is not None:
                        use.note(event.prompt_progress)
                    piece = _piece(event, event.tokens_predicted - total)
                    total = event.tokens_predicted
                    if event.timings is not None and event.stop:
                        self._speeds.note(event.timings, self._now())
                    if total or event.stop:  # before, llama.cpp reports its progress
                        yield piece
                    if event.stop:
                        return
        raise EngineError(EngineErrorKind.FAILED, "llama.cpp ended its answer in the middle")

    @asynccontextmanager
    async def _watched(self, response: LlamaAnswer) -> AsyncIterator[SilenceWatch]:
        """Watch a completion for silence, which ends it."""
        address = response.address

        async def suspect() -> None:
            await self._server.suspect(address)

        def give_up() -> None:
            self._server.end(address, "llama.cpp was silent for too long and is restarted")
            response.close()

        watch = SilenceWatch(self._silence_timeout_s, suspect, give_up, now=self._now)
        watching = asyncio.create_task(watch.run(), name="antiphon-llama-silence")
        try:
            yield watch
        except (TransportError, OSError) as error:
            if not watch.expired:
                raise
            silence = f"llama.cpp was silent for {self._silence_timeout_s:g} s"
            raise EngineError(EngineErrorKind.TIMEOUT, silence) from error
        finally:
            watching.cancel()

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        async with self._chores, self._open(method, path, body, REPEATABLE) as response:
            return await response.read()

    async def _act(self, slot: int, action: str, file: str | None = None) -> bytes:
        body = msgspec.json.encode({} if file is None else {"filename": file})
        # Never sent again: a file that ends llama.cpp would end the next child, too.
        async with self._open("POST", f"/slots/{slot}?action={action}", body) as response:
            return await response.read()

    async def look(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return the status and the body of an answer as they are, of a server that is not known.

        Raises `EngineError` if there is none.
        """
        async with self._reach(method, path, body, NOT_SENT) as response:
            return response.status, await response.read()

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: bytes | None, again: _Errors = NOT_SENT
    ) -> AsyncIterator[LlamaAnswer]:
        async with self._reach(method, path, body, again) as response:
            if response.status >= FIRST_ERROR:
                raise refused(response.status, await response.read())
            yield response

    @asynccontextmanager
    async def _reach(
        self, method: str, path: str, body: bytes | None, again: _Errors
    ) -> AsyncIterator[LlamaAnswer]:
        try:
            response = await self._send(method, path, body, again)
            try:
                yield response
            finally:
                response.close()
        except ConnectError as error:
            raise EngineError(EngineErrorKind.OVERLOADED, f"llama.cpp is away: {error}") from error
        except (TransportError, OSError, ValueError) as error:
            raise EngineError(EngineErrorKind.FAILED, f"llama.cpp broke off: {error}") from error

    async def _send(
        self, method: str, path: str, body: bytes | None, again: _Errors
    ) -> LlamaAnswer:
        """Send a request, and once more after errors in `again`, as after a crash of the child."""
        for pause_s in RECONNECT_S:
            try:
                return await self._sent(method, path, body)
            except again as error:
                if isinstance(error, TransportTimeout):
                    raise
                await asyncio.sleep(pause_s)
        return await self._sent(method, path, body)

    async def _sent(self, method: str, path: str, body: bytes | None) -> LlamaAnswer:
        address = await self._server.address()
        return LlamaAnswer(address, await self._session.send(method, address + path, body))


def decode(body: bytes, kind: type[T]) -> T:
    """Decode an answer of llama.cpp; raises `EngineError` for one of another form."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise EngineError(
            EngineErrorKind.FAILED, f"llama.cpp answered what it should not: {error}"
        ) from error


async def _tokens_in(answer: AsyncIterator[bytes]) -> "array[int]":
    """Read the answer to `/tokenize`, a piece in a turn of the event loop.

    That to a text of 32 MB has 200 MB, and would hold the loop for seconds.
    """
    tokens = array("i")
    rest = b""
    async for piece in answer:
        rest += piece
        if len(rest) >= TOKENS_AT_ONCE and (last := rest.rfind(b",")) > 0:
            tokens.extend(decode(rest[:last] + b"]}", TokenizeAnswer).tokens)
            rest = b'{"tokens":[' + rest[last + 1 :]
            # There may be more already, for which reading does not wait.
            await asyncio.sleep(0)
    tokens.extend(decode(rest, TokenizeAnswer).tokens)
    return tokens


async def _lines(
    response: LlamaAnswer, watch: SilenceWatch, *, from_start: bool
) -> AsyncGenerator[bytes, None]:
    rest = b""
    if from_start:
        watch.waiting()
    while part := await response.next_piece():
        watch.heard()
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
        watch.waiting()


def completion_body(
    request: CompletionRequest, prompt: list[int] | MediaPrompt, use: "SlotUse | None" = None
) -> bytes:
    """Return the body of a request for a stream of `StreamedEvent`."""
    return msgspec.json.encode(
        CompletionBody(
            prompt=prompt,
            id_slot=-1 if use is None else use.slot,
            n_predict=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            grammar=request.grammar,
            stop=request.stop,
            preserved_tokens=request.shown,
            stream=True,
            cache_prompt=use is None or not use.fresh,
            return_tokens=True,
            # An event after each batch: llama.cpp notices a hang-up only when it sends.
            return_progress=True,
            # Without it the last event repeats the prompt.
            response_fields=StreamedEvent.__struct_fields__,
        )
    )


def _piece(event: StreamedEvent, count: int) -> Piece:
    """Return the piece of an event; `count` is the number of tokens since the event before."""
    if event.error is not None:
        message = event.error.get("message")
        raise EngineError(EngineErrorKind.FAILED, f"llama.cpp gave up: {message}")
    if not event.stop:
        tokens = event.tokens if len(event.tokens) == count else None
        return Piece(text=event.content, count=count, tokens=tokens)
    end = ENDS.get(event.stop_type)
    if end is None:
        raise EngineError(
            EngineErrorKind.FAILED,
            f"llama.cpp stopped for an unknown reason: {event.stop_type!r}",
        )
    return Piece(text=event.content, count=count, end=end)


def refused(status: int, body: bytes) -> EngineError:
    """Return the error for an answer of llama.cpp with this status."""
    try:
        refusal = msgspec.json.decode(body, type=ErrorBody).error
    except msgspec.DecodeError:
        refusal = ErrorBody.Error("without a reason")
    if refusal.message == BROKEN_IMAGE:
        return EngineError(EngineErrorKind.UNSUPPORTED, UNREADABLE)
    if refusal.n_prompt_tokens is not None and refusal.n_ctx is not None:
        too_long = f"{refusal.n_prompt_tokens} tokens > {refusal.n_ctx} maximum"
        return EngineError(EngineErrorKind.UNSUPPORTED, f"prompt is too long: {too_long}")
    kind = EngineErrorKind.OVERLOADED if status == UNAVAILABLE else EngineErrorKind.FAILED
    return EngineError(kind, f"llama.cpp refused with status {status}: {refusal.message}")
