"""Attack a server until the signal to stop, and then print what was done, as JSON.

The first line of the output says that the attacks begin.

`python -m support.hostile HOST:PORT KEY SEED WORKERS ATTACK…`
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from random import Random

import msgspec

from support.hostile.bodies import BODIES, DENSE, prepare
from support.hostile.connection import Target
from support.hostile.connections import CONNECTIONS, Attack

ATTACKS: Mapping[str, Attack] = {**CONNECTIONS, **BODIES, **DENSE}
# The server and its polite callers go first.
NICENESS = 19
# The pause after a connection that the server refused or cut, in seconds.
PAUSE_S = 0.02


class Attackers:
    """Workers that each run one attack after the other, in an order of their own."""

    def __init__(self, target: Target, seed: int, names: list[str]) -> None:
        self._target = target
        self._seed = seed
        self._names = names
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    async def work(self, number: int) -> None:
        chance = Random(f"{self._seed} {number}")  # noqa: S311 - an order is no secret
        while True:
            names = chance.sample(self._names, len(self._names))
            for name in names:
                await self._run(name, chance)

    async def _run(self, name: str, chance: Random) -> None:
        try:
            seen = await ATTACKS[name](self._target, chance)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            self.statuses[f"{name} {type(error).__name__}"] += 1
            await asyncio.sleep(PAUSE_S)
            if isinstance(error, ConnectionRefusedError):
                return
        else:
            self.statuses.update(f"{name} {status}" for status in seen)
        self.counts[name] += 1


async def main(address: str, key: str, seed: str, workers: str, *names: str) -> None:
    host, port = address.split(":")
    attackers = Attackers(Target(host, int(port), key), int(seed), list(names))
    prepare(names)
    os.nice(NICENESS)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(attackers.work(number)) for number in range(int(workers))]
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    report = {"counts": attackers.counts, "statuses": attackers.statuses}
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    if failed:
        raise failed[0] or SystemExit(1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
