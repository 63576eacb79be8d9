"""A program that maps rows by batches and says what it does, a line at a time: to be killed.

python -m support.mapping_program URL KEY FILE ROWS PART_REQUESTS KIND
"""

import asyncio
import sys
from typing import Any

from antiphon.sdk.async_client import AsyncClient
from antiphon.sdk.batches.resource import MapParameters
from antiphon.sdk.client import Client


class Loud:
    """An observer that prints each attempt, before it and behind it."""

    def before(self, call: Any, attempt: int) -> float:
        say(f"before {call.method} {call.path} {attempt}")
        return 0

    def after(self, call: Any, attempt: int, _: Any) -> None:
        say(f"after {call.method} {call.path} {attempt}")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what the test reads


def asked(row: int) -> dict[str, Any]:
    message = {"role": "user", "content": f"Row {row}"}
    return {"model": "claude-x", "max_tokens": 20, "messages": [message]}


def main() -> None:
    url, key, file, rows, part, kind = sys.argv[1:]
    how: MapParameters = {
        "file": file,
        "part_requests": int(part),
        "first_pause": 0.05,
        "longest_pause": 0.3,
    }
    if kind == "sync":
        with Client(base_url=url, api_key=key, observers=[Loud()]) as client:
            for result in client.messages.batches.map(asked, range(int(rows)), **how):
                say(f"row {result.row} {result.message.id}")
    else:
        asyncio.run(run(url, key, int(rows), how))
    say("done")


async def run(url: str, key: str, rows: int, how: MapParameters) -> None:
    async with AsyncClient(base_url=url, api_key=key, observers=[Loud()]) as client:
        async for result in client.messages.batches.map(asked, range(rows), **how):
            say(f"row {result.row} {result.message.id}")


if __name__ == "__main__":
    main()
