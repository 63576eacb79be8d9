"""Time to the first token with the prompt cache, beside bare llama.cpp in the same rounds.

A system prompt of each size ends with a breakpoint; a question stands behind it. In each round the
prefixes are new. They are read cold, then asked about again: in their slot; restored from a
snapshot, after other prompts have taken all slots; in another workspace; by eight requests at once;
and by a new server on the same data folder, after `kill -9` of the server and its engine. The bare
child gets the same tokens, in slots that the benchmark names, saves and restores.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import uvloop
from msgspec.structs import replace

from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.llama.opening import FOLDER
from antiphon.engines.llama.snapshots.files import SnapshotFiles
from antiphon.engines.llama.snapshots.keys import open_key
from antiphon.engines.llama.snapshots.prefixes import pack_tokens
from benchmarks.answers import AnswerError
from benchmarks.bare import bare_llama
from benchmarks.cache_round import Round, first_tokens, snapshots
from benchmarks.marked_prompts import (
    AT_ONCE,
    BareSlots,
    MarkedPrompt,
    MarkedPrompts,
    Through,
    through,
)
from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import administer, antiphon, default_weights

SIZES = (500, 2000, 6000)
SETTLE_S = 1.0
"""The pause after a prefix was read, in which its snapshot is proven in the background."""
LEAST, MOST = 100, 8_000
"""The sizes that fit between what each prompt has and the context of a slot."""

Ask: TypeAlias = Callable[[MarkedPrompt], Awaitable[float]]
"""Asks a prompt, and returns the time to its first token in ms."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many rounds of which prefixes, in tokens, and how often what takes no long time."""

    sizes: tuple[int, ...] = SIZES
    rounds: int = 2
    repeats: int = 3


QUICK = Size(sizes=(150,), rounds=1, repeats=1)


def measure(weights: Path | None, size: Size) -> list[Figure]:
    """Measure every size in each round."""
    weights = weights or default_weights()
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        data, slots = Path(folder, "data"), Path(folder, "slots")
        data.mkdir()
        slots.mkdir()
        administer(data, "workspaces", "create", "other")
        keys = [
            administer(data, "keys", "create", name, "--workspace", name).strip()
            for name in ("Default", "other")
        ]
        rounds = uvloop.run(_measure(weights, size, data, slots, keys))
    return [figure for part in (first_tokens, snapshots) for one in rounds for figure in part(one)]


async def _measure(
    weights: Path, size: Size, data: Path, slots: Path, keys: Sequence[str]
) -> list[list[Round]]:
    settings = {
        "ANTIPHON_ENGINE": "llama",
        "ANTIPHON_MODEL": str(weights),
        "ANTIPHON_CACHE_MINIMUM_TOKENS": str(min(*size.sizes, MINIMUM_TOKENS)),
    }
    rounds: list[list[Round]] = [[] for _ in size.sizes]
    async with bare_llama(weights, slots) as bare:
        sides = _Sides(data, settings, keys, MarkedPrompts(bare), BareSlots(bare, slots))
        for place in range(size.rounds):
            for kept, tokens in zip(rounds, size.sizes, strict=True):
                one = await sides.measure(tokens, size.repeats, bare_first=bool(place % 2))
                print(f"round {place + 1} of {size.rounds}: {one}", file=sys.stderr, flush=True)
                kept.append(one)
    return rounds


class _Sides:
    """Antiphon on a data folder with keys of two workspaces, and the bare child."""

    def __init__(
        self,
        data: Path,
        settings: dict[str, str],
        keys: Sequence[str],
        prompts: MarkedPrompts,
        bare: BareSlots,
    ) -> None:
        self._data = data
        self._settings = settings
        self._key, self._other_key = keys
        self._prompts = prompts
        self._bare = bare

    async def measure(self, tokens: int, repeats: int, *, bare_first: bool) -> Round:
        """Measure one round of one size."""
        prefix, shared = [await self._prompts.prefix(tokens) for _ in range(2)]
        prompt = await self._prompts.ask(prefix)
        one = Round(tokens=prompt.at, behind=len(prompt.tokens) - prompt.at)
        with antiphon(self._data, self._settings) as server:
            async with through(server, self._key) as ours:
                await ours.displace()  # the first requests of a server are slower
                await self._compare(one, ours, prefix, repeats, bare_first=bare_first)
                prompt = await self._prompts.ask(prefix)
                one.elsewhere = await ours.first_ms(prompt, self._other_key)
                await asyncio.sleep(SETTLE_S)
                other = await self._prompts.ask(await self._prompts.prefix(tokens))
                one.cold_again = await ours.first_ms(other)
                await asyncio.sleep(SETTLE_S)
                together = [await self._prompts.ask(shared) for _ in range(AT_ONCE)]
                one.together = await ours.all_first_ms(together)
                await asyncio.sleep(SETTLE_S)
            server.kill()
        one.check = _check_ms(self._data, prompt)
        await self._restart(one, (prefix, shared), repeats, bare_first=bare_first)
        return one

    async def _compare(
        self, one: Round, ours: Through, prefix: str, repeats: int, *, bare_first: bool
    ) -> None:
        """Measure what the bare child can do as well, in turn."""
        bare = self._bare

        async def median(ask: Ask, other: Ask, times: int) -> tuple[float, float]:
            measured: tuple[list[float], list[float]] = ([], [])
            for _ in range(times):
                for side in (1, 0) if bare_first else (0, 1):
                    prompt = await self._prompts.ask(prefix)
                    measured[side].append(await (ask, other)[side](prompt))
            await asyncio.sleep(SETTLE_S)
            return statistics.median(measured[0]), statistics.median(measured[1])

        async def restored(prompt: MarkedPrompt) -> float:
            await ours.displace()
            return await ours.first_ms(prompt)

        one.cold, one.bare_cold = await median(ours.first_ms, bare.cold_ms, 1)
        one.slot, one.bare_slot = await median(ours.first_ms, bare.slot_ms, repeats)
        in_slot = ours.claimed
        one.save, one.snapshot_bytes = await bare.save(await self._prompts.ask(prefix))
        one.restored, one.bare_restored = await median(restored, bare.restored_ms, repeats)
        one.claimed = (in_slot, ours.claimed)
        one.restore = statistics.median([await bare.restore_ms() for _ in range(repeats)])
        one.restore_from_disk = await bare.restore_from_disk_ms()

    async def _restart(
        self, one: Round, prefixes: Sequence[str], repeats: int, *, bare_first: bool
    ) -> None:
        """Ask new servers about prefixes that others have read, and kill them.

        The bare child is asked about the first one, before or after each of them.
        """
        measured: list[list[float]] = []
        bare: list[float] = []

        async def ask_bare() -> None:
            bare.append(await self._bare.restored_ms(await self._prompts.ask(prefixes[0])))

        claimed = 0
        for _ in range(repeats):
            with antiphon(self._data, self._settings) as server:
                async with through(server, self._key) as ours:
                    prompts = [await self._prompts.ask(prefix) for prefix in prefixes]
                    if bare_first:
                        await ask_bare()
                    measured.append([await ours.first_ms(prompt) for prompt in prompts])
                    if not bare_first:
                        await ask_bare()
                    claimed = ours.claimed
                server.kill()
        one.killed, one.killed_second = map(statistics.median, zip(*measured, strict=True))
        one.bare_killed = statistics.median(bare)
        one.claimed = (*one.claimed, claimed)


def _check_ms(data: Path, prompt: MarkedPrompt) -> float:
    """Check the snapshot of a prompt's prefix as after a start of the system, and time it.

    No server may run on the data folder.
    """
    root = data / "engines" / FOLDER
    for folder in filter(Path.is_dir, root.iterdir()):
        files = SnapshotFiles(folder, open_key(root))
        for found in files.find_all():
            if found.record.tokens == pack_tokens(prompt.tokens[: prompt.at]):
                began = time.perf_counter()
                files.check(found.name, replace(found.record, seen=None))
                return 1000 * (time.perf_counter() - began)
    raise AnswerError(f"no snapshot of {prompt.at} tokens was left by the server")


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(size) if size.isdecimal() else 0 for size in text.split(","))
    if not all(LEAST <= tokens <= MOST for tokens in sizes):
        raise argparse.ArgumentTypeError(f"each size is a number of tokens, {LEAST} to {MOST}")
    return sizes


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=2)
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, metavar="N,…", help="default: 500,2000,6000 tokens"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    options = parser.parse_args()
    size = QUICK if options.quick else Size(options.sizes, options.rounds)
    finish(measure(options.weights, size), options)


if __name__ == "__main__":
    main()
