"""Views: what the pages of the Console ask a server for, again and again."""

import gc
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from starlette.types import ASGIApp, Message

from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import Settings
from benchmarks.account_rows import END, FIRST_SECRET
from benchmarks.report import Figure, Goal, number

MOST_MS = 50
ORGANIZATION = "/v1/organizations"
_ADMIN = "sk-antiphon-admin-key-of-the-benchmarks"
_OF_KEYS = "/v1/messages"
_DONE = 200


@dataclass(frozen=True, slots=True)
class View:
    """What somebody looks at, and the path that answers it."""

    name: str
    path: str


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[tuple[Platform, ASGIApp]]:
    """Build a server over the data folder, without a socket, at the moment of the rows."""
    flags = {
        "data_dir": folder,
        "admin_key": _ADMIN,
        "models": [{"id": "small", "engine": "scripted", "aliases": ["claude-*"]}],
    }
    settings = Settings.load(flags, environ={})
    sources = [ModelSource(model) for model in settings.served()]
    async with build_platform(settings, sources, now=lambda: END) as platform:
        await platform.models.open()
        yield platform, build_app(platform)


async def measure(app: ASGIApp, views: Sequence[View], rounds: int) -> list[Figure]:
    """Ask for every view in turn, round after round; the first one prepares the statements."""
    times: dict[str, list[float]] = {}
    busy: dict[str, list[float]] = {}
    for place in range(1 + rounds):
        if place == 1:
            settle()
        for view in views:
            began, worked = time.perf_counter(), time.process_time()
            await ask(app, view.path)
            if place:
                worked = time.process_time() - worked
                times.setdefault(view.name, []).append(1000 * (time.perf_counter() - began))
                busy.setdefault(view.name, []).append(1000 * worked)
    goal = Goal(most=MOST_MS)
    return [
        Figure(name, "ms", tuple(values), goal, _of_a_processor(busy[name]))
        for name, values in times.items()
    ]


def settle() -> None:
    """Collect garbage as seldom as a server does once it is ready."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _of_a_processor(values: Sequence[float]) -> str:
    """Tell the processor's time, of which other programs take less than of the time that passes."""
    return f"{number(median(values))} ms of a processor, at most {number(max(values))}"


async def ask(app: ASGIApp, path: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Send a request, and return the body of the answer.

    It has an admin key, or for batches the first key of the rows. Raises `RuntimeError` for an
    answer that is an error.
    """
    status, chunks = 0, []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        chunks.append(message.get("body", b""))

    place, _, query = path.partition("?")
    secret = FIRST_SECRET if path.startswith(_OF_KEYS) else _ADMIN
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": place,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    found = b"".join(chunks)
    if status != _DONE:
        raise RuntimeError(f"{path}: {status} {found[:300]!r}")
    return found
