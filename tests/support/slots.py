"""The slots of a real child of llama.cpp: read, answer, save, restore, erase."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from antiphon.engines.llama.session import LlamaSession, open_session
from antiphon.engines.llama.supervisor import RemoteServer

Prompt: TypeAlias = list[int] | dict[str, Any]


class Greedy(msgspec.Struct, frozen=True):
    """A greedy answer: its tokens, and how many tokens of the prompt were not read again."""

    tokens: tuple[int, ...]
    reused: int


class Slots:
    """The slots of one child. An action that llama.cpp refuses returns its error.

    `client` talks to the same child as an engine does.
    """

    def __init__(self, address: str, session: LlamaSession, folder: Path) -> None:
        self.folder = folder
        self.client = LlamaClient(RemoteServer(address), session)
        self._address = address
        self._session = session

    async def read(self, slot: int, prompt: Prompt) -> None:
        """Read a prompt into a slot and answer nothing."""
        await self._complete(slot, prompt, 0)

    async def answer(self, slot: int, prompt: Prompt, tokens: int = 16) -> Greedy:
        body = await self._complete(slot, prompt, tokens)
        return Greedy(tuple(body["tokens"]), body["timings"]["cache_n"])

    async def act(self, slot: int, action: str, file: str = "") -> dict[str, Any]:
        body = {"filename": file} if file else {}
        return await self._post(f"/slots/{slot}?action={action}", body)

    async def saved(self, slot: int, file: str) -> int:
        """Save a slot; return the number of its tokens."""
        done = await self.act(slot, "save", file)
        assert done["n_written"] == (self.folder / file).stat().st_size
        return int(done["n_saved"])

    async def restore(self, slot: int, file: str) -> None:
        done = await self.act(slot, "restore", file)
        assert done["n_read"] == (self.folder / file).stat().st_size, done

    async def with_image(self, before: str, image: bytes, after: str) -> dict[str, Any]:
        """Return a prompt with an image between two texts."""
        response = await self._session.send("GET", f"{self._address}/props")
        marker = msgspec.json.decode(await response.read(None))["media_marker"]
        text = f"{before}{marker}{after}"
        return {"prompt_string": text, "multimodal_data": [b64encode(image).decode()]}

    async def _complete(self, slot: int, prompt: Prompt, tokens: int) -> dict[str, Any]:
        body = {
            "id_slot": slot,
            "prompt": prompt,
            "n_predict": tokens,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": True,
        }
        return await self._post("/completion", body)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = msgspec.json.encode(body)
        response = await self._session.send("POST", self._address + path, asked)
        answer = msgspec.json.decode(await response.read(None))
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def slots_of(
    weights: Path, folder: Path, mmproj: Path | None = None
) -> AsyncGenerator[Slots]:
    """Run a child with two slots, which saves them in `folder`."""
    projector = None if mmproj is None else str(mmproj)
    options = LlamaOptions(context=1024, slots=2, threads=2, mmproj=projector)
    config = child_config(options, weights, folder)
    child = await start_child(config, 60)
    try:
        async with open_session(config.api_key) as session:
            yield Slots(child.address, session, folder)
    finally:
        await child.aclose()
