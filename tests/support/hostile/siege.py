"""A real server under attack, and what is measured of it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from antiphon.store.database.database import sqlite_url
from support.hostile.polite import Politeness, be_polite
from support.processes import KEY, PROGRAM, serving
from support.servers import configure, environ, recorded

GRACE_S = 5.0
# What the end takes beside the grace time: cancelled requests, and the ledger's last entries.
PARTING_S = 5.0
SAMPLE_S = 0.05
# How long the attackers are at work before the polite client comes.
LEAD_S = 1.0
# How long the polite client is alone first, to see what the machine allows without attacks.
CALM_S = 5.0
LIMITS = f"""
request_timeout_s = 8
write_timeout_s = 5
shutdown_grace_s = {GRACE_S}
log_level = "info"
log_format = "json"
"""
# The counts of an answer in the log line of its request, which only an admitted one has.
ADMITTED = '"output_tokens":'


@dataclass
class Siege:
    """What was measured. Memory is in resident bytes: the server's, and all its children's."""

    calm: Politeness = field(default_factory=Politeness)
    polite: Politeness = field(default_factory=Politeness)
    attacks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    memory: int = 0
    memory_of_children: int = 0
    end_s: float = 0.0
    code: int | None = None
    admitted: list[str] = field(default_factory=list)
    billed: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Check what does not depend on the speed of the machine."""
        assert self.faults == []
        assert self.polite.failures == []
        assert self.code == 0
        # Each request is billed once (the ledger's ids are unique), and as its caller was told.
        assert sorted(self.admitted) == sorted(self.billed)
        assert self.polite.told.items() <= self.billed.items()

    def lines(self) -> list[str]:
        """Return the figures for people."""
        polite = self.polite
        return [
            *(f"{count:8,} {name}" for name, count in sorted(self.attacks.items())),
            f"{len(polite.took_s):8,} polite requests, {len(polite.failures)} failed",
            f"{_times(polite)}; before the attacks {_times(self.calm).strip()}",
            f"{self.memory / 2**20:8.0f} MiB, the most of the server at one time",
            f"{self.memory_of_children / 2**20:8.0f} MiB, the most of its children at one time",
            f"{self.end_s:8.1f} s from SIGTERM to the end",
            f"{len(self.admitted):8,} requests admitted, {len(self.billed):,} in the ledger",
        ]


def _times(polite: Politeness) -> str:
    p50, p99, longest = (polite.quantile(share) for share in (0.5, 0.99, 1))
    return f"{p50:8.0f} ms p50, {p99:.0f} ms p99, {longest:.0f} ms the longest"


async def lay_siege(
    folder: Path, seconds: float, forces: Sequence[Sequence[str]], calm_s: float = CALM_S
) -> Siege:
    """Attack a server for so many seconds, each force with a process of its own.

    A force is the number of workers and the names of their attacks. The server is stopped while
    the attacks go on. For `calm_s` seconds before it the polite client is alone.
    """
    siege = Siege()
    configure(folder, text="word " * 200_000, more=LIMITS)
    log = folder / "server.log"
    environment = environ(log_level="info")
    with serving(folder, environ=environment, program=PROGRAM, log=log) as program:
        watching = asyncio.create_task(_watch(program.process.pid, siege))
        address = urlsplit(program.url).netloc
        siege.calm = await be_polite(program.url, calm_s)
        async with _attacking(address, forces, siege):
            await asyncio.sleep(LEAD_S)
            siege.polite = await be_polite(program.url, seconds)
            began = time.monotonic()
            program.process.send_signal(signal.SIGTERM)
            siege.code = await asyncio.to_thread(program.process.wait, 60)
            siege.end_s = time.monotonic() - began
        watching.cancel()
    _read_log(log, siege)
    for row in await recorded(sqlite_url(folder / "antiphon.db")):
        siege.billed[row["id"]] = (row["input_tokens"], row["output_tokens"])
    return siege


@asynccontextmanager
async def _attacking(
    address: str, forces: Sequence[Sequence[str]], siege: Siege
) -> AsyncIterator[None]:
    paths = [path for path in sys.path if path]
    attackers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.hostile", address, KEY, str(seed), *force),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        for seed, force in enumerate(forces)
    ]
    try:
        for attacker in attackers:
            if attacker.stdout is not None:
                await attacker.stdout.readline()
        yield
    finally:
        for attacker in attackers:
            with contextlib.suppress(ProcessLookupError):
                attacker.terminate()
        for attacker in attackers:
            told, _ = await attacker.communicate()
            if attacker.returncode != 0:
                siege.faults.append(f"the attackers ended with {attacker.returncode}")
                continue
            report = json.loads(told)
            siege.attacks.update(report["counts"])
            siege.statuses.update(report["statuses"])


async def _watch(pid: int, siege: Siege) -> None:
    while True:
        own, children = resident(pid)
        siege.memory = max(siege.memory, own)
        siege.memory_of_children = max(siege.memory_of_children, children)
        await asyncio.sleep(SAMPLE_S)


def resident(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process, and of all its children; 0 for one that is gone."""
    root = Path("/proc", str(pid))
    try:
        pages = int((root / "statm").read_text().split()[1])
        children = [
            int(child)
            for task in (root / "task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0, 0
    return pages * os.sysconf("SC_PAGESIZE"), sum(sum(resident(child)) for child in children)


def _read_log(log: Path, siege: Siege) -> None:
    for number, text in enumerate(log.read_text("utf-8").splitlines(), 1):
        if not text.startswith("{"):
            # Lines of libraries; an attacker must not be able to write a traceback.
            if "Traceback" in text or "Error" in text:
                siege.faults.append(f"log line {number}: {text}")
            continue
        line = json.loads(text)
        if ADMITTED in text and line["event"] == "request":
            siege.admitted.append(line["request_id"])
        if "exception" in line or line.get("status") == 500 or line["level"] == "critical":
            siege.faults.append(f"log line {number}: {text}")
