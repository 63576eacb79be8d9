"""How much of prompts is found again on 8 replicas: by the rank of a prefix, and in turns.

A simulation in which nothing computes: the real order of engines (`engines.rotation`) decides, and
each replica keeps the prefixes that it read last, up to a number of tokens. Conversations begin
with one of a few system prompts, grow turn by turn, and end; requests come at random moments and
last as long as what has to be read and written. A seed decides everything.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush

from antiphon.engines.rotation import Rotation
from benchmarks.report import Figure, command, finish, positive

PREFILL_PER_S = 2000.0
DECODE_PER_S = 50.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is asked: conversations at once, tokens, and the seconds between the turns of each.

    With `shared` a conversation is marked behind its system prompt, which others have too, as
    Claude Code does; without it at its end only, and its beginning is its own.
    """

    requests: int = 20_000
    conversations: int = 64
    turns: int = 12
    systems: int = 6
    system_tokens: int = 8000
    turn_tokens: int = 600
    answer_tokens: int = 150
    pause_s: float = 20.0
    shared: bool = True


@dataclass(slots=True)
class Replica:
    """A server that keeps the prefixes which it read last, by what they begin."""

    room: int
    kept: "OrderedDict[tuple[int, int], int]" = field(default_factory=OrderedDict)
    read: int = 0
    asked: int = 0

    def read_prompt(self, conversation: int, system: int, system_tokens: int, tokens: int) -> int:
        """Read a prompt; return how many tokens of it were found."""
        own, shared = (conversation, 1), (system, 0)
        found = self.kept.get(own, 0) or (system_tokens if shared in self.kept else 0)
        for key, size in ((shared, system_tokens), (own, tokens)):
            self.kept.pop(key, None)
            self.kept[key] = size
        # A conversation holds its system prompt as well, but llama.cpp and vLLM keep blocks once.
        while self._used(system_tokens) > self.room and len(self.kept) > 1:
            self.kept.popitem(last=False)
        self.asked += 1
        self.read += tokens - found
        return found

    def _used(self, system_tokens: int) -> int:
        own = sum(size - system_tokens for (_, kind), size in self.kept.items() if kind)
        return own + system_tokens * sum(not kind for _, kind in self.kept)


@dataclass(frozen=True, slots=True)
class Result:
    """The share of prompts that was found, and the load of the busiest replica by the mean."""

    hit_share: float
    busiest: float
    first_token_s: float


def simulate(traffic: Traffic, replicas: int, room: int, seed: int, *, by_prefix: bool) -> Result:
    """Run the traffic over so many replicas, each with room for so many tokens."""
    draw = random.Random(seed)  # noqa: S311 - a simulation
    rotation = Rotation([1] * replicas)
    servers = [Replica(room) for _ in range(replicas)]
    talks = [
        _Talk(number, draw.randrange(traffic.systems)) for number in range(traffic.conversations)
    ]
    queue: list[tuple[float, int, int, int]] = []
    order = 0
    for place in range(traffic.conversations):
        heappush(queue, (draw.uniform(0, traffic.pause_s), order, 0, place))
        order += 1
    found = asked = done = 0
    waits: list[float] = []
    while done < traffic.requests:
        now, _, engine, place = heappop(queue)
        if engine:
            rotation.ended(engine - 1)
            pause = draw.expovariate(1 / traffic.pause_s)
            heappush(queue, (now + pause, order, 0, place))
            order += 1
            continue
        talk = talks[place]
        tokens = traffic.system_tokens + traffic.turn_tokens * (talk.turns + 1)
        able = [True] * replicas
        key = talk.key(shared=traffic.shared) if by_prefix else None
        chosen = rotation.order(able, now, key)[0]
        rotation.began(chosen)
        rotation.answered(chosen)
        hit = servers[chosen].read_prompt(talk.number, talk.system, traffic.system_tokens, tokens)
        found, asked, done = found + hit, asked + tokens, done + 1
        reading = (tokens - hit) / PREFILL_PER_S * max(1, rotation.running(chosen))
        waits.append(reading)
        writing = traffic.answer_tokens / DECODE_PER_S
        heappush(queue, (now + reading + writing, order, chosen + 1, place))
        order += 1
        talk.turns += 1
        if talk.turns >= traffic.turns:
            talks[place] = _Talk(
                talk.number + traffic.conversations, draw.randrange(traffic.systems)
            )
    most = max(server.asked for server in servers)
    waits.sort()
    return Result(found / asked, most * replicas / done, waits[len(waits) // 2])


@dataclass(slots=True)
class _Talk:
    """A conversation: its number, its system prompt, and its turns so far."""

    number: int
    system: int
    turns: int = 0

    def key(self, *, shared: bool) -> bytes:
        """Return what `rendezvous.prefix_key` depends on: the beginning up to the first mark."""
        beginning = f"{self.system}" if shared else f"{self.system} {self.number}"
        return sha256(beginning.encode()).digest()


def measure(replicas: int, seeds: Sequence[int], traffic: Traffic, room: int) -> list[Figure]:
    """Run every seed in both ways."""
    table = []
    for shared in (True, False):
        kind = "marked behind the system prompt" if shared else "marked at the end"
        asked = _with(traffic, shared=shared)
        turns = [simulate(asked, replicas, room, seed, by_prefix=False) for seed in seeds]
        ranks = [simulate(asked, replicas, room, seed, by_prefix=True) for seed in seeds]
        for name, some in (("in turns", turns), ("by prefix", ranks)):
            what = f"{kind}, {name}"
            shares = tuple(100 * one.hit_share for one in some)
            table += [
                Figure(f"{what}: found", "%", shares),
                Figure(f"{what}: busiest", "of mean", tuple(one.busiest for one in some)),
                Figure(f"{what}: reading, p50", "s", tuple(one.first_token_s for one in some)),
            ]
    return table


def _with(traffic: Traffic, *, shared: bool) -> Traffic:
    return Traffic(requests=traffic.requests, shared=shared)


def main() -> None:
    """Simulate, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--replicas", type=positive, default=8)
    parser.add_argument("--room", type=positive, default=200_000, help="tokens that each keeps")
    parser.add_argument("--seeds", type=positive, default=5)
    options = parser.parse_args()
    seeds = range(1 if options.quick else options.seeds)
    traffic = Traffic(requests=500 if options.quick else 20_000)
    finish(measure(options.replicas, seeds, traffic, options.room), options)


if __name__ == "__main__":
    main()
