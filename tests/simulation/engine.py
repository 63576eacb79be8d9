"""The scripted engine, with a record of what it really produced, and with faults of its own."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Prompt,
    PromptSize,
    Started,
    keeps_prefixes,
)
from antiphon.engines.scripted import open_scripted
from simulation.loop import OWNER

# Every prompt names its request.
_NAMED = re.compile(r"request (\d+)\b")
# What a prompt may ask the engine to do wrong, and after how many tokens.
_WRONG = re.compile(r"please (fail|hang|stop|refuse|kill) after (\d+)")
# How long an engine hangs that hangs.
HANGS_S = 45.0


@dataclass
class Produced:
    """How many tokens the engine read and produced for a request.

    An answer in rounds reads a prompt for each of them; `rounds` are those behind the first one.
    """

    read: int = 0
    output: int = 0
    times: int = 0
    rounds: int = 0
    # When it began to read, when its answer began, and when the last token came, in seconds.
    started_at: float = 0.0
    begun_at: float | None = None
    last_at: float = 0.0
    # The tokens that it did not read again.
    reused: int = 0


@dataclass
class EngineRecord:
    """What all engines of a run have produced, by the numbers of the requests."""

    produced: dict[int, Produced] = field(default_factory=dict)
    # How many processes were ended by a prompt.
    kills: int = 0

    def of(self, number: int) -> Produced:
        return self.produced.setdefault(number, Produced())


class RecordedEngine:
    """An engine that notes every token before anybody else has it."""

    def __init__(self, engine: Engine, record: EngineRecord) -> None:
        self._engine = engine
        self._record = record
        self.capabilities = engine.capabilities

    @property
    def ready(self) -> bool:
        return self._engine.ready

    async def count_tokens(self, prompt: Prompt) -> int:
        return await self._engine.count_tokens(prompt)

    async def measure(self, prompt: Prompt) -> PromptSize:
        assert keeps_prefixes(self._engine)
        return await self._engine.measure(prompt)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        text = "".join(text for turn in prompt.turns for text in turn.texts)
        named = _NAMED.search(text)
        produced = self._record.of(int(named[1]) if named else 0)
        # The last turn of a further round is what was found.
        goes_on = _NAMED.search("".join(prompt.turns[-1].texts)) is None
        before = (produced.read, produced.reused) if goes_on else (0, 0)
        produced.read = before[0] + await self._engine.count_tokens(prompt)
        produced.rounds += goes_on
        produced.times += not goes_on
        produced.started_at = asyncio.get_running_loop().time()
        wrong = _WRONG.search(text)
        async with aclosing(self._engine.generate(prompt)) as events:
            async for event in events:
                if wrong is not None and produced.output >= int(wrong[2]):
                    self._record.kills += wrong[1] == "kill"
                    if await _goes_wrong(wrong[1]):
                        return
                    wrong = None
                now = asyncio.get_running_loop().time()
                if isinstance(event, Started):
                    reused = event.confirmed.reused if event.confirmed else 0
                    produced.reused = before[1] + reused
                elif produced.begun_at is None:
                    produced.begun_at = now
                produced.output += getattr(event, "tokens", 0)
                produced.last_at = now
                yield event

    async def aclose(self) -> None:
        await self._engine.aclose()


async def _goes_wrong(how: str) -> bool:
    """Fail, end the process, or hang for a while; tells whether the answer stops without an end."""
    match how:
        case "fail":
            raise EngineError(EngineErrorKind.FAILED, "the engine broke")
        case "refuse":
            raise EngineError(EngineErrorKind.OVERLOADED, "the engine is busy", retry_after_s=3)
        case "stop":
            return True
        case "kill":
            owner = OWNER.get()
            assert owner is not None
            owner.kill()
            # The process ends here.
            await asyncio.sleep(0)
            return True
        case _:
            await asyncio.sleep(HANGS_S)
            return False


async def open_recorded(config: EngineConfig, record: EngineRecord) -> RecordedEngine:
    return RecordedEngine(await open_scripted(config), record)
