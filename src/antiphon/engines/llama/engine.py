"""llama.cpp as an engine: prompts in, events out, through the model's own chat template."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp

from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
)
from antiphon.engines.llama.client import (
    Completion,
    LlamaClient,
    Piece,
    Props,
    is_healthy,
    open_session,
)
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.engines.llama.process import ChildProcess, child_config, start_child
from antiphon.engines.llama.supervisor import Remote, Supervisor, Upstream
from antiphon.engines.llama.template import ChatTemplate, TemplateUnusableError
from antiphon.engines.llama.tokens import Tokens

REPLACEMENT: Final = "\ufffd"


class LlamaEngine:
    """One model in llama.cpp. Made by `open_llama`."""

    def __init__(
        self,
        client: LlamaClient,
        props: Props,
        template: ChatTemplate,
        tokens: Tokens,
        resources: AsyncExitStack,
    ) -> None:
        context = props.default_generation_settings.n_ctx
        self.capabilities = Capabilities(context_tokens=context)
        self.client = client
        self._template = template
        self._tokens = tokens
        self._resources = resources
        self._of_prompt: WeakKeyDictionary[Prompt, list[int]] = WeakKeyDictionary()
        # Who has no slot waits here and not in llama.cpp, where each of them would hold one of
        # the threads that also tokenize and say that all is well.
        self._slots = asyncio.Semaphore(props.total_slots)

    @property
    def ready(self) -> bool:
        return self.client.ready

    async def count_tokens(self, prompt: Prompt) -> int:
        return len(await self.tokens_of(prompt))

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        completion = self._completion(prompt, await self.tokens_of(prompt))
        limited = completion.n_predict < prompt.max_tokens
        told = 0
        async with self._slots, aclosing(self.client.complete(completion)) as pieces:
            async for piece in pieces:
                tokens = piece.tokens_predicted - told
                if piece.stop:
                    yield Finished(_reason(piece, limited=limited), tokens)
                elif text := piece.content.replace(REPLACEMENT, ""):
                    # Bytes that are no character (a model may sample any) arrive as U+FFFD.
                    told = piece.tokens_predicted
                    yield TextChunk(text, tokens)

    async def tokens_of(self, prompt: Prompt) -> list[int]:
        """Tokenize `prompt`, once for as long as it lives."""
        tokens = self._of_prompt.get(prompt)
        if tokens is None:
            tokens = self._of_prompt[prompt] = await self._tokenize(prompt)
        return tokens

    async def aclose(self) -> None:
        await self._resources.aclose()

    async def _tokenize(self, prompt: Prompt) -> list[int]:
        try:
            segments = self._template.render(prompt.turns)
        except TemplateUnusableError as error:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"This model's chat template cannot express these messages: {error}",
            ) from error
        return await self._tokens.encode(segments)

    def _completion(self, prompt: Prompt, tokens: list[int]) -> Completion:
        room = self.capabilities.context_tokens - len(tokens)
        if room <= 0:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"prompt is too long: {len(tokens)} tokens leave no room for an answer"
                f" in a context window of {self.capabilities.context_tokens}",
            )
        return Completion(
            prompt=tokens,
            n_predict=min(prompt.max_tokens, room),
            temperature=prompt.temperature,
            top_p=prompt.top_p,
            top_k=prompt.top_k,
        )


def _reason(last: Piece, *, limited: bool) -> FinishReason:
    if last.stop_type == "eos":
        return FinishReason.END_TURN
    if last.stop_type != "limit":
        raise EngineError(
            EngineErrorKind.FAILED, f"llama.cpp stopped for an unknown reason: {last.stop_type!r}"
        )
    return FinishReason.CONTEXT_WINDOW if limited else FinishReason.MAX_TOKENS


async def open_llama(config: EngineConfig) -> LlamaEngine:
    """Open a model: its file in a child process, or the server that the option `url` names."""
    options = decode_options(config.model, config.options)
    async with AsyncExitStack() as stack:
        upstream, session = await _connect(config, options, stack)
        client = LlamaClient(upstream, session)
        try:
            props = await client.props()
            tokens = await Tokens.open(client.tokenize)
        except EngineError as error:
            raise EngineStartError(f"Model `{config.model}`: {error}.") from error
        template = _template(config.model, props)
        return LlamaEngine(client, props, template, tokens, stack.pop_all())
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions


async def _connect(
    config: EngineConfig, options: LlamaOptions, stack: AsyncExitStack
) -> tuple[Upstream, aiohttp.ClientSession]:
    if options.url is not None:
        session = await stack.enter_async_context(open_session(options.api_key))
        return Remote(options.url), session
    if config.weights is None:
        raise EngineStartError(f"Model `{config.model}` has neither weights nor a `url`.")
    return await _supervise(config.weights, config.state_dir, options, stack)


async def _supervise(
    weights: Path, state_dir: Path | None, options: LlamaOptions, stack: AsyncExitStack
) -> tuple[Upstream, aiohttp.ClientSession]:
    child = child_config(options, weights, state_dir)
    session = await stack.enter_async_context(open_session(child.api_key))

    async def start() -> ChildProcess:
        return await start_child(child, options.start_timeout_s)

    async def healthy(address: str) -> bool:
        return await is_healthy(session, address)

    supervisor = Supervisor(start, healthy, options.wait_s)
    stack.push_async_callback(supervisor.aclose)
    await supervisor.open()
    return supervisor, session


def _template(model: str, props: Props) -> ChatTemplate:
    try:
        return ChatTemplate(props.chat_template, bos=props.bos_token, eos=props.eos_token)
    except TemplateUnusableError as error:
        raise EngineStartError(f"Model `{model}`: its chat template is wrong: {error}.") from error
