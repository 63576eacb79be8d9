"""The plan of a request: which entry it may read, and which ones it would write.

From each breakpoint the search goes back over 20 positions. It looks for all of them at once, so
an index of entries is asked a single time, for `keys_to_find`. The longest live entry is read,
and every breakpoint behind it is written whose prefix has the model's minimum of tokens.

A plan is a wish: what the engine really reused decides (`core.prompt_cache.claim`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.prompt import PromptSize
from antiphon.core.prompt_cache.chain import Chain, Prefix
from antiphon.core.prompt_cache.entries import CacheEntry

LOOKBACK: Final = 20
"""The positions at which a breakpoint finds an entry, its own included."""
MINIMUM_TOKENS: Final = 512
"""The shortest prefix that is cached, where a model states no other minimum."""


class CachePoint(msgspec.Struct, frozen=True):
    """A prefix of a prompt that is read or written: its index in the chain, key, tokens, lifetime.

    The lifetime is that of the entry for a read, that of the breakpoint for a write.
    """

    index: int
    key: bytes
    tokens: int
    ttl: CacheTtl


class CachePlan(msgspec.Struct, frozen=True):
    """What a request of `tokens` tokens may read and write.

    `readable` are all live entries within reach, the longest first: the first is to be read, the
    others stand in if the engine has less. `writable` are the breakpoints that reach the minimum,
    in the order of the prompt.
    """

    tokens: int
    readable: tuple[CachePoint, ...] = ()
    writable: tuple[CachePoint, ...] = ()

    @property
    def read(self) -> CachePoint | None:
        """The entry to read."""
        return self.readable[0] if self.readable else None

    @property
    def writes(self) -> tuple[CachePoint, ...]:
        """The breakpoints to write: those behind the entry that is read."""
        return behind(self.read, self.writable)

    @property
    def usage(self) -> TokenCounts:
        """The usage of the prompt if the engine reuses and stores all that is planned."""
        return usage_of(self.tokens, self.read, self.writes)


def keys_to_find(chain: Chain) -> tuple[bytes, ...]:
    """Return the keys of all entries that a request may read: at most 1,600, each once."""
    return tuple(chain.prefixes[index].key for index in _within_reach(chain))


def plan_of(
    chain: Chain,
    found: Mapping[bytes, CacheEntry],
    size: PromptSize,
    *,
    now: int,
    minimum_tokens: int = MINIMUM_TOKENS,
) -> CachePlan:
    """Return the plan of a request that starts now, given the entries found for its keys.

    An entry that does not fit between the sizes of the breakpoints around it was counted by
    another tokenizer or template, and is passed over. Raises `ValueError` if `size` is no size of
    this prompt.
    """
    points = _points(chain, size)
    readable = []
    for index in _within_reach(chain):
        key = chain.prefixes[index].key
        entry = found.get(key)
        if entry is not None and entry.is_live(now):
            point = CachePoint(index, key, entry.tokens, entry.ttl)
            if _fits(point, points, size.tokens):
                readable.append(point)
    writable = tuple(point for point in points if point.tokens >= minimum_tokens)
    return CachePlan(size.tokens, tuple(readable), writable)


def usage_of(tokens: int, read: CachePoint | None, writes: Sequence[CachePoint]) -> TokenCounts:
    """Split the tokens of a prompt: read, written for an hour, written for minutes, the rest.

    The last breakpoint of an hour is the end of what was written for an hour. The parts add up to
    `tokens`.
    """
    read_to = read.tokens if read else 0
    hour_to = max((point.tokens for point in writes if point.ttl == "1h"), default=read_to)
    written_to = max((point.tokens for point in writes), default=read_to)
    return TokenCounts(
        input=tokens - written_to,
        cache_write_5m=written_to - hour_to,
        cache_write_1h=hour_to - read_to,
        cache_read=read_to,
    )


def behind(read: CachePoint | None, points: Sequence[CachePoint]) -> tuple[CachePoint, ...]:
    """Return the points behind the entry that is read; all of them if none is."""
    return tuple(point for point in points if read is None or point.index > read.index)


def _points(chain: Chain, size: PromptSize) -> tuple[CachePoint, ...]:
    """Return the breakpoints that are in the rendered prompt."""
    missing = len(chain.breakpoints) - len(size.breakpoints)
    if missing < 0:
        raise ValueError(f"{len(size.breakpoints)} sizes for {len(chain.breakpoints)} breakpoints")
    sizes = (*size.breakpoints, *[0] * missing)
    points = tuple(
        CachePoint(mark.index, chain.prefixes[mark.index].key, tokens, mark.ttl)
        for mark, tokens in zip(chain.breakpoints, sizes, strict=True)
        if tokens
    )
    rising = [0, *(point.tokens for point in points), size.tokens]
    if rising != sorted(rising):
        raise ValueError(f"the sizes of prefixes, {rising[1:]}, do not rise")
    return points


def _within_reach(chain: Chain) -> tuple[int, ...]:
    """Return the indices of the prefixes at which an entry is looked for, the last first."""
    found = dict[int, None]()
    for mark in chain.breakpoints:
        found.update(dict.fromkeys(_looking_back(chain.prefixes, mark.index)))
    return tuple(sorted(found, reverse=True))


def _looking_back(prefixes: Sequence[Prefix], last: int) -> Iterator[int]:
    """Yield the prefixes at the last 20 positions up to a breakpoint.

    At one position there may be many: a run of results, the blocks inside of one. The last 20
    are enough for every run that a model makes, and bound what an index is asked for.
    """
    first_position = prefixes[last].position - LOOKBACK + 1
    position, count = -1, 0
    for index in range(last, -1, -1):
        prefix = prefixes[index]
        if prefix.position < first_position:
            return
        count = count + 1 if prefix.position == position else 1
        position = prefix.position
        if count <= LOOKBACK:
            yield index


def _fits(entry: CachePoint, points: Sequence[CachePoint], tokens: int) -> bool:
    """Return whether the size of an entry lies between those of the breakpoints around it."""
    least = max((point.tokens for point in points if point.index <= entry.index), default=1)
    most = min((point.tokens for point in points if point.index >= entry.index), default=tokens)
    return least <= entry.tokens <= most
