"""Keys that were used only just before a server was killed are among those that are used."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from antiphon.service.accounts import WRITE_EVERY_S
from support.asgi import HELLO
from support.organization import ADMIN, ORGANIZATIONS_PATH
from support.processes import KEY, serving
from support.servers import Caller, configure

pytestmark = pytest.mark.anyio

VERSION = {"anthropic-version": "2026-10-21"}
BATCHES = "/v1/messages/batches"


async def test_keys_of_which_only_the_ledger_knows_are_used_after_a_kill(
    tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    _, settings = database
    configure(tmp_path)
    secrets = {}
    async with httpx2.AsyncClient(timeout=60) as client:
        with serving(tmp_path, environ=settings) as program:
            now = asyncio.get_running_loop().time
            began = now()
            for name in ("messages", "batches", "idle"):
                body = {"name": name, "scope": {"type": "organization"}}
                made = await client.post(
                    f"{program.url}{ORGANIZATIONS_PATH}/api_keys",
                    json=body,
                    headers={"x-api-key": ADMIN, **VERSION},
                )
                secrets[name] = made.json()
            caller = Caller(client, program.url, secrets["messages"]["secret"])
            assert (await caller.create()).status == 200
            batch = await client.post(
                f"{program.url}{BATCHES}",
                json={"requests": [{"custom_id": "one", "params": HELLO}]},
                headers={"x-api-key": secrets["batches"]["secret"], **VERSION},
            )
            assert batch.status_code == 200, batch.text
            assert now() - began < WRITE_EVERY_S, "the uses may have been written"
            program.process.send_signal(signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL
        with serving(tmp_path, environ=settings) as program:
            path = f"{program.url}{BATCHES}/{batch.json()['id']}"
            await ended(client, path)
            answer = await client.get(
                f"{program.url}{ORGANIZATIONS_PATH}/balances?scope=api_key&used=true",
                headers={"x-api-key": ADMIN, **VERSION},
            )
    spent = {one["scope"]["api_key_id"]: one["spent"] for one in answer.json()["data"]}
    assert spent == {
        secrets["messages"]["id"]: "0.0075",
        secrets["batches"]["id"]: "0.00375",
    }


async def ended(client: httpx2.AsyncClient, path: str) -> None:
    """Wait until a batch has ended; another key asks."""
    async with asyncio.timeout(60):
        while (await progress(client, path))["processing_status"] != "ended":  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.1)


async def progress(client: httpx2.AsyncClient, path: str) -> Any:
    return (await client.get(path, headers={"x-api-key": KEY, **VERSION})).json()
