"""The file of a cassette: a line of JSON for each exchange, behind a line that counts them."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

VERSION: Final = 1
REMOVED: Final = "sk-removed"
# What of a request says what is asked for. Keys are in none of them.
_ASKED: Final[tuple[str, ...]] = ("anthropic-version", "anthropic-beta", "content-type")
# What of an answer a client looks at.
_TOLD: Final = frozenset(
    {"content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry", "location"}
)
_TOLD_PREFIXES: Final = ("anthropic-ratelimit-", "x-antiphon-")
_ORGANIZATION: Final = "anthropic-organization-id"
_SECRET_HEADERS: Final = frozenset({"x-api-key", "authorization", "cookie", "proxy-authorization"})
_KEY: Final = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}")
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]+)"?')
_SHORTEST_SECRET = 8
_DEEPEST = 64


class CassetteError(ValueError):
    """The file of a cassette cannot be read. The message has its path and the line."""


class TapeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request as far as it is compared: method, path with query, headers, body.

    The body is JSON, or else text, or `{"base64": …}` for other bytes.
    """

    method: str
    path: str
    headers: dict[str, str] = {}
    body: Any = None


class TapeAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An answer: its JSON as `body`, anything else as the `chunks` in which it came.

    A chunk that is no text is `{"base64": …}`. `cut` says that the reader left before the end.
    """

    status: int
    headers: dict[str, str] = {}
    body: Any = None
    chunks: list[Any] | None = None
    cut: bool = False

    def content(self) -> list[bytes]:
        """Return the chunks of the body."""
        if self.chunks is None:
            return [] if self.body is None else [_compact(self.body).encode()]
        return [_bytes_of(chunk) for chunk in self.chunks]


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request and its answer."""

    request: TapeRequest
    answer: TapeAnswer


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cassette: int
    exchanges: int


class Secrets:
    """What is taken out of every line: keys of the API, and the values that it is told of."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = {value for value in values if value}

    def learn(self, headers: Iterable[tuple[str, str]]) -> None:
        """Note the keys that a request carries; they may be repeated in bodies."""
        for name, value in headers:
            if name.lower() in _SECRET_HEADERS:
                # A short word is none: the scheme before a token, the name of a cookie.
                words = re.split(r"[\s;=]+", value)
                self._values |= {word for word in words if len(word) >= _SHORTEST_SECRET}

    def removed(self, value: Any) -> Any:
        """Return a value of JSON in which no text has a secret."""
        if isinstance(value, str):
            for secret in self._values:
                value = value.replace(secret, REMOVED)
            return _KEY.sub(REMOVED, value)
        if isinstance(value, bytes):  # each byte is a character here, and all become bytes again
            hidden: str = self._encoded().removed(value.decode("latin-1"))
            return hidden.encode("latin-1")
        if isinstance(value, Mapping):
            return {self.removed(name): self.removed(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.removed(one) for one in value]
        return value

    def of_chunks(self, chunks: Sequence[bytes]) -> list[bytes]:
        """Return chunks in which no secret is; one that has a cut in it makes them one chunk."""
        each = [bytes(self.removed(one)) for one in chunks]
        whole = bytes(self.removed(b"".join(chunks)))
        return each if whole == b"".join(each) else [whole]

    def _encoded(self) -> "Secrets":
        return Secrets(value.encode().decode("latin-1") for value in self._values)


def request_of(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, secrets: Secrets
) -> TapeRequest:
    """Return what is compared of a request. The server that it goes to is not."""
    secrets.learn(headers)
    parts = urlsplit(url)
    pairs = secrets.removed(parse_qsl(parts.query, keep_blank_values=True))
    query = urlencode(sorted(map(tuple, pairs)))
    told = {name.lower(): value for name, value in headers}
    kind = told.get("content-type", "")
    if found := _BOUNDARY.search(kind):
        # A form has another boundary each time.
        body = body.replace(found[1].encode(), b"boundary")
        told["content-type"] = _BOUNDARY.sub("boundary=boundary", kind)
    asked = {name: told[name] for name in _ASKED if name in told}
    path = f"{parts.path}?{query}" if query else parts.path
    return TapeRequest(
        method, secrets.removed(path), asked, secrets.removed(_json_or_text(body, secrets))
    )


def answer_of(  # noqa: PLR0913 - what an answer is made of
    status: int,
    headers: Iterable[tuple[str, str]],
    chunks: Sequence[bytes],
    secrets: Secrets,
    *,
    organization: bool,
    cut: bool,
) -> TapeAnswer:
    """Return what is kept of an answer. With `organization` the id of the organization is."""
    told = {
        name: secrets.removed(value)
        for name, value in headers
        if name in _TOLD
        or name.startswith(_TOLD_PREFIXES)
        or (organization and name == _ORGANIZATION)
    }
    if not cut and "json" in told.get("content-type", ""):
        whole = b"".join(chunks)
        body = _json_or_text(whole, secrets)
        if body is not None and not isinstance(body, str | bytes):
            return TapeAnswer(status, told, body=secrets.removed(body))
    kept = [_text_of(one) for one in secrets.of_chunks(chunks)]
    return TapeAnswer(status, told, chunks=kept, cut=cut)


def read_tape(path: Path) -> list[Exchange]:
    """Read a cassette. Raises `CassetteError` for one that is damaged, or cut."""
    lines = path.read_bytes().split(b"\n")
    try:
        head = msgspec.json.decode(lines[0], type=_Head)
    except msgspec.DecodeError as error:
        raise CassetteError(f"{path}, line 1: no cassette begins like this ({error})") from error
    if head.cassette != VERSION:
        raise CassetteError(
            f"{path}, line 1: version {head.cassette} of cassettes; this release reads {VERSION}"
        )
    found = [_exchange(path, number, line) for number, line in enumerate(lines[1:-1], 2)]
    if lines[-1] or len(found) != head.exchanges:
        raise CassetteError(
            f"{path}, line {len(lines) if lines[-1] else len(found) + 2}: the file is cut: "
            f"{len(found)} of {head.exchanges} exchanges are whole. Restore it, or record it again"
        )
    return found


def _exchange(path: Path, number: int, line: bytes) -> Exchange:
    try:
        return msgspec.json.decode(line, type=Exchange)
    except msgspec.DecodeError as error:
        raise CassetteError(f"{path}, line {number}: no exchange: {error}") from error


def write_tape(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write a cassette as a whole: whoever reads it meanwhile sees the old one."""
    lines = [_compact({"cassette": VERSION, "exchanges": len(exchanges)})]
    lines += [_compact(msgspec.to_builtins(one)) for one in exchanges]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    try:
        unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        unfinished.replace(path)
    except OSError:  # as of a full disk
        unfinished.unlink(missing_ok=True)
        raise


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def canonical(request: TapeRequest) -> str:
    """Return a text that is the same for requests that ask for the same."""
    parts = [request.method, request.path, request.body]
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def _json_or_text(content: bytes, secrets: Secrets) -> Any:
    """Return a body as JSON, if what is written of it reads the same."""
    if not content:
        return None
    try:
        value = json.loads(content)
        if not _is_deep(value) and msgspec.json.decode(_compact(value).encode()) == value:
            return value
    except (ValueError, RecursionError):
        pass
    return _text_of(secrets.removed(content))


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [item for one in inner for item in one if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _text_of(content: bytes) -> Any:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _bytes_of(chunk: Any) -> bytes:
    if isinstance(chunk, str):
        return chunk.encode()
    return base64.b64decode(chunk["base64"])
