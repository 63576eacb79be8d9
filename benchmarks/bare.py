"""llama.cpp's server alone, as Antiphon runs it: the reference for a local model.

It is the same child process with the same threads, slots and context, and gets the tokens that
Antiphon would send.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from antiphon.core.prompt import Prompt
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from antiphon.engines.llama.session import open_session
from antiphon.engines.llama.supervisor import RemoteServer
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import RenderedPrompt, Tokenizer
from benchmarks.answers import Answer, timed, unbounded


def has_text(event: Any) -> bool:
    """Return whether an event of llama.cpp has text of the answer."""
    return bool(event["content"])


class BareLlama:
    """A child of llama.cpp. `client` is for its slots."""

    def __init__(
        self,
        address: str,
        session: aiohttp.ClientSession,
        client: LlamaClient,
        template: ChatTemplate,
        tokenizer: Tokenizer,
    ) -> None:
        self.client = client
        self._url = f"{address}/completion"
        self._session = session
        self._template = template
        self._tokenizer = tokenizer

    async def render(self, prompt: Prompt) -> RenderedPrompt:
        """Return the tokens that Antiphon would send for a prompt."""
        return await self._tokenizer.encode(self._template.render(prompt))

    async def complete(
        self,
        tokens: Sequence[int],
        n_predict: int,
        *,
        slot: int = -1,
        said: Callable[[Any], bool] = has_text,
    ) -> Answer:
        """Continue tokens, in any slot by default."""
        body = {
            "prompt": tokens,
            "n_predict": n_predict,
            "temperature": 0,
            "stream": True,
            "id_slot": slot,
        }
        return await timed(self._session.post(self._url, data=msgspec.json.encode(body)), said)


@asynccontextmanager
async def bare_llama(weights: Path, slot_dir: Path | None = None) -> AsyncGenerator[BareLlama]:
    """Run llama.cpp alone; with `slot_dir` its slots can be saved there."""
    options = LlamaOptions()
    config = child_config(options, weights, slot_dir)
    child = await start_child(config, options.start_timeout_s)
    try:
        async with (
            open_session(config.api_key) as own,
            unbounded(config.api_key) as session,
        ):
            client = LlamaClient(RemoteServer(child.address), own)
            props = await client.props()
            template = ChatTemplate(props.chat_template, bos=props.bos_token, eos=props.eos_token)
            tokenizer = await Tokenizer.open(client.tokenize)
            yield BareLlama(child.address, session, client, template, tokenizer)
    finally:
        await child.aclose()
