"""llama.cpp as a token machine: opens a model in a child process, or on a running server."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

from msgspec.structs import replace

from antiphon.core.images import GIF, JPEG, PNG
from antiphon.engines.base import EngineConfig, EngineError, EngineStartError, checked
from antiphon.engines.llama.client import LlamaClient, is_healthy, open_session
from antiphon.engines.llama.machine import LlamaMachine
from antiphon.engines.llama.multimodal import ImagePrompts, marker_of
from antiphon.engines.llama.opening import alongside, opened_snapshots, rewinds
from antiphon.engines.llama.options import LlamaOptions, decode_options
from antiphon.engines.llama.probe import probe
from antiphon.engines.llama.process import ChildProcess, child_config, start_child
from antiphon.engines.llama.prompt_slot import SlotParts
from antiphon.engines.llama.snapshots.ahead import check_ahead
from antiphon.engines.llama.supervisor import RemoteServer, Supervisor
from antiphon.engines.token.engine import TokenEngine, capabilities_of, open_template
from antiphon.engines.token.prompt.tokens import Tokenizer

IMAGE_TYPES: Final = frozenset({GIF, JPEG, PNG})
"""The formats that llama.cpp decodes; of a GIF it decodes the first frame."""

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
        parts = await _connect(config, options, stack)
        client = parts.client
        try:
            props = await client.props()
            tokenizer = await Tokenizer.open(client.tokenize)
            vision = props.modalities.vision
            await probe(parts, marker_of(props) if vision else None)
        except EngineError as error:
            raise EngineStartError(f"Model `{config.model}`: {error}.") from error
        template = open_template(
            config.model, options, props.chat_template, bos=props.bos_token, eos=props.eos_token
        )
        machine = LlamaMachine(parts, props.total_slots, minimum_tokens=config.cache_minimum_tokens)
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
            template,
            tokenizer,
            replace(capabilities, computes_here=True),
            images=ImagePrompts(machine, tokenizer),
            resources=stack.pop_all(),
        )
    raise AssertionError  # pragma: no cover - the stack does not swallow exceptions


async def _connect(config: EngineConfig, options: LlamaOptions, stack: AsyncExitStack) -> SlotParts:
    if options.url is not None:
        session = await stack.enter_async_context(open_session(options.api_key))
        server = RemoteServer(options.url)
        return SlotParts(LlamaClient(server, session, options.silence_timeout_s), server)
    if config.weights is None:
        raise EngineStartError(f"Model `{config.model}` has neither weights nor a `url`.")
    return await _supervise(config, config.weights, options, stack)


async def _supervise(
    config: EngineConfig, weights: Path, options: LlamaOptions, stack: AsyncExitStack
) -> SlotParts:
    state_dir = config.state_dir
    store = await stack.enter_async_context(
        opened_snapshots(config.model, weights, state_dir, options)
    )
    folder = state_dir if store is None else store.folder
    child = child_config(options, weights, folder)
    session = await stack.enter_async_context(open_session(child.api_key))

    async def start() -> ChildProcess:
        return await start_child(child, options.start_timeout_s)

    async def healthy(address: str) -> bool:
        return await is_healthy(session, address)

    supervisor = Supervisor(start, healthy, options.wait_s)
    stack.push_async_callback(supervisor.aclose)
    await supervisor.open()
    client = LlamaClient(supervisor, session, options.silence_timeout_s)
    parts = SlotParts(client, supervisor, store, erases=folder is not None)
    parts.rewinds = await asyncio.to_thread(rewinds, weights)
    return parts
