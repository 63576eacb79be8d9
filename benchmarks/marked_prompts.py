"""Prompts with a breakpoint, for Antiphon and for the slots of a bare llama.cpp."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.engines.llama.options import LlamaOptions
from antiphon.wire.content import TextParam
from benchmarks.answers import Answer, AnswerError, timed
from benchmarks.bare import BareLlama
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server

PASSAGE = "The choir sings a line, and the other side of the church answers it."
QUESTION = "{}: which side begins the last verse?"
"""12 tokens of the default model, with three digits."""
SHORT = "Say yes."
FILE = "prefix.kv"
AT_ONCE = 8
ANSWER_TOKENS = 2
LIFETIME = "1h"
"""The sizes of a round follow one another, and a large prefix takes minutes."""


@dataclass(frozen=True, slots=True)
class MarkedPrompt:
    """A system prompt with a breakpoint at its end, and a question.

    `tokens` are those of the whole prompt, `at` is the number of them before the breakpoint.
    """

    system: str
    question: str
    tokens: list[int]
    at: int


class MarkedPrompts:
    """Makes prefixes that no other prompt begins with, and questions that no other prompt has."""

    def __init__(self, bare: BareLlama) -> None:
        self._bare = bare
        self._prefixes = itertools.count(100_000)
        self._questions = itertools.count(1)

    async def prefix(self, tokens: int) -> str:
        """Return a new system prompt: the shortest of at least so many tokens up to its end."""
        number = next(self._prefixes)
        words = list(itertools.islice(itertools.cycle(PASSAGE.split()), tokens))
        # Each word has at least one token.
        low, high = 0, tokens
        while low < high:
            middle = (low + high) // 2
            system = f"Number {number}. {' '.join(words[:middle])}"
            if (await self._marked(system, SHORT)).at < tokens:
                low = middle + 1
            else:
                high = middle
        return f"Number {number}. {' '.join(words[:low])}"

    async def ask(self, system: str) -> MarkedPrompt:
        """Return a new question behind a system prompt."""
        # Reversed, so that numbers in succession differ in their first digits.
        number = f"{next(self._questions):03}"[::-1]
        return await self._marked(system, QUESTION.format(number))

    async def _marked(self, system: str, question: str) -> MarkedPrompt:
        turns = (
            Turn("system", (TextParam(text=system),)),
            Turn("user", (TextParam(text=question),)),
        )
        breakpoints = (Breakpoint(turn=0, path=(0,)),)
        prompt = Prompt(turns, ANSWER_TOKENS, breakpoints=breakpoints)
        rendered = await self._bare.render(prompt)
        return MarkedPrompt(system, question, list(rendered.tokens), rendered.breakpoints[0].at)


class Through:
    """Antiphon, asked with prompts. `claimed` are the cached tokens that it told last."""

    def __init__(self, session: aiohttp.ClientSession, server: Server, key: str) -> None:
        self.claimed = 0
        self._session = session
        self._key = key
        self._url = f"http://{HOST}:{server.port}{MESSAGES}"
        self._short = itertools.count(100_000)

    async def first_ms(self, prompt: MarkedPrompt, key: str | None = None) -> float:
        """Ask one, perhaps with another key, and return the time to the first token."""
        return (await self._ask(prompt, key or self._key)).first_ms

    async def all_first_ms(self, prompts: list[MarkedPrompt]) -> float:
        """Ask all at once, and return the time until the last one has its first token."""
        answers = await asyncio.gather(*(self._ask(prompt, self._key) for prompt in prompts))
        began, last = min(one.asked for one in answers), max(one.first for one in answers)
        return 1000 * (last - began)

    async def displace(self) -> None:
        """Let other prompts take all slots, one after the other."""
        for _ in range(LlamaOptions().slots):
            content = f"{next(self._short)}: {SHORT}"
            await self._post({"messages": [{"role": "user", "content": content}]}, self._key)

    async def _ask(self, prompt: MarkedPrompt, key: str) -> Answer:
        block = {
            "type": "text",
            "text": prompt.system,
            "cache_control": {"type": "ephemeral", "ttl": LIFETIME},
        }
        message = {"role": "user", "content": prompt.question}
        answer = await self._post({"system": [block], "messages": [message]}, key)
        # Pings may stand before it.
        start = next(event for event in answer.events if event["type"] == "message_start")
        usage = start["message"]["usage"]
        self.claimed = usage["cache_read_input_tokens"]
        told = usage["input_tokens"] + usage["cache_creation_input_tokens"] + self.claimed
        if told != len(prompt.tokens):
            raise AnswerError(f"the prompt has {len(prompt.tokens)} tokens, and {told} were told")
        return answer

    async def _post(self, fields: dict[str, Any], key: str) -> Answer:
        body = {
            "model": "claude-local",
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
            "stream": True,
            **fields,
        }
        headers = {**HEADERS, "x-api-key": key}
        return await timed(
            self._session.post(self._url, data=msgspec.json.encode(body), headers=headers),
            # Without a delta the first token was the end of the answer.
            said=lambda event: event["type"] in {"content_block_delta", "message_delta"},
        )


@asynccontextmanager
async def through(server: Server, key: str) -> AsyncGenerator[Through]:
    """Open connections to a server."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Through(session, server, key)


class BareSlots:
    """The slots of a bare llama.cpp: the first one reads, the others are restored into."""

    def __init__(self, bare: BareLlama, folder: Path) -> None:
        self._bare = bare
        self._folder = folder

    async def cold_ms(self, prompt: MarkedPrompt) -> float:
        await self._bare.client.erase_slot(0)
        return await self.slot_ms(prompt)

    async def slot_ms(self, prompt: MarkedPrompt, slot: int = 0) -> float:
        return (await self._complete(prompt.tokens, ANSWER_TOKENS, slot)).first_ms

    async def save(self, prompt: MarkedPrompt) -> tuple[float, int]:
        """Save the first slot with the prefix alone; returns the time in ms, and the bytes."""
        await self._complete(prompt.tokens[: prompt.at], 0, 0)
        began = time.perf_counter()
        saved = await self._bare.client.save_slot(0, FILE)
        return 1000 * (time.perf_counter() - began), saved.n_written

    async def restore_ms(self) -> float:
        """Restore what was saved into the second slot."""
        began = time.perf_counter()
        await self._bare.client.restore_slot(1, FILE)
        return 1000 * (time.perf_counter() - began)

    async def restored_ms(self, prompt: MarkedPrompt) -> float:
        """Restore what was saved, and ask behind it; returns the time of both."""
        return await self.restore_ms() + await self.slot_ms(prompt, 1)

    async def restore_from_disk_ms(self) -> float:
        """Restore what was saved, after the system was asked to hold none of it in memory."""
        drop_from_memory(self._folder / FILE)
        return await self.restore_ms()

    async def _complete(self, tokens: list[int], n_predict: int, slot: int) -> Answer:
        return await self._bare.complete(
            tokens, n_predict, slot=slot, said=lambda event: bool(event["content"]) or event["stop"]
        )


def drop_from_memory(path: Path) -> None:
    """Write a file to the disk, and ask the system to forget its pages (Linux)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
