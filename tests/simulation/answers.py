"""What is asked for, and what came back: requests, answers, and what these say of their tokens."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from antiphon.engines.scripted_prompt import tokens
from antiphon.wire.sse import FrameDecoder
from simulation.rounds import begins_at, tool_tokens, tools

# The length of a system prompt that is worth caching.
PREFIX_TOKENS = 600


@dataclass(frozen=True)
class Key:
    """A key of the API, and the workspace that it is for; without one it is the organization's."""

    secret: str
    id: str | None = None
    workspace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message that is asked for. Its number names it everywhere: in the prompt and the model."""

    number: int
    key: Key
    words: int = 5
    max_tokens: int = 20
    stream: bool = False
    wrong: str = ""
    retries: int | None = None
    # The caller hangs up after so many seconds, or after so many pieces of the answer.
    patience_s: float | None = None
    patience_chunks: int | None = None
    # How long it takes to read a piece of the answer.
    reads_s: float = 0.0
    # The step at which its model begins to look for tools, if it does (`simulation.rounds`).
    searches: int = 0
    # A system prompt of one of these names, with a breakpoint behind it, that others send as well.
    shared: str = ""
    ttl: str = "5m"

    @property
    def model(self) -> str:
        return f"claude-r{self.number}"

    @property
    def text(self) -> str:
        """Return the prompt, which is also the answer: whose it is, and how long."""
        looks = f" {begins_at(self.searches)}" if self.searches else ""
        words = looks + " word" * self.words
        return f"{tag(self.key)} request {self.number:05} {self.wrong}" + words

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "stream": self.stream,
            "messages": [{"role": "user", "content": self.text}],
        }
        if self.searches:
            body["tools"] = tools()
        if not self.shared:
            return body
        mark = {"type": "ephemeral", "ttl": self.ttl}
        return {**body, "system": [{"type": "text", "text": self.prefix, "cache_control": mark}]}

    @property
    def prefix(self) -> str:
        """Return the system prompt, which is long enough to be cached."""
        return f" {self.shared}" * PREFIX_TOKENS if self.shared else ""

    @property
    def input_tokens(self) -> int:
        before = len(tokens(self.prefix)) + 4 if self.shared else 0
        before += tool_tokens() if self.searches else 0
        return before + len(tokens(self.text)) + 4


def tag(key: Key) -> str:
    """Return the word that stands in all prompts with a key, and in nobody else's."""
    return f"secret{int(sha256(key.secret.encode()).hexdigest()[:12], 16)}"


@dataclass
class Answer:
    """What came back, and how it ended: `whole`, `refused` (no connection), `broken`, `left`."""

    request: Request | None
    server: str = ""
    path: str = "/v1/messages"
    sent_at: float = 0.0
    ended_at: float = 0.0
    ended: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)

    @property
    def identity(self) -> dict[str, object]:
        """Return which request it is, and to which server, for a line of the trace."""
        number = self.request.number if self.request else self.path.partition("?")[0]
        return {"number": number, "server": self.server}

    @property
    def name(self) -> str:
        number = self.request.number if self.request else self.path
        return f"request {number} to {self.server} at {self.sent_at:.3f} ({self.status})"

    @property
    def input_tokens(self) -> int:
        """Return how many tokens the prompt has."""
        return self.request.input_tokens if self.request else 0

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def streams(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def events(self) -> list[Any]:
        return [json.loads(frame.data) for frame in FrameDecoder().feed(self.body)]

    @property
    def retry_after_s(self) -> int | None:
        told = self.headers.get("retry-after")
        return None if told is None else int(told)


@dataclass
class Told:
    """What an answer told its caller of its tokens: `input` is the whole prompt, `read` a part."""

    input: int = 0
    read: int = 0
    output: int = 0
    searches: int = 0
    text: str = ""
    complete: bool = False
    failed: bool = False

    @property
    def received(self) -> int:
        """How many tokens the caller has, whatever was told of them."""
        return max(self.output if self.complete else 0, len(tokens(self.text)))


def told_by(answer: Answer) -> Told:
    """Read an answer with status 200, however far it came."""
    told = Told()
    if answer.streams:
        for event in answer.events:
            _hear(told, event)
    elif answer.ended == "whole":
        message = answer.json
        told = Told(
            complete=True, text="".join(block.get("text", "") for block in message["content"])
        )
        _hear_usage(told, message["usage"])
        told.output = message["usage"]["output_tokens"]
    return told


def _hear(told: Told, event: dict[str, Any]) -> None:
    match event["type"]:
        case "message_start":
            _hear_usage(told, event["message"]["usage"])
        case "content_block_delta":
            told.text += event["delta"].get("text", "")
        case "message_delta":
            _hear_usage(told, event["usage"])
            told.output = event["usage"]["output_tokens"]
        case "message_stop":
            told.complete = True
        case "error":
            told.failed = True


def _hear_usage(told: Told, usage: dict[str, Any]) -> None:
    told.searches = (usage.get("server_tool_use") or {}).get("web_search_requests", 0)
    told.read = usage["cache_read_input_tokens"]
    told.input = usage["input_tokens"] + usage["cache_creation_input_tokens"] + told.read
