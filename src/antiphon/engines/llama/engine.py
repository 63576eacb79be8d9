"""llama.cpp as a token machine: opens a model in a child process, or on a running server."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from msgspec.structs import replace

from antiphon.core.images import GIF, JPEG, PNG
from antiphon.engines.base import EngineConfig, EngineError, EngineStartError, checked
from antiphon.engines.llama.batch_child import BatchChild
from antiphon.engines.llama.child import ChildConfig
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.gguf import has_template
from antiphon.engines.llama.machine import LlamaMachine
from antiphon.engines.llama.memory import (
    RESERVE,
    available_memory,
    model_size,
    own_memory,
    used_memory,
)
from antiphon.engines.llama.multimodal import ImagePrompts, marker_of
from antiphon.engines.llama.opening import alongside, opened_snapshots
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.engines.llama.probe import probe
from antiphon.engines.llama.process import ChildProcess, child_config, start_child
from antiphon.engines.llama.projector_file import seen_pixels
from antiphon.engines.llama.prompt_slot import SlotParts
from antiphon.engines.llama.remote_check import check_server
from antiphon.engines.llama.server_types import Props
from antiphon.engines.llama.session import is_healthy, open_session
from antiphon.engines.llama.snapshots.ahead import check_ahead
from antiphon.engines.llama.standstill import Standstill
from antiphon.engines.llama.supervisor import RemoteServer, Supervisor
from antiphon.engines.token.engine import (
    TokenEngine,
    capabilities_of,
    open_template,
    with_tool_template,
)
from antiphon.engines.token.prompt.family_templates import family_of
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.logs import EventLog

IMAGE_TYPES: Final = frozenset({GIF, JPEG, PNG})
"""The formats that llama.cpp decodes; of a GIF it decodes the first frame."""

MOST_STILL_S: Final = 86_400.0
"""The most time that a child for batches takes to load, which stands still in between."""

NO_TEMPLATE: Final = (
    "Model `{model}`: its file has no chat template, and its tokens are not those of a family that"
    " Antiphon knows. Name a file with the template that the model was trained on:"
    ' `chat_template = "./my-template.jinja"` in the options of the model, or under [llama].'
)

LlamaEngine: TypeAlias = TokenEngine[LlamaMachine]


def check_llama(config: EngineConfig) -> None:
    """Check the options, and the file of a chat template. Raises `EngineStartError`."""
    options = decode_options(config.model, config.options)
    if options.chat_template is not None:
        open_template(config.model, options, "", bos="", eos="")


@checked(check_llama)
async def open_llama(config: EngineConfig) -> LlamaEngine:
    """Open a model: its file in a child process, or the server that the option `url` names."""
    options = decode_options(config.model, config.options)
    async with AsyncExitStack() as stack:
        parts, batches = await _connect(config, options, stack)
        client = parts.client
        try:
            if options.url is not None:
                await check_server(client, config.model, options)
            props = await client.props()
            tokenizer = await Tokenizer.open(client.tokenize)
            source = await _template_of(config, options, props, client)
            vision = props.modalities.vision
            await probe(parts, marker_of(props) if vision else None)
        except EngineError as error:
            raise EngineStartError(f"Model `{config.model}`: {error}.") from error
        parts.slot_context = props.default_generation_settings.n_ctx
        ends = {"bos": props.bos_token, "eos": props.eos_token}
        template = open_template(config.model, options, source, **ends)
        tool_source = props.chat_template_tool_use
        templates = with_tool_template(config.model, options, template, tool_source, **ends)
        machine = LlamaMachine(
            parts,
            props.total_slots,
            minimum_tokens=config.cache_minimum_tokens,
            batches=batches,
            only_batches=config.only_batches,
        )
        if parts.store is not None:
            checks = check_ahead(parts.store, machine.busy)
            await stack.enter_async_context(alongside(checks))
        capabilities = capabilities_of(
            template,
            props.default_generation_settings.n_ctx,
            images=vision,
            image_types=IMAGE_TYPES,
            keeps_prefixes=machine.keeps_prefixes,
        )
        return LlamaEngine(
            machine,
            templates,
            tokenizer,
            replace(
                capabilities,
                computes_here=True,
                image_pixels=await asyncio.to_thread(seen_pixels, options.mmproj),
            ),
            images=ImagePrompts(machine, tokenizer, capabilities.context_tokens),
            temperature=options.temperature,
            resources=stack.pop_all(),
        )
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions


async def _template_of(
    config: EngineConfig, options: LlamaOptions, props: Props, client: LlamaClient
) -> str:
    """Return a model's own template, or that of its family if its file has none.

    llama.cpp would take ChatML, whatever the model's tokens are. Raises `EngineError`, and
    `EngineStartError` if no template is known.
    """
    weights = config.weights
    if weights is None or options.url is not None or options.chat_template is not None:
        return props.chat_template
    if await asyncio.to_thread(has_template, weights):
        return props.chat_template
    family = await family_of(client.tokenize)
    if family is None:
        raise EngineStartError(NO_TEMPLATE.format(model=config.model))
    EventLog(__name__).warning(
        "a model has no chat template; that of its tokens is used",
        model=config.model,
        family=family.name,
    )
    return family.template


async def _connect(
    config: EngineConfig, options: LlamaOptions, stack: AsyncExitStack
) -> tuple[SlotParts, BatchChild[LlamaMachine] | None]:
    if options.url is not None:
        session = await stack.enter_async_context(open_session(options.api_key))
        server = RemoteServer(options.url)
        return SlotParts(LlamaClient(server, session, options.silence_timeout_s), server), None
    if config.weights is None:
        raise EngineStartError(f"Model `{config.model}` has neither weights nor a `url`.")
    return await _supervise(config, config.weights, options, stack)


async def _supervise(
    config: EngineConfig, weights: Path, options: LlamaOptions, stack: AsyncExitStack
) -> tuple[SlotParts, BatchChild[LlamaMachine] | None]:
    opened = await stack.enter_async_context(
        opened_snapshots(config.model, weights, config.state_dir, options)
    )
    folder = opened.folder or config.state_dir
    child = child_config(options, weights, folder)
    parts = await run_child(child, options, stack)
    parts.store, parts.erases = opened.store, folder is not None
    parts.folder, opened.take = opened.folder, parts.take_store
    parts.size = await asyncio.to_thread(model_size, weights)
    # A model surely goes back to a shorter prefix if all its layers see all tokens.
    parts.rewinds = parts.size.token is not None

    async def start_another(still: Standstill, closed: AsyncExitStack) -> LlamaMachine:
        # Its context is that of the first one, which may have chosen it.
        first = _child_of(parts)
        alike = child if first is None else replace(child, context=first.context)
        another = await run_child(alike, options, closed, still)
        # What the first one keeps is restored here as well, and the other way round.
        another.store, another.erases = parts.store, parts.erases
        another.rewinds, another.keeps_images = parts.rewinds, parts.keeps_images
        return LlamaMachine(another, options.slots, minimum_tokens=config.cache_minimum_tokens)

    def has_memory() -> bool:
        first = _child_of(parts)
        needed = None if first is None else own_memory(first.pid)
        return needed is not None and available_memory() >= needed + RESERVE

    first = _child_of(parts)
    wanted = options.batch_child and not config.only_batches and sys.platform == "linux"
    if not wanted or first is None or first.has_gpu:
        return parts, None
    batches = BatchChild(start_another, has_memory)
    stack.push_async_callback(batches.aclose)
    return parts, batches


async def run_child(
    config: ChildConfig,
    options: LlamaOptions,
    stack: AsyncExitStack,
    still: Standstill | None = None,
) -> SlotParts:
    """Run a child until the stack is closed. One that may stand still is not ended for that."""
    session = await stack.enter_async_context(open_session(config.api_key))

    async def start() -> ChildProcess:
        nonlocal config
        if still is None:
            child = await start_child(config, options.start_timeout_s)
        else:
            child = await start_child(config, MOST_STILL_S, begun=still.take)
        # A context that was chosen stays, however much memory is free at the next start.
        config = replace(config, context=child.context)
        return child

    async def healthy(address: str) -> bool:
        times = 0 if still is None else still.times
        found = await is_healthy(session, address)
        return found or (still is not None and (still.is_still or still.times != times))

    supervisor = Supervisor(start, healthy, options.wait_s)
    stack.push_async_callback(supervisor.aclose)
    await supervisor.open()
    clock = time.monotonic if still is None else still.now
    client = LlamaClient(supervisor, session, options.silence_timeout_s, clock)
    parts = SlotParts(client, supervisor)
    parts.used_memory = partial(_used_memory, parts)
    return parts


def _used_memory(parts: SlotParts) -> int | None:
    child = _child_of(parts)
    return None if child is None else used_memory(child.pid)


def _child_of(parts: SlotParts) -> ChildProcess | None:
    """Return the child that serves now."""
    child = parts.server.child if isinstance(parts.server, Supervisor) else None
    return child if isinstance(child, ChildProcess) else None
