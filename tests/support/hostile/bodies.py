"""Attacks with bodies that are large, or that need much work for their size."""

import asyncio
import gzip
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from random import Random
from typing import Any, TypeAlias

from support import pdf
from support.hostile.connection import Target, message
from support.hostile.connections import Attack

MEGABYTE = 1024 * 1024
LARGEST = 32 * MEGABYTE
AT_ONCE = 20
GZIP = b"content-encoding: gzip"
# How often a caller leaves before its answer.
LEAVES = 0.2

Make: TypeAlias = Callable[[Random], bytes]


async def post(
    make: Make, target: Target, chance: Random, *, lines: tuple[bytes, ...] = ()
) -> list[int]:
    """Send a body, and read its answer; some callers leave before."""
    body = make(chance)
    path = chance.choice(["/v1/messages", "/v1/messages", "/v1/messages/count_tokens"])
    async with target.connect() as caller:
        if chance.random() < LEAVES:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.random()):
                    await caller.post(body, *lines, path=path)
            return []
        await caller.post(body, *lines, path=path)
        return [await caller.answer()]


async def at_once(make: Make, target: Target, chance: Random) -> list[int]:
    """Send twenty bodies at once."""
    posts = (post(make, target, chance) for _ in range(AT_ONCE))
    answers = await asyncio.gather(*posts, return_exceptions=True)
    return [status for answer in answers if isinstance(answer, list) for status in answer]


# Bodies that are cheap to send and dear to read.


@cache
def gzip_bomb(megabytes: int) -> bytes:
    return gzip.compress(message().ljust(megabytes * MEGABYTE), 1, mtime=0)


def gzip_bombs(chance: Random) -> bytes:
    return gzip_bomb(chance.choice([1, 31, 33, 300]))


@cache
def members(count: int) -> bytes:
    return gzip.compress(b"", mtime=0) * count + gzip.compress(message(), mtime=0)


def gzip_members(chance: Random) -> bytes:
    return members(chance.choice([9_999, 10_001, 100_000]))


def conditions(count: int) -> Any:
    """Conditions on one property: what was exponential once."""
    rules = [
        {"if": {"properties": {"k": {"const": n}}}, "then": {"required": [f"p{n}"]}}
        for n in range(count)
    ]
    return {"type": "object", "properties": {"x": {"type": "object", "allOf": rules}}}


def fan(count: int) -> Any:
    """Definitions that each refer to the next one many times."""
    parts = {
        f"d{n}": {
            "type": "object",
            "properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "abcdefgh"},
            "required": list("abcdefgh"),
            "additionalProperties": False,
        }
        for n in range(count)
    }
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    return {**parts["d0"], "$defs": {**parts, f"d{count}": closed}}


def patterns(count: int) -> Any:
    parts = {
        f"p{n}": {"type": "string", "pattern": f"^([a-z]{{1,{n + 9}}}|(a|b)*c){{2,9}}{n}$"}
        for n in range(count)
    }
    return {"type": "object", "properties": parts, "additionalProperties": False}


def schemas(chance: Random) -> bytes:
    schema = chance.choice(
        [
            conditions(16),
            conditions(100),
            conditions(1000),
            fan(8),
            fan(20),
            patterns(20),
            patterns(300),
        ]
    )
    choice = chance.choice([{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "t"}])
    tools = [{"name": "t", "input_schema": schema}]
    if chance.random() < 0.3:
        tools += [{"name": f"t{n}", "input_schema": schema} for n in range(10)]
    structured = {"format": {"type": "json_schema", "schema": schema}}
    return chance.choice(
        [message(tools=tools, tool_choice=choice), message(output_config=structured)]
    )


@cache
def sequences(alike: bool) -> bytes:
    stop = [("a" * 200 if alike else "") + f"{number:05}" for number in range(8191)]
    return message(stop_sequences=stop, max_tokens=2000)


def stop_sequences(chance: Random) -> bytes:
    return sequences(chance.random() < 0.5)


@cache
def document(kind: str) -> bytes:
    match kind:
        case "nested":
            page = b"[" * 50_000 + b"]" * 50_000
            data = pdf.objects_pdf(["<< /Type /Catalog /Pages 2 0 R >>", page])
        case "slow":
            data = pdf.slow()
        case "endless":
            data = pdf.endless()
        case "bomb":
            data = pdf.bomb(100)
        case "large":
            data = pdf.pages_pdf([pdf.stream(pdf.shown("x") + b"% " + b"y" * 8 * MEGABYTE)])
        case _:
            data = b64encode(b"%PDF-1.7\n" + bytes(range(256)) * 4000).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "?"}]
    return message(messages=[{"role": "user", "content": content}])


def pdfs(chance: Random) -> bytes:
    return document(chance.choice(["nested", "slow", "endless", "bomb", "large", "noise"]))


@cache
def image(kind: int) -> bytes:
    segment = [b"\xff\xe0\0\x02", b"\xff\xe0\0\x04ab", b"\xff\xff\xff", b"\xff\x01"][kind]
    data = b64encode(b"\xff\xd8" + segment * 1_000_000).decode()
    source = {"type": "base64", "media_type": "image/jpeg", "data": data}
    content = [{"type": "image", "source": source}]
    return message(messages=[{"role": "user", "content": content}])


def images(chance: Random) -> bytes:
    return image(chance.randrange(4))


@cache
def cited(kind: int) -> bytes:
    text = ["A b. " * 100_000, "x" * 500_000, "\n" * 500_000, "Dr. " * 100_000][kind]
    source = {"type": "text", "media_type": "text/plain", "data": text}
    block = {"type": "document", "source": source, "citations": {"enabled": True}}
    content = [block, {"type": "text", "text": "?"}]
    return message(messages=[{"role": "user", "content": content}])


def citations(chance: Random) -> bytes:
    return cited(chance.randrange(4))


def long_names(chance: Random) -> bytes:
    name = chance.choice(["x", "é", "*", "a-"]) * chance.choice([300, 100_000, 3_000_000])
    return chance.choice(
        [
            lambda: message(model=name),
            lambda: message(tools=[{"name": name, "input_schema": {"type": "object"}}]),
            lambda: message(**{name: 1}),
            lambda: message(metadata={"user_id": name}),
            lambda: message(service_tier=name),
        ]
    )()


def numbers(chance: Random) -> bytes:
    digits = b"9" * chance.choice([20, 310, 4000, 1_000_000])
    name = chance.choice([b"max_tokens", b"temperature", b"top_k"])
    return message(unknown=0).replace(b'"unknown":0', b'"%b":%b' % (name, digits))


def nested(chance: Random) -> bytes:
    depth = chance.choice([100, 1000, 100_000])
    deep = chance.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth])
    place = chance.choice([b'{"name":"t","input_schema":%b}', b"%b"])
    return message(tools=[]).replace(b'"tools":[]', b'"tools":[' + place % deep + b"]")


@cache
def conversation(turns: int) -> bytes:
    pair = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    return message(messages=[*pair * turns, pair[0]])


def many_turns(chance: Random) -> bytes:
    return conversation(chance.choice([1_000, 40_000]))


def many_tools(chance: Random) -> bytes:
    count = chance.choice([100, 3_000])
    tools = [{"name": f"t{n}", "input_schema": {"type": "object"}} for n in range(count)]
    return message(tools=tools)


# Bodies of 32 MiB.


@cache
def text(piece: str, end: str) -> bytes:
    whole = piece * (31 * MEGABYTE // len(piece.encode()))
    return message(messages=[{"role": "user", "content": whole + end}])


def large_texts(chance: Random) -> bytes:
    # One character beyond the others makes all of a text wide in memory.
    return text(chance.choice(["x", "word ", "é"]), chance.choice(["", "€", "😀"]))


@cache
def dense(kind: str) -> bytes:
    """Return a body of values that are as small as can be: seconds of work for the decoder."""
    item = {"arrays": b"[],", "numbers": b"1,", "keys": b'{"a":0},', "texts": b'"",'}[kind]
    room = LARGEST - 1000
    inner = b"[" + (item * (room // len(item)))[:-1] + b"]"
    return message(tools=[]).replace(b'"tools":[]', b'"tools":' + inner)


@cache
def escapes() -> bytes:
    piece = b"\\u0061"
    return message(messages=[{"role": "user", "content": "@"}]).replace(
        b"@", piece * (31 * MEGABYTE // len(piece))
    )


def dense_bodies(chance: Random) -> bytes:
    return dense(chance.choice(["arrays", "numbers", "keys", "texts"]))


def escaped_texts(_: Random) -> bytes:
    return escapes()


def prepare(names: Iterable[str]) -> None:
    """Make the bodies of these attacks that are kept; it takes seconds."""
    wanted = {name.removeprefix("twenty_") for name in names}
    for make in KEPT:
        if make.__name__ in wanted:
            for number in range(30):
                make(Random(number))  # noqa: S311 - which body comes is no secret


# Their bodies are made once: they are large, or slow to make.
KEPT = (
    gzip_bombs,
    gzip_members,
    stop_sequences,
    pdfs,
    images,
    citations,
    many_turns,
    large_texts,
    escaped_texts,
    dense_bodies,
)


def _attack(make: Make, *lines: bytes) -> Attack:
    return partial(post, make, lines=lines)


BODIES: Mapping[str, Attack] = {
    "gzip_bombs": _attack(gzip_bombs, GZIP),
    "gzip_members": _attack(gzip_members, GZIP),
    **{
        make.__name__: _attack(make)
        for make in (
            schemas,
            stop_sequences,
            pdfs,
            images,
            citations,
            long_names,
            numbers,
            nested,
            many_turns,
            many_tools,
            large_texts,
            escaped_texts,
        )
    },
    "twenty_large_texts": partial(at_once, large_texts),
    "twenty_pdfs": partial(at_once, pdfs),
}
# One of them holds the interpreter for seconds while a body may have any number of values.
DENSE: Mapping[str, Attack] = {
    "dense_bodies": _attack(dense_bodies),
    "twenty_dense_bodies": partial(at_once, dense_bodies),
}
