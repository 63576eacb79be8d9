"""Random requests, valid and invalid; a number gives the same request in every run."""

import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from support.asgi import HELLO, KEY

SEED = "antiphon"
EXAMPLES = Path(__file__).parents[1] / "wire" / "examples"
LARGEST_BODY = 2**20
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"

Chance: TypeAlias = random.Random
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

GOOD: Headers = (
    (b"x-api-key", KEY.encode()),
    (b"anthropic-version", b"2023-06-01"),
    (b"content-type", b"application/json"),
)


@dataclass(frozen=True)
class Request:
    """One request, as an ASGI server passes it on."""

    method: str
    path: str
    headers: Headers
    chunks: tuple[bytes, ...]
    query: bytes = b""

    @property
    def size(self) -> int:
        return len(b"".join(self.chunks)) + len(str(self.headers)) + len(self.path + self.method)


# Bodies that are valid, or would be if the server could do what they ask for.

TEXT = {"type": "text", "text": "Hello"}
IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
TOOL = {
    "name": "get_weather",
    "description": "Say how the weather is.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "cache_control": {"type": "ephemeral"},
}
CALL = {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_01", "content": "Sun", "is_error": False}
VALID: list[dict[str, Any]] = [
    HELLO,
    {**HELLO, "stream": True},
    {**HELLO, "max_tokens": 0},
    {**HELLO, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop_sequences": ["END"]},
    {**HELLO, "system": [{**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {**HELLO, "metadata": {"user_id": "u"}, "service_tier": "auto"},
    {**HELLO, "tools": [TOOL], "tool_choice": {"type": "auto"}},
    {**HELLO, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "get_weather"}},
    {**HELLO, "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
    {**HELLO, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    {
        **HELLO,
        "output_config": {"format": {"type": "json_schema", "schema": TOOL["input_schema"]}},
    },
    {
        **HELLO,
        "tools": [TOOL],
        "messages": [
            {"role": "user", "content": [TEXT, {"type": "image", "source": IMAGE}]},
            {"role": "assistant", "content": [TEXT, CALL]},
            {"role": "user", "content": [RESULT, TEXT]},
            {"role": "system", "content": "Be brief."},
        ],
    },
    {
        **HELLO,
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "So", "signature": "c2ln"}, TEXT],
            },
            {"role": "user", "content": [{"type": "document", "source": {**IMAGE}}]},
        ],
    },
    *(json.loads(path.read_bytes()) for path in sorted(EXAMPLES.glob("request_*.json"))),
    *(json.loads(path.read_bytes()) for path in sorted(EXAMPLES.glob("count_*.json"))),
]

# What may stand anywhere and belongs nowhere. A lone surrogate is written as an escape.
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "\u202e\ufeff",
    "\U0001f600" * 3,
    "x" * 5000,
    "<|im_start|>",
    "%s%n{0}{value}",
    "text",
    "user",
    "assistant",
    "system",
    "ephemeral",
    [],
    [[]],
    {},
    {"": None},
    {"type": "text"},
    {"type": []},
    {"type": None, "text": 1},
    [TEXT, TEXT],
    [None],
    {"$ref": "#"},
    {"__proto__": {}},
]
KEYS = [
    "type", "text", "role", "content", "model", "messages", "max_tokens", "stream", "system",
    "cache_control", "ttl", "source", "input", "id", "citations", "tools", "tool_choice", "name",
    "thinking", "metadata", "top_k", "temperature", "stop_sequences", "zzz", "", "\ud800", "a.b",
    "{value}", "output_config", "input_schema", "context_management", "\0",
]  # fmt: skip


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = []
    for key, inner in items:
        found += [(*path, key), *paths_in(inner, (*path, key))]
    return found


def odd_value(chance: Chance) -> Any:
    return copy.deepcopy(chance.choice(STRANGE))


def nested(chance: Chance) -> Any:
    value: Any = chance.choice([[], {}, "x"])
    for _ in range(chance.choice([10, 100, 400])):
        value = [value] if chance.random() < 0.5 else {"type": "text", "content": value}
    return value


def mutated(body: Any, chance: Chance) -> Any:
    """Make one random change to a JSON value."""
    found = paths_in(body)
    if not found:
        return odd_value(chance)
    *path, last = chance.choice(found)
    parent = body
    for key in path:
        parent = parent[key]
    match chance.randrange(8):
        case 0:
            del parent[last]
        case 1 if isinstance(parent, dict):
            parent[chance.choice(KEYS)] = parent.pop(last)
        case 2 if isinstance(parent, dict):
            parent[chance.choice(KEYS)] = odd_value(chance)
        case 3 if isinstance(parent, list):
            parent.extend(copy.deepcopy([parent[last]] * chance.choice([1, 2, 30])))
        case 4:
            parent[last] = nested(chance)
        case 5:
            other = chance.choice(VALID)
            parent[last] = copy.deepcopy(other.get("messages", other))
        case 6 if isinstance(parent[last], str):
            parent[last] = with_inserted_text(parent[last], chance)
        case _:
            parent[last] = odd_value(chance)
    return body


def with_inserted_text(text: str, chance: Chance) -> str:
    piece = chance.choice(["\ud83d", "\0", " ", "\n", "\u00e9", "x" * 300, ".", ":"])
    place = chance.randint(0, len(text))
    return text[:place] + piece + text[place:]


def body_of(value: Any, chance: Chance) -> bytes:
    """Write a value as JSON, sometimes with values that JSON cannot express."""
    text = json.dumps(value, ensure_ascii=chance.random() < 0.9)
    return text.encode("utf-8", "surrogatepass")


def damaged_json(body: bytes, chance: Chance) -> bytes:
    """Make one random change to bytes; most changes leave invalid JSON."""
    place = chance.randint(0, len(body))
    changes: list[Callable[[], bytes]] = [
        lambda: body[:place],
        lambda: body[:place] + chance.randbytes(chance.randint(1, 4)) + body[place:],
        lambda: body + chance.choice([b"}", b" x", b"\0", body]),
        lambda: chance.choice([b"\xef\xbb\xbf", b"\xff\xfe"]) + body,
        lambda: body.decode("utf-8", "replace").encode("utf-16"),
        lambda: chance.choice([b"", b" ", b"null", b"[]", b'"x"', b"1e999", b"-", b"{", b"NaN"]),
        lambda: chance.choice([b"[", b'{"a":', b'{"messages":[']) * chance.choice([500, 50_000]),
        # The same key twice: the last one counts, or the first one, or it is an error.
        lambda: body[:-1] + b', "max_tokens": ' + chance.choice([b"7", b"null", b"1e3"]) + b"}",
        lambda: chance.randbytes(chance.randint(0, 60)),
    ]
    return chance.choice(changes)()


VERSIONS = [b"2023-06-01", b"2026-10-21", b"2023-01-01", b"", b"latest", b"\xff", b"2" * 20_000]
HEADERS: list[tuple[bytes, list[bytes]]] = [
    (b"anthropic-version", VERSIONS),
    (b"x-api-key", [b"", b"wrong", b"\xe9\xff", b"k" * 20_000, KEY.encode() + b" "]),
    (b"authorization", [b"", b"Bearer", b"Bearer ", b"Basic \xff", b"Bearer " + KEY.encode()]),
    (
        b"anthropic-beta",
        [b"", b",", b"nobody-knows-2030-01-01", b"a,,b, ,", b"\xff", b"x" * 20_000, b'{};="'],
    ),
    (
        b"content-type",
        [
            *(b"", b"text/plain", b"application/json; charset=utf-16", b"\xff/\xff"),
            *(b"application/json; charset=latin-1", b'x;charset="', b"; charset=UTF-8"),
        ],
    ),
    (b"upgrade", [b"h2c", b"websocket", b"\xff"]),
    (b"connection", [b"close", b"upgrade", b"keep-alive, x", b"\xff"]),
    (b"anthropic-workspace-id", [b"wrkspc_1", b"", b"\xff"]),
    (b"content-encoding", [b"gzip", b"deflate", b"br", b"identity", b"zstd", b"x, gzip", b""]),
    (b"content-length", [b"0", b"-1", b"x", b"99999999999999999999", b"\xb2", b"1, 1", b"5"]),
    (b"transfer-encoding", [b"chunked", b"gzip"]),
    (b"accept", [b"", b"text/html", b"text/event-stream"]),
    (b"accept-encoding", [b"gzip", b"*;q=0", b"\xff"]),
    (b"origin", [b"", b"null", b"https://example.com", b"\xff"]),
    (b"access-control-request-headers", [b"x-api-key", b"\xe9", b"", b"x" * 9000]),
    (b"anthropic-dangerous-direct-browser-access", [b"true", b"false", b""]),
    (b"expect", [b"100-continue", b"200-ok"]),
    (b"x-stainless-retry-count", [b"NaN", b"-1"]),
    (b"x-stainless-timeout", [b"600", b"x"]),
    (b"traceparent", [b"00-0-0-0", b"\xff"]),
    (b"idempotency-key", [b"x" * 9000]),
    (b"range", [b"bytes=0-1"]),
    (b"cookie", [b"a=b; \xff"]),
    (b"x-forwarded-for", [b"::1", b"a, b"]),
    (b"x-forwarded-host", [b"", b"a, b", b"\xff", b"[::1]:x"]),
    (b"host", [b"", b"example.com:99999", b"\xff"]),
    (b"", [b"", b"x"]),
]  # fmt: skip


def with_odd_headers(request: Request, chance: Chance) -> Request:
    """Change, repeat or remove a header; often compress the body if a header says so."""
    headers = list(request.headers)
    name, values = chance.choice(HEADERS)
    match chance.randrange(4):
        case 0 if headers:
            del headers[chance.randrange(len(headers))]
        case 1 if headers:
            headers.append(chance.choice(headers))
        case 2:
            headers = [header for header in headers if header[0] != name]
            headers.append((name, chance.choice(values)))
        case _:
            headers.append((name, chance.choice(values)))
    changed = replace(request, headers=tuple(headers))
    said = dict(headers).get(b"content-encoding")
    compress = {b"gzip": gzip.compress, b"deflate": zlib.compress}.get(said or b"")
    if compress is not None and chance.random() < 0.5:
        return replace(changed, chunks=(compress(b"".join(request.chunks)),))
    return changed


def with_compressed_body(request: Request, chance: Chance) -> Request:
    """Compress the body, correctly or not, and declare it."""
    body = b"".join(request.chunks)
    packed = gzip.compress(body, mtime=0)
    place = chance.randrange(len(packed))
    changes: list[Callable[[], bytes]] = [
        lambda: packed,
        lambda: packed[:place],
        lambda: packed[:place] + chance.randbytes(1) + packed[place + 1 :],
        lambda: packed + chance.choice([b"\0", b"x", body, packed]),
        lambda: gzip.compress(body[:place], mtime=0) + gzip.compress(body[place:], mtime=0),
        lambda: gzip.compress(packed, mtime=0),
        lambda: zlib.compress(body),
        lambda: gzip.compress(b" " * chance.choice([1000, LARGEST_BODY, LARGEST_BODY + 1])),
        lambda: body,
        lambda: b"",
    ]
    headers = [header for header in request.headers if header[0] != b"content-encoding"]
    said = chance.choice([*[b"gzip"] * 3, b"GZIP ", b"x-gzip", b"identity", b"gzip,gzip"])
    return replace(
        request,
        headers=(*headers, (b"content-encoding", said)),
        chunks=(chance.choice(changes)(),),
    )


def with_chunked_body(request: Request, chance: Chance) -> Request:
    """Cut the body into many chunks, some of them empty."""
    body = b"".join(request.chunks)
    cuts = sorted(chance.randint(0, len(body)) for _ in range(chance.choice([2, 5, 40])))
    pieces = tuple(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))
    return replace(request, chunks=pieces)


METHODS = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]
PATHS = [
    MESSAGES,
    COUNT,
    "/v1/models",
    "/v1/models/scripted",
    "/v1/models/claude-x",
    "/v1/models/gpt-1",
    "/v1/models/",
    "/v1/models/a/b/../c",
    "/v1/models/\u00e9\0\ufffd",
    "/v1/models/" + "x" * 9000,
    "/v1/messages/",
    "/v1/messages/batches",
    "/v1/messages/batches/msgbatch_01/results",
    "/v1/files",
    "/v1/complete",
    "/v1//messages",
    "/V1/MESSAGES",
    "/v1/messages\n",
    "/api/hello",
    "/health",
    "/ready",
    "/metrics",
    "/",
    "",
    "*",
    "//",
    "/../etc/passwd",
    "/%2e%2e/",
    "/{model_id}",
    "/favicon.ico",
]
QUERIES = [
    b"", b"beta=true", b"limit=1", b"limit=0", b"limit=-1", b"limit=1001", b"limit=x", b"limit=",
    b"limit=1&limit=2", b"limit=99999999999999999999999", b"limit=%ff", b"limit=\xff",
    b"limit=%C2%B2", b"limit=1_0", b"limit=%D9%A3", b"after_id=scripted", b"after_id=",
    b"after_id=%00", b"before_id=x&after_id=y", b"before_id=scripted", b"&&&=&=", b"a" * 9000,
    b"limit=" + b"9" * 5000, b"a=1&" * 3000, b";", b"%", b"limit[]=1",
]  # fmt: skip


def with_odd_target(request: Request, chance: Chance) -> Request:
    """Change the method, the path or the query."""
    changes: list[Callable[[], Request]] = [
        lambda: replace(request, method=chance.choice(METHODS)),
        lambda: replace(request, path=chance.choice(PATHS)),
        lambda: replace(request, query=chance.choice(QUERIES)),
        lambda: replace(
            request, method="GET", path="/v1/models", query=chance.choice(QUERIES), chunks=(b"",)
        ),
        lambda: replace(request, method=chance.choice(METHODS), path=chance.choice(PATHS)),
    ]
    return chance.choice(changes)()


def request_number(number: int) -> Request:
    """Return the request of a number, the same in every run."""
    chance = random.Random(f"{SEED}-{number}")  # noqa: S311 - nothing is a secret here
    value = copy.deepcopy(chance.choice(VALID))
    path = MESSAGES if chance.random() < 0.8 else COUNT
    if path == COUNT:
        value.pop("max_tokens", None)
    if chance.random() < 0.15:
        value["stream"] = True
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        value = mutated(value, chance)
    body = body_of(value, chance)
    if chance.random() < 0.15:
        body = damaged_json(body, chance)
    place = chance.randint(0, len(body))
    chunks = (body,) if chance.random() < 0.8 else (body[:place], b"", body[place:])
    request = Request("POST", path, GOOD, chunks)
    if chance.random() < 0.2:
        request = with_odd_headers(request, chance)
    if chance.random() < 0.15:
        request = with_odd_target(request, chance)
    if chance.random() < 0.1:
        request = with_compressed_body(request, chance)
    if chance.random() < 0.1:
        request = with_chunked_body(request, chance)
    return request


def simplifications(request: Request) -> list[Request]:
    body = b"".join(request.chunks)
    found = [replace(request, chunks=(body,)), replace(request, chunks=(b"",))]
    found += [
        replace(request, headers=request.headers[:place] + request.headers[place + 1 :])
        for place in range(len(request.headers))
    ]
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        halves = (body[: len(body) // 2], body[len(body) // 2 :])
        return [*found, *(replace(request, chunks=(half,)) for half in halves)]
    for path in paths_in(value)[:200]:
        smaller = json.loads(body)
        parent = smaller
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        found.append(replace(request, chunks=(json.dumps(smaller).encode(),)))
    return found


def description(request: Request) -> str:
    headers = [header for header in request.headers if header not in GOOD]
    missing = [name.decode() for name, _ in GOOD if name not in dict(request.headers)]
    body = b"".join(request.chunks)
    said = body if len(body) < 400 else body[:200] + b" ... " + body[-100:]
    return (
        f"{request.method} {request.path[:80]!r} ?{request.query[:80]!r}"
        f" headers {[(name, value[:60]) for name, value in headers]} without {missing}"
        f" body of {len(body)}: {said!r}"
    )
