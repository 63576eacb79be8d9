"""Rendezvous hashing: which engine reads prompts that begin alike, without anything remembered.

Each engine draws a number from the key, and the highest one gets the request. So every process
that has the same engines in the same order sends a prefix to the same one, and an engine that
fails or returns moves only its own share.
"""

from collections.abc import Iterator
from hashlib import sha256
from math import log
from typing import Final

import msgspec

from antiphon.core.prompt import Prompt
from antiphon.wire.content import TextParam

# Prompts that are the same up to here are read by the same engine, whatever follows.
_MOST_HASHED: Final = 65536
_BITS: Final = 53


def prefix_key(prompt: Prompt) -> bytes | None:
    """Return the key of a marked prompt by its salt and its beginning; `None` if it has no mark.

    The beginning ends at the first breakpoint, and with the first turn of messages at the latest.
    So it stays the same while a conversation grows, also if its only breakpoint moves with it.

    No more than 64 KiB are hashed. A block that is no text is written as JSON for that, as engines
    write it, so the time is linear in the largest block.
    """
    if not prompt.breakpoints:
        return None
    digest, left = sha256(prompt.cache_salt.encode() + b"\0"), _MOST_HASHED
    try:
        for part in _beginning(prompt):
            # The length keeps parts apart: one of "ab" is not "a" and "b".
            digest.update(b"%d:" % len(part))
            digest.update(part[:left])
            left -= len(part)
            if left <= 0:
                break
    except RecursionError:
        # Too deep to be written. An engine may refuse it; none has it in its cache.
        return None
    return digest.digest()


def rank(key: bytes, index: int, weight: int) -> float:
    """Return the rank of an engine for a key; among others, it is the highest by its weight.

    This is weighted rendezvous hashing: of engines with weights 3 and 1, the first one has the
    higher rank for three of four keys. `weight` is at least 1.
    """
    drawn = int.from_bytes(sha256(key + b"%d" % index).digest()[:8], "big") >> (64 - _BITS)
    return -weight / log((drawn + 0.5) / 2**_BITS)


def _beginning(prompt: Prompt) -> Iterator[bytes]:
    """Yield what stands before the first breakpoint: tools, system prompt, first messages."""
    first = prompt.breakpoints[0]
    if first.turn is None:
        for tool in prompt.tools[: first.path[0] + 1]:
            yield msgspec.json.encode(tool)
        return
    for tool in prompt.tools:
        yield msgspec.json.encode(tool)
    for number, turn in enumerate(prompt.turns[: first.turn + 1]):
        yield turn.role.encode()
        ends_here = number == first.turn
        for block in turn.content[: first.path[0] + 1] if ends_here else turn.content:
            yield _written(block)
        if turn.role != "system":
            return


def _written(block: object) -> bytes:
    if isinstance(block, TextParam):
        return block.text[:_MOST_HASHED].encode("utf-8", "surrogatepass")
    return msgspec.json.encode(block)
