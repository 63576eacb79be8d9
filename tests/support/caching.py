"""Prompts with breakpoints for an engine on llama.cpp, and what it confirms of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from antiphon.core.prompt import Breakpoint, Confirmation, Prompt, Started, TextChunk, Turn
from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from antiphon.engines.llama.process import ChildProcess
from antiphon.engines.llama.rates import Rates
from antiphon.engines.llama.supervisor import Supervisor
from antiphon.wire.content import TextParam

WORDS: Final = ("the", "an", "in", "on", "er", "thin", "tan", "den", "ran", "and")
MINIMUM: Final = 100
SLOTS: Final = 2


class RestoresAll(Rates):
    """Has each snapshot restored: a tiny model may read faster than a busy machine restores."""

    def restores_faster(self, size: int, tokens: int, read_ms: float) -> bool:  # noqa: ARG002 - no measurement counts
        return True


@asynccontextmanager
async def opened(
    weights: Path, state_dir: Path | None, *, only_batches: bool = False, **options: int
) -> AsyncIterator[LlamaEngine]:
    chosen = {"context": 2048, "slots": SLOTS, "threads": 2, **options}
    config = EngineConfig(
        "tiny",
        weights,
        chosen,
        state_dir,
        cache_minimum_tokens=MINIMUM,
        only_batches=only_batches,
    )
    engine = await open_llama(config)
    engine.machine.parts.rates = RestoresAll()
    try:
        yield engine
    finally:
        await engine.aclose()


def text(seed: str, words: int) -> str:
    random = Random(seed)  # noqa: S311 - prompts, no secrets
    return " ".join(random.choice(WORDS) for _ in range(words))


def asked(*texts: str, marks: Sequence[int] = (), salt: str = "one", tokens: int = 4) -> Prompt:
    """Return a prompt of a system text and turns, with breakpoints on these texts."""
    roles = ("system", *("user", "assistant") * len(texts))
    turns = tuple(
        Turn(role, (TextParam(text=one),))  # type: ignore[arg-type]
        for role, one in zip(roles, texts, strict=False)
    )
    breakpoints = tuple(
        Breakpoint(index, (0,), number=number) for number, index in enumerate(marks)
    )
    return Prompt(turns, tokens, 0.0, breakpoints=breakpoints, cache_salt=salt)


async def answered(engine: LlamaEngine, prompt: Prompt) -> tuple[Confirmation, str]:
    """Return what the engine confirms, and its answer."""
    written = ""
    confirmed = None
    async with aclosing(engine.generate(prompt)) as events:
        async for event in events:
            if isinstance(event, Started):
                confirmed = event.confirmed
            elif isinstance(event, TextChunk):
                written += event.text
    return confirmed or Confirmation(-1), written


async def settled(engine: LlamaEngine) -> None:
    assert engine.machine.parts.store is not None
    await engine.machine.parts.store.settle()


async def fill(engine: LlamaEngine) -> None:
    """Give all slots to prompts of another workspace."""
    await asyncio.gather(
        *(answered(engine, asked(text(f"fill {n}", 90), "?", salt="fill")) for n in range(SLOTS))
    )


def child_of(engine: LlamaEngine) -> ChildProcess:
    server = engine.machine.parts.server
    assert isinstance(server, Supervisor)
    assert isinstance(server.child, ChildProcess)
    return server.child
