"""A server with several processes, and those of them that a test ends."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import psutil

from antiphon.cli.processes.run import MODULE
from support.asgi import HELLO
from support.processes import KEY, Program

HEADERS = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}


def api_processes(program: Program) -> dict[int, int]:
    """Return the processes that answer requests: their numbers, by their places from 1 on."""
    return {number: pid for number, pid in _children(program) if number}


def engine_host(program: Program) -> int:
    """Return the number of the process that runs the models."""
    return next(pid for number, pid in _children(program) if number == 0)


def _children(program: Program) -> list[tuple[int, int]]:
    found = []
    for child in psutil.Process(program.process.pid).children():
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()
            if MODULE in words:
                found.append((int(words[-1]), child.pid))
    return found


def own_valkey(program: Program) -> int:
    """Return the number of the process of the Valkey server that the overseer runs."""
    for child in psutil.Process(program.process.pid).children():
        if "valkey-server" in child.cmdline()[0]:
            return child.pid
    raise AssertionError("it runs no Valkey server")


def descendants(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.process.pid).children(recursive=True)


def ready(program: Program) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer of `GET /ready`, on a connection of its own."""
    try:
        with urllib.request.urlopen(f"{program.url}/ready", timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@dataclass
class Load:
    """What callers on kept connections were told; `broken` are the errors of their connections."""

    answered: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    ended: bool = False

    async def caller(self, url: str, *, stream: bool, pause_s: float = 0.0) -> None:
        """Ask again and again until the load has ended."""
        body = {**HELLO, "max_tokens": 20, "stream": stream}
        async with httpx2.AsyncClient(timeout=60) as client:
            while not self.ended:
                try:
                    answer = await client.post(f"{url}/v1/messages", json=body, headers=HEADERS)
                except httpx2.TransportError as error:
                    self.broken.append(type(error).__name__)
                    continue
                whole = b"message_stop" in answer.content if stream else True
                if answer.status_code != 200:
                    self.refused.append((answer.status_code, answer.text))
                elif whole:
                    self.answered.append(answer.headers["request-id"])
                else:
                    self.broken.append("an answer without an end")
                if pause_s:
                    await asyncio.sleep(pause_s)


@asynccontextmanager
async def under_load(url: str, callers: int = 4, pause_s: float = 0.0) -> AsyncIterator[Load]:
    """Have callers ask until the end of the block, half of them for streams."""
    load = Load()
    tasks: Sequence[asyncio.Task[None]] = [
        asyncio.create_task(load.caller(url, stream=number % 2 == 0, pause_s=pause_s))
        for number in range(callers)
    ]
    try:
        yield load
    finally:
        load.ended = True
        await asyncio.gather(*tasks)
