"""The rules of prompt caching once more, written from the specification: slow and plain.

It reads requests as JSON, keeps whole prefixes instead of hashes, and tries everything that a rule
allows. Nothing of `antiphon` is used here, so that both have to be wrong in the same
way for a fault to stay unseen. A token is a character of a text or of a tool's description.
"""

import json
from dataclasses import dataclass
from typing import Any

LIFE = {"5m": 300_000, "1h": 3_600_000}


@dataclass
class Block:
    """A block in the order of the prompt, or (with no position) what only changes the hash."""

    content: Any
    position: int | None = None
    ttl: str | None = None
    tokens: int = 0
    may_be_marked: bool = False

    def __post_init__(self) -> None:
        self.hashed = json.dumps(self.content)


@dataclass
class Entry:
    prefix: list[str]
    tokens: int
    ttl: str
    expires_at: int


@dataclass
class Hit:
    """An entry that a request may read, and the number of its block."""

    place: int
    tokens: int
    prefix: list[str]


@dataclass
class Request:
    """A request that has started; `ends` are the tokens up to each of its blocks."""

    who: str
    blocks: list[Block]
    started_at: int
    total: int
    hits: list[Hit]
    ends: list[int]

    def prefix(self, number: int) -> list[str]:
        return [self.who, *[block.hashed for block in self.blocks[: number + 1]]]


class RefusedError(Exception):
    pass


class Tools:
    """The tools on offer while a request is read, and what it has said of each so far."""

    def __init__(self, declared: list[dict[str, Any]]) -> None:
        waits = [tool.get("defer_loading", False) for tool in declared]
        self.known = {tool["name"]: without_mark(tool) for tool in declared}
        self.offered: set[str] = set()
        self.removed: set[str] = set()
        self.said: dict[str, str] = {}
        for tool, wait in zip(declared, waits, strict=True):
            if not wait or all(waits):
                self.offer(tool["name"])
        self.in_front = [tool for tool in declared if tool["name"] in self.offered]

    def offer(self, name: str) -> dict[str, Any] | None:
        """Return the tool if its description has to be said here."""
        self.offered.add(name)
        self.removed.discard(name)
        tool = self.known[name]
        text = json.dumps([tool.get("description"), tool["input_schema"]])
        if self.said.get(name) == text:
            return None
        self.said[name] = text
        return tool

    def read(self, block: dict[str, Any]) -> dict[str, Any] | None:
        if block["type"] == "tool_reference":
            name = self.checked(block["tool_name"])
            return None if name in self.removed else self.offer(name)
        if block["type"] == "tool_removal":
            name = self.checked(block["tool"]["name"])
            self.offered.discard(name)
            self.removed.add(name)
            return None
        if block["type"] != "tool_addition":
            return None
        if block["tool"]["type"] == "tool_reference":
            return self.offer(self.checked(block["tool"]["name"]))
        return self.define(without_mark(block["tool"]["definition"]))

    def define(self, tool: dict[str, Any]) -> dict[str, Any] | None:
        name = tool["name"]
        if self.known.get(name) == tool and name not in self.removed:
            return None
        self.known[name] = tool
        self.removed.discard(name)
        if not tool.get("defer_loading"):
            return self.offer(name)
        self.offered.discard(name)
        return None

    def checked(self, name: str) -> str:
        if name not in self.known:
            raise RefusedError("no such tool")
        return name


def without_mark(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "cache_control"}


def ttl_of(block: dict[str, Any]) -> str | None:
    mark = block.get("cache_control")
    return None if mark is None else mark.get("ttl", "5m")


def as_list(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def blocks_of(body: dict[str, Any]) -> list[Block]:
    """List everything that is hashed, in order."""
    found: list[Block] = []
    position = 0
    tools = Tools(body.get("tools", []))
    for tool in tools.in_front:
        position += 1
        tokens = len(tool.get("description", ""))
        found.append(
            Block(["tool", without_mark(tool)], position, ttl_of(tool), tokens, may_be_marked=True)
        )
    found.append(Block(["then the system prompt", body.get("output_config", {}).get("format")]))
    for block in as_list(body.get("system", "")):
        position += 1
        found.append(text_block("system", block, position))
    effort = body.get("output_config", {}).get("effort", "high")
    found.append(Block(["then", body.get("tool_choice", {"type": "auto"}), effort]))
    kind_before = None
    for message in body["messages"]:
        for block in as_list(message["content"]):
            kind = block["type"]
            if kind not in {"tool_use", "tool_result"} or kind != kind_before:
                position += 1
            kind_before = kind
            add_block(found, tools, message["role"], block, position)
    if body.get("tool_choice") == {"type": "any"} and not tools.offered:
        raise RefusedError("nothing to choose from")
    return found


def text_block(
    role: str, block: dict[str, Any], position: int, tools: Tools | None = None
) -> Block:
    said = tools.read(block) if tools else None
    tokens = len(block.get("text", "")) + (len(said.get("description", "")) if said else 0)
    may = block["type"] != "thinking"
    content = [role, without_mark(block), said]
    return Block(content, position, ttl_of(block), tokens, may_be_marked=may)


def add_block(
    found: list[Block], tools: Tools, role: str, block: dict[str, Any], position: int
) -> None:
    inner = as_list(block.get("content", "")) if block["type"] == "tool_result" else []
    if not inner:
        found.append(text_block(role, block, position, tools))
        return
    outside = {name: value for name, value in without_mark(block).items() if name != "content"}
    found.append(Block([role, "begin", outside]))
    found.extend(text_block(role, one, position, tools) for one in inner)
    for one in found[-len(inner) :]:
        # The automatic breakpoint goes on blocks of messages, not inside of them.
        one.may_be_marked = False
    found.append(Block([role, "end"], position, ttl_of(block), 0, may_be_marked=True))


def place_automatic(blocks: list[Block], mark: dict[str, Any]) -> None:
    ttl = mark.get("ttl", "5m")
    for block in reversed(blocks):
        if block.may_be_marked:
            if block.ttl is not None and block.ttl != ttl:
                raise RefusedError("another ttl")
            block.ttl = ttl
            return


def check(blocks: list[Block]) -> None:
    ttls = [block.ttl for block in blocks if block.ttl is not None]
    if len(ttls) > 4:
        raise RefusedError("more than 4")
    if "5m" in ttls and "1h" in ttls[ttls.index("5m") :]:
        raise RefusedError("1h after 5m")


class NaiveCache:
    def __init__(self, minimum: int) -> None:
        self.entries: list[Entry] = []
        self.minimum = minimum

    def start(self, who: str, body: dict[str, Any], now: int) -> Request:
        blocks = blocks_of(body)
        if "cache_control" in body:
            place_automatic(blocks, body["cache_control"])
        check(blocks)
        ends = [sum(block.tokens for block in blocks[: n + 1]) for n in range(len(blocks))]
        request = Request(who, blocks, now, ends[-1], [], ends)
        for number, block in enumerate(blocks):
            if block.ttl is not None:
                for place in self.places(blocks, number):
                    entry = self.find(request.prefix(place), now)
                    if entry is not None:
                        request.hits.append(Hit(place, entry.tokens, entry.prefix))
        request.hits.sort(key=lambda hit: hit.place, reverse=True)
        if request.hits:
            self.read(request.hits[0].prefix, now)
        return request

    def places(self, blocks: list[Block], number: int) -> list[int]:
        """Walk back over 20 positions; of one position, over 20 ends of blocks."""
        found: list[int] = []
        seen: list[int] = []
        here = 0
        for place in range(number, -1, -1):
            position = blocks[place].position
            if position is None:
                continue
            if position not in seen:
                seen.append(position)
                here = 0
            if len(seen) > 20:
                break
            here += 1
            if here <= 20:
                found.append(place)
        return found

    def find(self, prefix: list[str], now: int) -> Entry | None:
        for entry in self.entries:
            if entry.prefix == prefix and now < entry.expires_at:
                return entry
        return None

    def read(self, prefix: list[str], started_at: int) -> None:
        for entry in self.entries:
            if entry.prefix == prefix:
                entry.expires_at = max(entry.expires_at, started_at + LIFE[entry.ttl])

    def respond(
        self, request: Request, reused: int, stored: set[int], now: int
    ) -> tuple[int, int, int, int]:
        """Write, and return input, read, written for 5 minutes, written for an hour."""
        a, behind = 0, -1
        for hit in request.hits:
            if hit.tokens <= reused:
                a, behind = hit.tokens, hit.place
                self.read(hit.prefix, request.started_at)
                break
        b = c = a
        for number, block in enumerate(request.blocks):
            end = request.ends[number]
            if block.ttl is None or number <= behind or end < self.minimum or end not in stored:
                continue
            self.write(request.prefix(number), end, block.ttl, request.started_at, now)
            if block.ttl == "1h":
                b = end
            c = end
        return request.total - c, a, c - b, b - a

    def write(self, prefix: list[str], tokens: int, ttl: str, started_at: int, now: int) -> None:
        expires_at = started_at + LIFE[ttl]
        entry = self.find(prefix, now)
        if entry is not None:
            entry.expires_at = max(entry.expires_at, expires_at)
            entry.ttl = max(entry.ttl, ttl, key=lambda one: LIFE[one])
            return
        self.entries = [entry for entry in self.entries if entry.prefix != prefix]
        self.entries.append(Entry(prefix, tokens, ttl, expires_at))
