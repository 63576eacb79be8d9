"""vLLM as a token machine: opens a model that a server runs."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    Examined,
    Packages,
    checked,
    decode_options,
)
from antiphon.engines.token.engine import (
    TokenEngine,
    capabilities_of,
    open_template,
    with_tool_template,
)
from antiphon.engines.token.prompt.family_templates import family_of
from antiphon.engines.token.prompt.named_templates import Templates
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.vllm.client import VllmClient, listed_models
from antiphon.engines.vllm.examination import Examination
from antiphon.engines.vllm.machine import VllmMachine
from antiphon.engines.vllm.model_files import ModelFiles, NotHereError, folder_of, read_files
from antiphon.engines.vllm.options import VllmOptions
from antiphon.engines.vllm.server_types import ModelCard
from antiphon.engines.vllm.vocabulary import Vocabulary, open_vocabulary
from antiphon.logs import EventLog

NO_TEMPLATE: Final = (
    "Model `{model}`: its files have no chat template, and its tokens are not those of a family"
    " that Antiphon knows. Name a file with the template that the model was trained on:"
    ' `chat_template = "./my-template.jinja"` in the options of the model.'
)

START: Final = "start it, or correct `url`: docs/how-to/vllm.md"
TELLS: Final = "start it with --enable-prefix-caching --enable-prompt-tokens-details"

VllmEngine: TypeAlias = TokenEngine[VllmMachine]


def check_vllm(config: EngineConfig) -> None:
    """Check the options, and the file of a chat template. Raises `EngineStartError`."""
    options = decode_options(config.model, config.options, VllmOptions)
    if options.chat_template is not None:
        open_template(config.model, options, "", bos="", eos="")


async def examine_vllm(config: EngineConfig) -> Examined:
    """Examine the server as the start does, and fetch nothing. Raises `EngineStartError`."""
    try:
        engine = await opened(config, fetches=False)
    except NotHereError as error:
        return Examined(str(error).removeprefix("Model ").rstrip("."))
    await engine.aclose()
    limits = engine.capabilities
    if not engine.machine.examined:
        return Examined(f"{config.model}: its vLLM server is away", START)
    text = f"{config.model}: vllm, {limits.context_tokens:,} tokens of context"
    if not limits.keeps_prefixes:
        return Examined(f"{text}; its server reports nothing of its prefix cache", TELLS)
    return Examined(text)


@checked(check_vllm, examine=examine_vllm, packages=Packages("vllm", ("tokenizers",)))
async def open_vllm(config: EngineConfig) -> VllmEngine:
    """Open a model that a vLLM server runs. Raises `EngineStartError`.

    The server may be away if the options leave nothing to ask: then it is examined at the first
    request.
    """
    engine = await opened(config)
    _tell(config, engine)
    return engine


async def opened(config: EngineConfig, *, fetches: bool = True) -> VllmEngine:
    """Open a model. Unless it `fetches`, raises `NotHereError` for a tokenizer that is not here."""
    options = decode_options(config.model, config.options, VllmOptions)
    key = {} if options.api_key is None else {"Authorization": f"Bearer {options.api_key}"}
    async with AsyncExitStack() as stack:
        upstream = Upstream(options.url, {**key, **options.headers}, options.patience)
        stack.push_async_callback(upstream.aclose)
        card = await _card(config.model, options, upstream)
        place = options.tokenizer or card.root or card.id
        cache = None if config.state_dir is None else config.state_dir / "tokenizers"
        files, vocabulary = await asyncio.to_thread(
            _read, config.model, place, cache, fetches=fetches
        )
        client = VllmClient(upstream, card.id, vocabulary, priority=options.priority or False)
        examination = Examination(client, config.model, place, priority=options.priority)
        machine = await _machine(config, options, client, examination)
        template, templates, tokenizer = await _templates(config.model, options, files, vocabulary)
        context = options.context_tokens or card.max_model_len
        if context is None:
            raise EngineStartError(
                f"Model `{config.model}`: its server does not tell the size of the context. Set "
                "`context_tokens`."
            )
        capabilities = capabilities_of(template, context, keeps_prefixes=machine.keeps_prefixes)
        return VllmEngine(machine, templates, tokenizer, capabilities, resources=stack.pop_all())
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions


async def _card(name: str, options: VllmOptions, upstream: Upstream) -> ModelCard:
    """Return the model of the server that the options mean."""
    try:
        cards = await listed_models(upstream)
    except EngineError as error:
        if options.waits and options.model is not None and _is_away(error):
            return ModelCard(id=options.model)
        raise EngineStartError(f"Model `{name}`: {error}.") from error
    found = [card for card in cards if options.model in {None, card.id}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(card.id for card in cards) or "none"
    if options.model is None:
        raise EngineStartError(f"Model `{name}`: set `model` to one of its server's: {known}.")
    raise EngineStartError(
        f"Model `{name}`: its server has no model `{options.model}`. Set `model` to one of these: "
        f"{known}."
    )


def _is_away(error: EngineError) -> bool:
    return error.kind in (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT)


def _read(
    model: str, place: str, cache: Path | None, *, fetches: bool
) -> tuple[ModelFiles, Vocabulary]:
    files = read_files(model, folder_of(model, place, cache, fetches=fetches))
    return files, open_vocabulary(model, files.tokenizer)


async def _machine(
    config: EngineConfig, options: VllmOptions, client: VllmClient, examination: Examination
) -> VllmMachine:
    """Examine the server, and return it as a machine."""
    block = options.cache_block_tokens
    later: Examination | None = None
    try:
        await examination.run()
        if block is None:
            block = await examination.block_tokens()
    except EngineError as error:
        if not (options.waits and _is_away(error)):
            raise EngineStartError(f"Model `{config.model}`: {error}.") from error
        later = examination
    return VllmMachine(
        client, block or 0, minimum_tokens=config.cache_minimum_tokens, examination=later
    )


async def _templates(
    name: str, options: VllmOptions, files: ModelFiles, vocabulary: Vocabulary
) -> tuple[ChatTemplate, Templates, Tokenizer]:
    """Return the default template of a model, all of them, and what tokenizes their prompts.

    A template of the model's own writes the first token itself, if it wants one.
    """
    tokenizer = Tokenizer(vocabulary.tokenize, [])
    source = files.template
    if not source and options.chat_template is None:
        family = await family_of(vocabulary.tokenize)
        if family is None:
            raise EngineStartError(NO_TEMPLATE.format(model=name))
        EventLog(__name__).warning(
            "a model has no chat template; that of its tokens is used",
            model=name,
            family=family.name,
        )
        source, tokenizer = family.template, await Tokenizer.open(vocabulary.tokenize)
    template = open_template(name, options, source, bos=files.bos, eos=files.eos)
    templates = with_tool_template(
        name, options, template, files.tool_template, bos=files.bos, eos=files.eos
    )
    return template, templates, tokenizer


def _tell(config: EngineConfig, engine: VllmEngine) -> None:
    """Log what the operator may want to mend."""
    log, name = EventLog(__name__), config.model
    if not engine.machine.examined:
        log.warning("a server is away, and is examined at its first request", model=name)
    elif not engine.machine.keeps_prefixes and config.options.get("cache_block_tokens") != 0:
        log.warning(
            "nothing is claimed of a server's prefix cache: it reports nothing of it",
            model=name,
            mend="vllm serve --enable-prefix-caching --enable-prompt-tokens-details",
        )
