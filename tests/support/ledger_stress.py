"""A process that writes a ledger until it is killed.

    python -m support.ledger_stress URL FOLDER SEED NAME

It runs many random requests at once. After each call of the ledger it prints what the caller would
have received: `ID PROMPT OUTPUT` with the tokens so far, and `ID closed` after the end is recorded.
A line is one write to a pipe, so a kill leaves either the whole line or nothing of it.
"""

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from antiphon.core.billing.ledger import LedgerEntry, Opening
from antiphon.core.billing.price_list import list_price
from antiphon.core.billing.pricing import FREE
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.service.ledger import Ledger, Receivers, open_ledger, saving_to, take_over
from antiphon.service.limits.admission import Admission
from antiphon.store.database.database import open_database

AT_ONCE = 40


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def run_requests(ledger: Ledger, chance: random.Random, name: str) -> None:
    number = 0
    while True:
        number += 1
        await request(ledger, chance, f"req_{name}_{number}")
        # Let other requests and the flush run.
        await asyncio.sleep(chance.choice([0, 0, 0.001]))


async def request(ledger: Ledger, chance: random.Random, request_id: str) -> None:
    opening = Opening(
        id=request_id,
        started_at=datetime.now(UTC),
        model="claude-haiku-5-5",
        served_model="small",
        price=list_price("claude-haiku-5-5") or FREE,
    )
    entry = Admission(ledger, opening, rates=(), drawn={}, headers={})
    prompt = TokenCounts(input=chance.randint(1, 999), cache_read=chance.randint(0, 999))
    entry.prompt(prompt)
    say(request_id, prompt.prompt, 0)
    output = 0
    for _ in range(chance.randint(0, 12)):
        output += chance.randint(1, 3)
        entry.produced(output, 0)
        say(request_id, prompt.prompt, output)
        await asyncio.sleep(chance.choice([0, 0, 0, 0.001]))
    tokens = TokenCounts(input=prompt.input, cache_read=prompt.cache_read, output=output)
    entry.close(Outcome.COMPLETED, tokens, stop_reason="end_turn")
    say(request_id, "closed")


async def settle(entries: Sequence[LedgerEntry]) -> None:
    """Accept entries without counting them."""


async def main(url: str, folder: str, seed: str, name: str) -> None:
    chance = random.Random(int(seed))  # noqa: S311 - random requests, no secrets
    database = await open_database(url)
    receivers = Receivers(settle, saving_to(database))
    await take_over(Path(folder), receivers)
    async with open_ledger(
        Path(folder),
        receivers,
        now=lambda: datetime.now(UTC),
        entropy=os.urandom,
        flush_every_s=0.01,
    ) as ledger:
        say("ready")
        streams = (run_requests(ledger, chance, f"{name}_{place}") for place in range(AT_ONCE))
        await asyncio.gather(*streams)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
