"""The engine in front of another server, for every vocabulary."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from antiphon.core.token_bounds import tokens_at_most
from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
)
from antiphon.engines.upstream.checked_calls import CheckedCalls
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.upstream.options import ModelCard, UpstreamOptions, find_card
from antiphon.wire.sse import Frame

Options = TypeVar("Options", bound=UpstreamOptions)


class Answering(Protocol):
    """One answer in the upstream's vocabulary. Call `feed_all` until `done`, then `end`.

    `begun` is true once a part of the answer has come. Frames are read as their events are taken,
    so what comes before a fault has been returned when it is raised.
    """

    @property
    def done(self) -> bool: ...

    @property
    def begun(self) -> bool: ...

    def feed_all(self, frames: Sequence[Frame]) -> Iterable[EngineEvent]: ...

    def end(self) -> Sequence[EngineEvent]: ...


class Dialect(Protocol):
    """One vocabulary of upstreams: its path, its requests, and its answers.

    `capabilities` are the served model's, as far as they are known now. `request` asks for at most
    `max_tokens`; `headers` are those of this request alone; `limited` is true if the context has
    room for less than the caller's limit.
    """

    @property
    def path(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def request(self, prompt: Prompt, max_tokens: int) -> bytes: ...

    def headers(self, prompt: Prompt, /) -> Mapping[str, str]: ...

    def answer(self, prompt: Prompt, *, limited: bool) -> Answering: ...

    async def count(self, prompt: Prompt) -> int: ...


class _Silence:
    """Drops the content of an answer of no tokens: upstreams generate at least one."""

    closed = False
    passes_text = False

    def feed(self, event: EngineEvent) -> list[EngineEvent]:
        if isinstance(event, Finished):
            return [Finished(FinishReason.MAX_TOKENS, prompt=event.prompt)]
        return []


class UpstreamEngine:
    """One model of one upstream. Made by `open_upstream`."""

    def __init__(self, upstream: Upstream, dialect: Dialect) -> None:
        self._upstream = upstream
        self._dialect = dialect
        self._counts: WeakKeyDictionary[Prompt, int] = WeakKeyDictionary()

    @property
    def capabilities(self) -> Capabilities:
        return self._dialect.capabilities

    @property
    def ready(self) -> bool:
        return self._upstream.open

    async def count_tokens(self, prompt: Prompt) -> int:
        count = self._counts.get(prompt)
        if count is None:
            count = self._counts[prompt] = await self._dialect.count(prompt)
        return count

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        most = await self._most(prompt)
        body = self._dialect.request(prompt, most)
        answer = self._dialect.answer(prompt, limited=most < prompt.max_tokens)
        told: Started | None = None
        if self.capabilities.counts_exactly:
            told = Started(input_tokens=await self.count_tokens(prompt))
            yield told
        gate = CheckedCalls(prompt) if prompt.max_tokens else _Silence()
        headers = self._dialect.headers(prompt)
        async with self._upstream.stream(self._dialect.path, body, headers) as stream:
            ended = False
            while not ended:
                frames = await stream.read()
                ended = not frames
                for event in answer.end() if ended else answer.feed_all(frames):
                    if type(event) is TextChunk and gate.passes_text and told is not None:
                        # Nearly every event of a stream is one of these.
                        yield event
                        continue
                    if isinstance(event, Started):
                        if told is None:
                            told = event
                            yield told
                        continue
                    if told is None:
                        # The upstream has not reported the size of the prompt, so it is counted.
                        told = Started(input_tokens=await self.count_tokens(prompt))
                        yield told
                    for passed in gate.feed(event):
                        yield _corrected(passed, told)
                    if gate.closed:
                        return
                stream.complete, stream.flows = answer.done, answer.begun

    async def aclose(self) -> None:
        await self._upstream.aclose()

    async def _most(self, prompt: Prompt) -> int:
        """Return the number of tokens to ask for.

        Upstreams refuse requests for no token, or for more than fit. The prompt is counted only if
        they might not fit.
        """
        context = self.capabilities.context_tokens
        if not self.capabilities.counts_exactly and prompt not in self._counts:
            prompt_tokens = tokens_at_most(prompt)
            if prompt_tokens is not None and prompt_tokens + prompt.max_tokens <= context:
                return max(1, prompt.max_tokens)
        return max(1, min(prompt.max_tokens, context - await self.count_tokens(prompt)))


def _corrected(event: EngineEvent, told: Started) -> EngineEvent:
    """Return an event; its size of the prompt is left out where it has been told before."""
    if isinstance(event, Finished) and event.prompt == told:
        return replace(event, prompt=None)
    return event


async def open_upstream(
    config: EngineConfig,
    options: Options,
    headers: Mapping[str, str],
    dialect: Callable[[Upstream, Options, ModelCard], Dialect],
) -> UpstreamEngine:
    """Open a model that a server runs; raises `EngineStartError`."""
    async with AsyncExitStack() as stack:
        upstream = Upstream(options.url, {**headers, **options.headers}, options.patience)
        stack.push_async_callback(upstream.aclose)
        card = await find_card(config.model, options, upstream)
        stack.pop_all()
        return UpstreamEngine(upstream, dialect(upstream, options, card))
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions
