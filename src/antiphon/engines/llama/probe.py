"""Tries at the start what llama.cpp can do with snapshots: save, restore, ask again.

What it reads again in spite of a restore is not worth a snapshot: builds of August 2026 keep
nothing of models with recurrent layers, and a projector may have rules of its own.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from antiphon.engines.base import EngineError
from antiphon.engines.llama.client import SlotUse
from antiphon.engines.llama.prompt_slot import CHECKPOINT_GAP, SlotParts
from antiphon.engines.llama.server_types import MediaPrompt
from antiphon.engines.token.machine import CompletionRequest

TEXT: Final = "What is saved here is restored at once, and read no second time."
MORE: Final = " And so on."
FILE: Final = "probe.kv"
GREY: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFElEQVR42mNowAMYRiVHJUclYQAA14+IELSdtnwAAAAA"
    "SUVORK5CYII="
)
"""A grey PNG of 28 x 28 pixels: the smallest image that every projector takes."""


async def probe(parts: SlotParts, marker: str | None) -> None:
    """Try snapshots, and give up what does not work: all of them, or those with images.

    `marker` stands for an image in a text, for a model that reads images. It takes the time of
    reading some 20 tokens, and that of one small image.
    """
    folder = parts.folder
    if folder is None:
        return
    if not await _restores(parts, folder, None):
        parts.store = parts.folder = None
    elif marker is not None:
        parts.keeps_images = await _restores(parts, folder, marker)


async def _restores(parts: SlotParts, folder: Path, marker: str | None) -> bool:
    """Save a prompt, restore it, go on behind it; return whether it was read no second time."""
    client = parts.client
    what = "prompts" if marker is None else "images"
    address = await parts.server.address()
    try:
        read = await _read(parts, TEXT, marker, fresh=True)
        await client.save_slot(0, FILE)
        await client.erase_slot(0)
        await client.restore_slot(0, FILE)
        again = await _read(parts, TEXT + MORE, marker)
        await client.erase_slot(0)
    except EngineError as error:
        # After a failed restore the KV of every slot may be wrong.
        parts.server.end(address, f"llama.cpp cannot restore {what} and is restarted")
        parts.log.warning("no snapshots are kept", of=what, reason=str(error))
        return False
    finally:
        await asyncio.to_thread((folder / FILE).unlink, missing_ok=True)
    reused, size = again.reused or 0, read.read
    if reused < size - CHECKPOINT_GAP:
        why = "llama.cpp reads again what it has restored"
        parts.log.warning("no snapshots are kept", of=what, reason=why, saved=size, reused=reused)
        return False
    return True


async def _read(parts: SlotParts, text: str, marker: str | None, *, fresh: bool = False) -> SlotUse:
    """Read a text, behind an image if there is a marker, into the first slot."""
    use = SlotUse(0, fresh=fresh)
    tokens: list[int] = []
    media = None
    if marker is None:
        tokens = list(await parts.client.tokenize(text, control=False))
    else:
        media = MediaPrompt(marker + text, (GREY,))
    request = CompletionRequest(tokens=tokens, max_tokens=0, temperature=0.0)
    async with contextlib.aclosing(parts.client.complete(request, media, use)) as pieces:
        async for _ in pieces:
            pass
    return use
