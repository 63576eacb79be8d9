"""Streamed answers as a benchmark reads them: when each was asked for, began and ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec


class AnswerError(Exception):
    """An answer that cannot be measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The times of one answer, in seconds of `time.perf_counter`, and its events."""

    asked: float
    first: float
    ended: float
    events: tuple[Any, ...]

    @property
    def first_ms(self) -> float:
        """The time to the first token."""
        return 1000 * (self.first - self.asked)


def unbounded(api_key: str) -> aiohttp.ClientSession:
    """Open connections to a llama.cpp, one for each request, without a time limit for answers."""
    return aiohttp.ClientSession(
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"},
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def timed(asked: Any, said: Callable[[Any], bool]) -> Answer:
    """Read a stream of events to its end. The first token is the first event that `said` marks.

    `asked` is a request of aiohttp that is not sent yet. Raises `AnswerError`.
    """
    began = time.perf_counter()
    first, events = 0.0, []
    async with asked as response:
        if response.status != 200:
            raise AnswerError(f"status {response.status}: {await response.text()}")
        async for line in response.content:
            if line.startswith(b"data: "):
                event = msgspec.json.decode(line[6:])
                if not first and said(event):
                    first = time.perf_counter()
                events.append(event)
    if not first:
        raise AnswerError("the answer is empty")
    return Answer(began, first, time.perf_counter(), tuple(events))
