"""Random conversations with breakpoints for an engine on llama.cpp, and what goes wrong meanwhile.

What the engine confirms is compared with what llama.cpp itself reports, for every request.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from antiphon.core.hints import Hints
from antiphon.core.prompt import Confirmation, Prompt
from antiphon.engines.base import EngineError
from antiphon.engines.llama.client import LlamaClient, SlotUse
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.llama.prompt_slot import CHECKPOINT_GAP
from antiphon.engines.token.machine import Piece
from support.caching import answered, asked, child_of, opened, text

AT_ONCE: Final = 3
BUDGET: Final = 40_000_000
SYSTEMS: Final = 6
SALTS: Final = ("one", "two", "three")
BATCHES: Final = (256, 100, 77, 64, 48, 32)
HINTS: Final = (
    Hints(),
    Hints(session_id="s", request_class="main"),
    Hints(session_id="s", was_compacted=True),
    Hints(request_class="auxiliary"),
)


class CacheTraffic:
    """Sends random requests to one engine after the other, in one folder.

    `claims` are (what was confirmed, what llama.cpp reported) where the two differ by more than a
    checkpoint may; `wrong` are answers that no cold slot gives. One that reads a prompt in other
    pieces rounds otherwise, so that tokens which are as likely may be exchanged: therefore cold
    slots read it in pieces of several sizes (`BATCHES`).
    """

    def __init__(self, weights: Path, folder: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.claims: list[tuple[int, int | None]] = []
        self.wrong: list[tuple[str, str]] = []
        self._weights = weights
        self._folder = folder
        self._random = Random(seed)  # noqa: S311 - prompts, no secrets
        self._talks: list[tuple[str, list[str]]] = []
        self._asked: list[tuple[Prompt, str]] = []

    async def run(self, requests: int) -> None:
        """Send requests, with a fault after every hundred or so."""
        left = requests
        while left > 0:
            async with opened(self._weights, self._folder, snapshot_bytes=BUDGET) as engine:
                for _ in range(self._random.randrange(2, 5)):
                    share = min(left, self._random.randrange(30, 120))
                    left -= share
                    await self._send(engine, share)
                    async with self._fault(engine):
                        await self._send(engine, min(left, 12))
                        left -= 12
                self.counts["mismatches"] += engine.machine.parts.mismatches

    async def compare(self, most: int = 40) -> None:
        """Ask some of the prompts again, of engines that keep nothing."""
        left = self._random.sample(self._asked, min(most, len(self._asked)))
        said: dict[str, str] = {}
        for batch in BATCHES:
            if not left:
                break
            async with opened(self._weights, None, snapshot_bytes=0, slots=1, batch=batch) as cold:
                different = []
                for prompt, answer in left:
                    await answered(cold, asked(text("other", 120), "?", salt="cold"))
                    _, said[answer] = await answered(cold, replace(prompt, breakpoints=()))
                    if said[answer] != answer:
                        different.append((prompt, answer))
                self.counts[f"other answers, read by {batch}"] = len(different)
                left = different
        self.wrong = [(answer, said[answer]) for _, answer in left]

    async def _send(self, engine: LlamaEngine, count: int) -> None:
        waiting = asyncio.Semaphore(AT_ONCE)

        async def one(prompt: Prompt) -> None:
            async with waiting:
                await self._ask(engine, prompt)

        await asyncio.gather(*(one(self._prompt()) for _ in range(max(0, count))))

    async def _ask(self, engine: LlamaEngine, prompt: Prompt) -> None:
        self.counts["requests"] += 1
        patience_s = self._random.choice((60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 0.03))
        with reported(engine.machine.client) as uses:
            try:
                async with asyncio.timeout(patience_s):
                    confirmed, answer = await answered(engine, prompt)
            except TimeoutError:
                self.counts["cancelled"] += 1
                return
            except EngineError:
                # The child was ended while it worked on this.
                self.counts["failed"] += 1
                return
        if prompt.breakpoints:
            self._compare_claim(confirmed, uses[0].reused)
        self._asked.append((prompt, answer))

    def _compare_claim(self, confirmed: Confirmation, reused: int | None) -> None:
        self.counts["claims"] += 1
        self.counts["read from the cache"] += confirmed.reused >= min(confirmed.breakpoints)
        if reused is None or not reused <= confirmed.reused <= reused + CHECKPOINT_GAP:
            self.claims.append((confirmed.reused, reused))

    def _prompt(self) -> Prompt:
        """Go on with a conversation, or begin a new one."""
        random = self._random
        if self._talks and random.random() < 0.5:
            salt, talk = random.choice(self._talks)
            talk += ["An.", text(str(random.random()), random.randrange(1, 40))]
        else:
            salt = random.choice(SALTS)
            talk = [text(f"system {random.randrange(SYSTEMS)}", 120)]
            talk.append(text(str(random.random()), random.randrange(1, 120)))
            self._talks.append((salt, talk))
        if len(talk) > 7:
            self._talks.remove((salt, talk))
        marks = [index for index in (0, len(talk) - 1) if random.random() < 0.7]
        prompt = asked(*talk, marks=marks, salt=salt, tokens=random.randrange(1, 6))
        return replace(prompt, hints=random.choice(HINTS))

    @asynccontextmanager
    async def _fault(self, engine: LlamaEngine) -> AsyncIterator[None]:
        store = engine.machine.parts.store
        assert store is not None
        fault = self._random.choice(("child", "disk", "files", "none"))
        self.counts[f"fault: {fault}"] += 1
        if fault == "child":
            child_of(engine).kill()
        elif fault == "files":
            for file in sorted(store.folder.glob("*.kv"))[::3]:
                with suppress(OSError):
                    file.write_bytes(file.read_bytes()[: self._random.randrange(1, 1000)])
        elif fault == "disk":
            small = (1 << 18, resource.RLIM_INFINITY)
            limit = resource.prlimit(child_of(engine).pid, resource.RLIMIT_FSIZE, small)
            try:
                yield
            finally:
                with suppress(ProcessLookupError):
                    resource.prlimit(child_of(engine).pid, resource.RLIMIT_FSIZE, limit)
            return
        yield


class reported:  # noqa: N801 - it is used as a function
    """Collects what llama.cpp reports of the completions of the current task."""

    def __init__(self, client: LlamaClient) -> None:
        self._client: Any = client
        self._task = asyncio.current_task()
        self.uses: list[SlotUse] = []

    def __enter__(self) -> list[SlotUse]:
        listeners = self._client.__dict__.setdefault("listeners", {})
        if "complete" not in self._client.__dict__:
            complete = self._client.complete

            async def heard(
                request: Any, media: Any = None, use: SlotUse | None = None
            ) -> AsyncGenerator[Piece, None]:
                heard_by = listeners.get(asyncio.current_task())
                if heard_by is not None and use is not None:
                    heard_by.append(use)
                async for piece in complete(request, media, use):
                    yield piece

            self._client.complete = heard
        listeners[self._task] = self.uses
        return self.uses

    def __exit__(self, *_: object) -> None:
        del self._client.listeners[self._task]
