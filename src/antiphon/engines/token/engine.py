"""An engine on any token machine: prompts in, events out, through the model's own chat template."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from antiphon.core.blocks import images_of
from antiphon.core.images import MEDIA_TYPES
from antiphon.core.late_tools import with_described_tools
from antiphon.engines.base import (
    CallFormat,
    Capabilities,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    Prompt,
    PromptSize,
    ReportingEngine,
    SnapshotReport,
    Started,
    Turn,
)
from antiphon.engines.states import EngineState, TellingEngine
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import GenerationInput, generate
from antiphon.engines.token.machine import ImagePreparer, PreparedPrompt, TokenMachine
from antiphon.engines.token.options import TemplateOptions
from antiphon.engines.token.prompt.images import ImageMarks
from antiphon.engines.token.prompt.named_templates import Templates, named_templates
from antiphon.engines.token.prompt.placeholders import Rendered
from antiphon.engines.token.prompt.template import ChatTemplate, read_template, size_of
from antiphon.engines.token.prompt.template_writer import (
    TemplateTooLongError,
    TemplateUnusableError,
)
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.engines.token.prompt.tool_prompt import call_instructions
from antiphon.engines.token.prompt.trial import PROBE_TOOL
from antiphon.logs import EventLog
from antiphon.wire.content import TextParam

# Tools, turns and blocks of a prompt that is rendered on the event loop: up to 5 ms.
BRIEF_PARTS = 500

Machine = TypeVar("Machine", bound=TokenMachine)


class TokenEngine(Generic[Machine]):
    """One model on a token machine.

    `images` prepares prompts with images; without it the model takes none. `temperature` is that of
    requests that name none. `resources` are closed with the engine.
    """

    def __init__(  # noqa: PLR0913 - the parts of an engine, each once
        self,
        machine: Machine,
        templates: Templates,
        tokenizer: Tokenizer,
        capabilities: Capabilities,
        *,
        images: ImagePreparer | None = None,
        temperature: float | None = None,
        resources: AsyncExitStack | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.machine = machine
        self._templates = templates
        self._tokenizer = tokenizer
        self._images = images
        self._temperature = temperature
        self._resources = resources or AsyncExitStack()
        self._constraints = ConstraintCache()
        self._prepared: WeakKeyDictionary[Prompt, PreparedPrompt] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        return self.machine.ready

    def snapshot_report(self) -> SnapshotReport | None:
        """Return what the machine has saved of prompts; `None` if it does not tell."""
        machine: object = self.machine
        return machine.snapshot_report() if isinstance(machine, ReportingEngine) else None

    def state(self) -> EngineState | None:
        """Return how the machine is now; `None` if it does not tell."""
        machine: object = self.machine
        return machine.state() if isinstance(machine, TellingEngine) else None

    def call_format(self) -> CallFormat:
        template = self._templates.of(Prompt((), 1, tools=(PROBE_TOOL,)))
        return CallFormat(template.native, template.unlearned)

    async def count_tokens(self, prompt: Prompt) -> int:
        return len(await self.tokens_of(prompt))

    async def measure(self, prompt: Prompt) -> PromptSize:
        rendered = (await self.prepare(prompt)).rendered
        return PromptSize(len(rendered.tokens), rendered.prefix_sizes)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        prepared = await self.prepare(prompt)
        rendered = prepared.rendered
        turn_ends = await self._written_turn_ends(prompt)
        given = self._generation_input(prompt, rendered.tokens, turn_ends)
        reader = self.machine if prepared.reader is None else prepared.reader
        if prompt.any_temperature and self._temperature is not None:
            prompt = replace(prompt, temperature=self._temperature)
        # What is reused of a marked prompt is known only when the answer begins.
        marked = bool(rendered.breakpoints) and self.machine.keeps_prefixes
        if not marked:
            yield Started(input_tokens=len(given.tokens))
        place = reader.completions(rendered, prompt.cache_salt, prompt.hints, prompt.parking)
        async with place as completions:
            generation = generate(completions, self._constraints, prompt, given)
            async with aclosing(generation) as events:
                async for event in events:
                    if marked:
                        marked = False
                        confirmed = replace(
                            completions.confirmed,
                            breakpoints=rendered.prefix_sizes,
                            stays=rendered.stays,
                        )
                        yield Started(input_tokens=len(given.tokens), confirmed=confirmed)
                    yield event

    async def tokens_of(self, prompt: Prompt) -> Sequence[int]:
        return (await self.prepare(prompt)).rendered.tokens

    async def prepare(self, prompt: Prompt) -> PreparedPrompt:
        """Return the tokens of `prompt`, kept for as long as it lives."""
        prepared = self._prepared.get(prompt)
        if prepared is None:
            prepared = self._prepared[prompt] = await self._prepare(prompt)
        return prepared

    async def aclose(self) -> None:
        await self._resources.aclose()

    async def _prepare(self, prompt: Prompt) -> PreparedPrompt:
        prompt = await self._described(prompt)
        marks = ImageMarks(prompt) if any(images_of(prompt)) else None
        try:
            rendered = await self._rendered(prompt if marks is None else marks.prompt)
        except TemplateUnusableError as error:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                f"This model's chat template cannot express these messages: {error}",
            ) from error
        if marks is None:
            return PreparedPrompt(await self._tokenizer.encode(rendered))
        split = marks.split_at_marks(rendered)
        if split is None or self._images is None:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                "This model's chat template cannot express images in these places.",
            )
        return await self._images.prepare(*split)

    async def _described(self, prompt: Prompt) -> Prompt:
        """Return a prompt with texts for its blocks about tools."""
        calls = call_instructions(self._templates.of(prompt).syntax)
        if prompt.offered is None or _is_brief(prompt):
            return with_described_tools(prompt, calls)
        return await asyncio.to_thread(with_described_tools, prompt, calls)

    async def _rendered(self, prompt: Prompt) -> Rendered:
        """Render a prompt; one of many parts in a thread, as it takes some 10 µs for each."""
        template = self._templates.of(prompt)
        if _is_brief(prompt):
            try:
                return template.render(prompt, brief=True)
            except TemplateTooLongError:
                pass  # and again in a thread, where it may take longer
        return await asyncio.to_thread(template.render, prompt)

    async def _written_turn_ends(self, prompt: Prompt) -> tuple[str, ...]:
        """Return the marks that end a turn, if this model can only write them as text.

        It has another vocabulary than the model that the template was made for.
        """
        marks = self._templates.of(prompt).turn_marks
        return () if not marks or await self._tokenizer.is_control(marks[0]) else marks

    def _generation_input(
        self, prompt: Prompt, tokens: Sequence[int], turn_ends: tuple[str, ...]
    ) -> GenerationInput:
        room = self.capabilities.context_tokens - len(tokens)
        if room <= 0:
            raise EngineError(
                EngineErrorKind.UNSUPPORTED,
                # Clients know the sentence of the API alone; an answer needs one token.
                f"prompt is too long: {len(tokens)} tokens > "
                f"{self.capabilities.context_tokens - 1} maximum",
            )
        template = self._templates.of(prompt)
        prefilled = prompt.turns[-1].role == "assistant"
        return GenerationInput(
            tokens=list(tokens),
            room=room,
            syntax=template.syntax,
            tags=template.tags(prompt),
            reasons=prompt.thinking.mode != "disabled" and not prefilled,
            budget=template.reasoning.budget(prompt),
            turn_ends=turn_ends,
        )


def _is_brief(prompt: Prompt) -> bool:
    return size_of(prompt) <= BRIEF_PARTS


def capabilities_of(
    template: ChatTemplate,
    context_tokens: int,
    *,
    images: bool = False,
    image_types: frozenset[str] = MEDIA_TYPES,
    keeps_prefixes: bool = False,
) -> Capabilities:
    """Return the capabilities of a model with this template on a token machine."""
    return Capabilities(
        context_tokens=context_tokens,
        tools=True,
        forced_tools=True,
        structured_outputs=True,
        thinking=template.reasoning.tags is not None,
        efforts=template.reasoning.efforts,
        images=images,
        image_types=image_types,
        keeps_prefixes=keeps_prefixes,
        cache_ttls=("5m", "1h") if keeps_prefixes else (),
        loads_tools=True,
    )


def open_template(
    model: str, options: TemplateOptions, source: str, *, bos: str, eos: str
) -> ChatTemplate:
    """Compile a model's template: its own (`source`), or the file that the options name.

    `bos` and `eos` are the texts of the model's first and last token, for the template. Raises
    `EngineStartError`; a file is tried on a conversation first.
    """
    path = options.chat_template
    try:
        text = source if path is None else read_template(Path(path))
        template = ChatTemplate(text, bos=bos, eos=eos, tags=options.tags)
        if path is not None:
            template.render(Prompt((Turn("user", (TextParam(text="Hello."),)),), 1))
    except TemplateUnusableError as error:
        raise EngineStartError(f"Model `{model}`: its chat template is wrong: {error}.") from error
    if text:
        _tell_unlearned(model, template)
    return template


def with_tool_template(  # noqa: PLR0913 - those of `open_template`, and its result
    model: str, options: TemplateOptions, template: ChatTemplate, source: str, *, bos: str, eos: str
) -> Templates:
    """Add the template that a model has for tools (`source`), unless the options name another.

    One that cannot be used is left out. It marks reasoning like the default `template` if it says
    nothing of it.
    """
    if not source or options.chat_template is not None:
        return template
    try:
        for_tools = ChatTemplate(source, bos=bos, eos=eos, tags=options.tags)
        if for_tools.reasoning.tags is None and template.reasoning.tags is not None:
            for_tools = ChatTemplate(source, bos=bos, eos=eos, tags=template.reasoning.tags)
    except TemplateUnusableError as error:
        EventLog(__name__).warning(
            "the chat template for tools is not used", model=model, reason=str(error)
        )
        return template
    _tell_unlearned(model, for_tools)
    return named_templates(template, for_tools)


def _tell_unlearned(model: str, template: ChatTemplate) -> None:
    if template.reasoning.flaw:
        EventLog(__name__).info(
            "earlier reasoning is not shown", model=model, reason=template.reasoning.flaw
        )
    if template.unlearned is not None:
        EventLog(__name__).info(
            "calls are written in the general format", model=model, reason=template.unlearned
        )
