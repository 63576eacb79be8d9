"""Servers of one organization in their own processes, and callers that record the answers."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from antiphon.engines.scripted_prompt import tokens
from antiphon.store.database.database import open_database
from antiphon.store.database.tables import ledger
from antiphon.wire.sse import FrameDecoder
from support.asgi import HELLO
from support.organization import ADMIN, ORGANIZATIONS_PATH
from support.processes import KEY

# The cost of 5 prompt tokens and 3 output tokens.
CUT = {"max_tokens": 3}
CUT_COST = 5 * 3_000 + 3 * 15_000
CONFIG = """
engine = "scripted"
aliases = ["claude-*"]
price = {{ input = 3, output = 15 }}
scripted.text = "{text}"
scripted.tokens_per_second = {speed}
"""


def configure(folder: Path, text: str = "One two three", speed: int = 0, more: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG.format(text=text, speed=speed) + more
    (folder / "antiphon.toml").write_text(config, encoding="utf-8")


def environ(**settings: str) -> dict[str, str]:
    shared = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN, "ANTIPHON_LOG_LEVEL": "error"}
    return {**shared, **{f"ANTIPHON_{name.upper()}": value for name, value in settings.items()}}


@dataclass
class Told:
    """What a caller received before its connection ended."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    whole: bool = False
    error: str = ""

    @property
    def request_id(self) -> str:
        return self.headers["request-id"]

    def read_event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "message_start":
                self.input_tokens = event["message"]["usage"]["input_tokens"]
            case "content_block_delta":
                self.output_tokens += len(tokens(event["delta"]["text"]))
            case "message_delta":
                self.output_tokens = event["usage"]["output_tokens"]
            case "message_stop":
                self.whole = True

    def read_json(self, answer: dict[str, Any]) -> None:
        self.whole = True
        if "usage" in answer:
            self.input_tokens = answer["usage"]["input_tokens"]
            self.output_tokens = answer["usage"]["output_tokens"]
        else:
            self.error = answer["error"]["message"]


class Caller:
    """One caller of one server."""

    def __init__(self, client: httpx2.AsyncClient, url: str, key: str = KEY) -> None:
        self._client = client
        self._url = url
        self._headers = {"x-api-key": key, "anthropic-version": "2026-10-21"}

    async def create(self, told: Told | None = None, **changes: Any) -> Told:
        """Request a message; `told` keeps what arrived, even if the connection breaks."""
        told = told or Told()
        body = {**HELLO, **changes}
        asking = self._client.stream(
            "POST", f"{self._url}/v1/messages", json=body, headers=self._headers
        )
        async with asking as response:
            told.status, told.headers = response.status_code, dict(response.headers)
            if not body.get("stream") or told.status != 200:
                told.read_json(json.loads(await response.aread()))
                return told
            frames = FrameDecoder()
            async for chunk in response.aiter_bytes():
                for frame in frames.feed(chunk):
                    told.read_event(json.loads(frame.data))
        return told

    async def until_killed(self, told: Told, **changes: Any) -> None:
        with contextlib.suppress(httpx2.TransportError):
            await self.create(told, **changes)

    async def many(self, number: int, **changes: Any) -> list[Told]:
        return await asyncio.gather(*(self.create(**changes) for _ in range(number)))


async def administer(client: httpx2.AsyncClient, url: str, path: str, body: Any) -> Any:
    headers = {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"}
    answer = await client.post(f"{url}{ORGANIZATIONS_PATH}{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def limit_spend(client: httpx2.AsyncClient, url: str, nano_dollars: int) -> None:
    cents = f"{nano_dollars // 10**7}.{nano_dollars % 10**7:07}"
    body = {"scope": {"type": "organization"}, "amount": cents}
    await administer(client, url, "/spend_limits", body)


async def recorded(database_url: str) -> Sequence[Any]:
    """Return all entries of the ledger."""
    database = await open_database(database_url)
    try:
        async with database.read() as connection:
            return (await connection.execute(select(ledger))).mappings().all()
    finally:
        await database.aclose()


async def recorded_cost(database_url: str) -> int:
    return sum(row["cost"] for row in await recorded(database_url))
