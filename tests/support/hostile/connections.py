"""Attacks on connections: heads, framing, and callers who send or read slowly, or leave."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import TypeAlias

from support.hostile.connection import Target, message

# Returns the statuses of the answers that it has seen.
Attack: TypeAlias = Callable[[Target, Random], Awaitable[list[int]]]

CHUNKED = b"transfer-encoding: chunked"
# How long a caller dribbles before it leaves by itself, in seconds.
SHORT_S, LONG_S = 2.0, 15.0
FLOOD = 200


async def trailers_without_end(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        await caller.send(target.head(CHUNKED, keyed=chance.random() < 0.5), b"1\r\n{\r\n0\r\n")
        line = chance.choice([b"x: y\r\n", b"x: " + b"y" * 200 + b"\r\n", b"y" * 1000])
        await caller.flood(line * 50, 2000)
        return [await caller.status()]


async def dribbled_head(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        head = target.head(b"x: " + b"y" * 10_000)
        await caller.send(head[: chance.randrange(1, 60)])
        await caller.dribble(b"y", chance.choice([SHORT_S, LONG_S]))
        return []


async def dribbled_body(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        await caller.send(target.head(length=10_000_000), b"{")
        await caller.dribble(b" ", chance.choice([SHORT_S, LONG_S]))
        return []


async def body_behind_an_early_answer(target: Target, chance: Random) -> list[int]:
    path, method, keyed = chance.choice(
        [
            ("/v1/messages", "POST", False),
            ("/v1/nowhere", "POST", True),
            ("/v1/messages", "PUT", True),
            ("/v1/models", "GET", True),
            ("/health", "GET", False),
        ]
    )
    async with target.connect() as caller:
        head = target.head(path=path, method=method, keyed=keyed, length=99_999_999)
        await caller.send(head, b"{")
        status = await caller.status()
        if chance.random() < 0.5:
            await caller.dribble(b" ", LONG_S)
        else:
            await caller.flood(bytes(2**16), 200)
        return [status]


async def tiny_chunks(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        await caller.send(target.head(CHUNKED))
        piece = chance.choice([b"1\r\n \r\n", b"1;x=" + b"y" * 200 + b"\r\n \r\n"])
        await caller.flood(piece * 200, 500)
        return [await caller.status()]


async def empty_lines(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        await caller.dribble(b"\r\n" * chance.randrange(1, 100), SHORT_S)
        return []


async def leading_zeros(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        zeros = b"0" * chance.choice([1, 5000])
        body = message()
        await caller.send(target.head(b"content-length: " + zeros + b"%d" % len(body)), body)
        return [await caller.answer()]


async def thousand_parameters(target: Target, chance: Random) -> list[int]:
    query = "&".join(f"p{number}[]={number}" for number in range(chance.choice([900, 1001, 6000])))
    async with target.connect() as caller:
        await caller.send(target.head(path=f"/v1/models?{query}", method="GET"))
        return [await caller.status()]


async def large_heads(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        line = chance.choice([b"x: " + b"y" * 70_000, b"x: y\r\n" * 10_000 + b"x: y"])
        await caller.send(target.head(line, keyed=chance.random() < 0.5))
        return [await caller.status()]


async def wrong_keys(target: Target, chance: Random) -> list[int]:
    stranger = Target(
        target.host, target.port, chance.choice(["x" * 16, "sk-" + "é" * 4, "y" * 9000])
    )
    async with stranger.connect() as caller:
        statuses = []
        for _ in range(20):
            await caller.post(message())
            statuses.append(await caller.answer())
        return statuses


async def pipelined(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        one = target.head(method="GET", path="/v1/models", keyed=chance.random() < 0.8)
        await caller.send(one * chance.choice([10, 1000]))
        return [await caller.answer() for _ in range(10)]


async def flood_without_a_key(target: Target, chance: Random) -> list[int]:
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(target.connect()) for _ in range(FLOOD)]
        half = target.head(keyed=False)[: chance.randrange(0, 40)]
        for caller in callers:
            await caller.send(half)
        await asyncio.sleep(SHORT_S)
        return []


async def garbage(target: Target, chance: Random) -> list[int]:
    async with target.connect() as caller:
        await caller.send(chance.randbytes(chance.choice([1, 100, 100_000])))
        await caller.dribble(b"\xff", SHORT_S)
        return []


async def hang_ups(target: Target, chance: Random) -> list[int]:
    """Leave at a random moment, of the request or of the answer."""
    body = message(stream=chance.random() < 0.5, max_tokens=chance.choice([5, 5000]))
    whole = target.head(length=len(body)) + body
    async with target.connect() as caller:
        if chance.random() < 0.5:
            await caller.send(whole[: chance.randrange(len(whole))])
        else:
            await caller.send(whole)
        await asyncio.sleep(chance.random() ** 4)
        return []


async def unread_answers(target: Target, chance: Random) -> list[int]:
    """Ask for a megabyte, as a stream or as JSON, and read nothing of it."""
    async with target.connect(receive_buffer=4096) as caller:
        stream = chance.random() < 0.5
        await caller.post(message(stream=stream, max_tokens=150_000))
        await asyncio.sleep(chance.choice([SHORT_S, LONG_S]))
        return []


async def answers_read_slowly(target: Target, chance: Random) -> list[int]:
    async with target.connect(receive_buffer=4096) as caller:
        await caller.post(message(stream=chance.random() < 0.5, max_tokens=50_000))
        for _ in range(100):
            await caller.reader.read(4096)
            await asyncio.sleep(0.02)
        return []


CONNECTIONS: Mapping[str, Attack] = {
    attack.__name__: attack
    for attack in (
        trailers_without_end,
        dribbled_head,
        dribbled_body,
        body_behind_an_early_answer,
        tiny_chunks,
        empty_lines,
        leading_zeros,
        thousand_parameters,
        large_heads,
        wrong_keys,
        pipelined,
        flood_without_a_key,
        garbage,
        hang_ups,
        unread_answers,
        answers_read_slowly,
    )
}
