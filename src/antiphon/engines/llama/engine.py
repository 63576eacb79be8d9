"""llama.cpp as an engine: prompts in, events out, through the model's own chat template."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp

from antiphon.core.images import GIF, JPEG, PNG
from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    Prompt,
    Turn,
)
from antiphon.engines.images import images_of
from antiphon.engines.llama.client import (
    Completes,
    LlamaClient,
    Props,
    is_healthy,
    open_session,
)
from antiphon.engines.llama.multimodal import ImagePrompt, ImagePrompts, MultimodalClient
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.engines.llama.process import ChildProcess, child_config, start_child
from antiphon.engines.llama.supervisor import RemoteServer, Supervisor, Upstream
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import GenerationInput, generate
from antiphon.engines.token.prompt.images import ImageMarks
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.engines.token.prompt.template import (
    ChatTemplate,
    TemplateUnusableError,
    read_template,
)
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.engines.token.prompt.tool_prompt import tool_prompt
from antiphon.wire.content import TextParam

IMAGE_TYPES: Final = frozenset({GIF, JPEG, PNG})
"""What llama.cpp decodes; of a GIF the first frame."""


class LlamaEngine:
    """One model in llama.cpp. Made by `open_llama`."""

    def __init__(
        self,
        client: LlamaClient,
        props: Props,
        template: ChatTemplate,
        tokens: Tokenizer,
        resources: AsyncExitStack,
    ) -> None:
        context = props.default_generation_settings.n_ctx
        self.capabilities = Capabilities(
            context_tokens=context,
            tools=True,
            forced_tools=True,
            structured_outputs=True,
            thinking=template.reasoning.marks is not None,
            efforts=template.reasoning.efforts,
            images=props.modalities.vision,
            image_types=IMAGE_TYPES,
        )
        self.client = client
        self._template = template
        self._tokens = tokens
        self._resources = resources
        self._grammars = ConstraintCache()
        self._of_prompt: WeakKeyDictionary[Prompt, list[int]] = WeakKeyDictionary()
        # Who has no slot waits here and not in llama.cpp, where each of them would hold one of
        # the threads that also tokenize and say that all is well.
        self._slots = asyncio.Semaphore(props.total_slots)
        self._pictures = ImagePrompts(client, tokens, self._slots)
        self._pictured: WeakKeyDictionary[Prompt, ImagePrompt] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        return self.client.ready

    async def count_tokens(self, prompt: Prompt) -> int:
        return len(await self.tokens_of(prompt))

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        tokens = await self.tokens_of(prompt)
        asked = self._asked(prompt, tokens)
        writing = generate(self._client_of(prompt), self._grammars, prompt, asked)
        async with self._slots, aclosing(writing) as events:
            async for event in events:
                yield event

    def _client_of(self, prompt: Prompt) -> Completes:
        pictured = self._pictured.get(prompt)
        return (
            self.client
            if pictured is None
            else MultimodalClient(self.client, self._pictures, pictured)
        )

    async def tokens_of(self, prompt: Prompt) -> list[int]:
        """Tokenize `prompt`, once for as long as it lives."""
        tokens = self._of_prompt.get(prompt)
        if tokens is None:
            tokens = self._of_prompt[prompt] = await self._tokenize(prompt)
        return tokens

    async def aclose(self) -> None:
        await self._resources.aclose()

    async def _tokenize(self, prompt: Prompt) -> list[int]:
        template = self._template
        gallery = ImageMarks(prompt) if any(images_of(prompt)) else None
        try:
            segments = template.render(
                prompt.turns if gallery is None else gallery.turns,
                tools=prompt.tools,
                preface=tool_prompt(prompt, native=template.native),
                thinking=prompt.thinking,
                effort=prompt.effort,
            )
        except TemplateUnusableError as error:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"This model's chat template cannot express these messages: {error}",
            ) from error
        if gallery is not None:
            return await self._see(prompt, gallery, segments)
        return await self._tokens.encode(segments)

    async def _see(
        self, prompt: Prompt, gallery: ImageMarks, segments: Sequence[Segment]
    ) -> list[int]:
        parts = gallery.hang(segments)
        if parts is None:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                "This model's chat template cannot express images in these places.",
            )
        pictured = self._pictured[prompt] = await self._pictures.prepare(parts)
        return pictured.tokens

    def _asked(self, prompt: Prompt, tokens: list[int]) -> GenerationInput:
        room = self.capabilities.context_tokens - len(tokens)
        if room <= 0:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"prompt is too long: {len(tokens)} tokens leave no room for an answer"
                f" in a context window of {self.capabilities.context_tokens}",
            )
        reasoning = self._template.reasoning
        prefilled = prompt.turns[-1].role == "assistant"
        return GenerationInput(
            tokens=tokens,
            room=room,
            syntax=self._template.syntax,
            marks=reasoning.marks,
            thinks=prompt.thinking.mode != "disabled" and not prefilled,
            budget=reasoning.budget(prompt),
        )


async def open_llama(config: EngineConfig) -> LlamaEngine:
    """Open a model: its file in a child process, or the server that the option `url` names."""
    options = decode_options(config.model, config.options)
    async with AsyncExitStack() as stack:
        upstream, session = await _connect(config, options, stack)
        client = LlamaClient(upstream, session)
        try:
            props = await client.props()
            tokens = await Tokenizer.open(client.tokenize)
        except EngineError as error:
            raise EngineStartError(f"Model `{config.model}`: {error}.") from error
        template = _template(config.model, options, props)
        return LlamaEngine(client, props, template, tokens, stack.pop_all())
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions


async def _connect(
    config: EngineConfig, options: LlamaOptions, stack: AsyncExitStack
) -> tuple[Upstream, aiohttp.ClientSession]:
    if options.url is not None:
        session = await stack.enter_async_context(open_session(options.api_key))
        return RemoteServer(options.url), session
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


def _template(model: str, options: LlamaOptions, props: Props) -> ChatTemplate:
    try:
        own = options.chat_template
        source = props.chat_template if own is None else read_template(Path(own))
        template = ChatTemplate(
            source, bos=props.bos_token, eos=props.eos_token, marks=options.marks
        )
        if own is not None:
            template.render([Turn("user", (TextParam(text="Hello."),))])
    except TemplateUnusableError as error:
        raise EngineStartError(f"Model `{model}`: its chat template is wrong: {error}.") from error
    return template
