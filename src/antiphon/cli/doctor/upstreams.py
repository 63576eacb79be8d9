"""What `antiphon doctor` says of the servers that run models for the engine vllm."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.cli.doctor.finding import Finding, note, ok, told
from antiphon.engines.base import EngineConfig, EngineStartError
from antiphon.engines.vllm.engine import opened
from antiphon.engines.vllm.model_files import NotHereError

_START = "start it, or correct `url`: docs/how-to/vllm.md"
_TELLS = "start it with --enable-prefix-caching --enable-prompt-tokens-details"


def check_vllm(model: str, options: Mapping[str, Any], state_dir: Path) -> Finding:
    """Examine a server as the start does, and fetch nothing."""
    try:
        return asyncio.run(_examined(EngineConfig(model, options=options, state_dir=state_dir)))
    except NotHereError as error:
        return ok("model", str(error).removeprefix("Model ").rstrip("."))
    except EngineStartError as error:
        return told("model", str(error), _START)


async def _examined(config: EngineConfig) -> Finding:
    engine = await opened(config, fetches=False)
    await engine.aclose()
    limits = engine.capabilities
    if not engine.machine.examined:
        return note("model", f"{config.model}: its vLLM server is away", _START)
    text = f"{config.model}: vllm, {limits.context_tokens:,} tokens of context"
    if not limits.keeps_prefixes:
        return note("model", f"{text}; its server reports nothing of its prefix cache", _TELLS)
    return ok("model", text)
