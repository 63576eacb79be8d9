"""The server that an exam asks, by its public API."""

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from antiphon.cli.command import CommandError
from antiphon.weights.source import printable, system_reason
from antiphon.wire.sse import FrameDecoder

VERSION: Final = "2023-06-01"
CONNECT_S: Final = 10.0
_NAMES: Final = ("id", "name")


class RefusedError(Exception):
    """The server has answered a request with an error: its status, and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Timed(msgspec.Struct, frozen=True):
    """A streamed answer: its tokens, and the seconds to its first and to its last one."""

    input_tokens: int
    output_tokens: int
    first_s: float
    last_s: float


class ExamApi:
    """Asks one model of a server."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        model: str,
        clock: Callable[[], float],
        admin_key: str | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._clock = clock
        self._admin_key = admin_key
        self.model = model

    async def message(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request at temperature 0. Raises `RefusedError`."""
        match await self._json("/v1/messages", self._body(body)):
            case {"content": list() as blocks} if all(map(_is_block, blocks)):
                return {"content": blocks}
        raise self._strange()

    async def count(self, body: Mapping[str, Any]) -> int:
        """Return the tokens of a prompt. Raises `RefusedError`."""
        match await self._json("/v1/messages/count_tokens", {"model": self.model, **body}):
            case {"input_tokens": int() as tokens}:
                return tokens
        raise self._strange()

    async def timed(self, body: Mapping[str, Any]) -> Timed:
        """Stream an answer, and measure it. Raises `RefusedError`."""
        began, first, used = self._clock(), None, {"input_tokens": 0, "output_tokens": 0}
        async with self._posted("/v1/messages", self._body({**body, "stream": True})) as answer:
            decoder = FrameDecoder()
            async for piece in answer.content.iter_any():
                for frame in decoder.feed(piece):
                    match self._decoded(frame.data):
                        case {"type": "error", "error": {"message": message}}:
                            raise RefusedError(200, str(message))
                        case {"type": "content_block_delta"}:
                            first = self._clock() if first is None else first
                        case {"message": {"usage": dict() as told}} | {"usage": dict() as told}:
                            used |= _counts(told, used)
        last = self._clock()
        return Timed(**used, first_s=(first or last) - began, last_s=last - began)

    async def memory(self) -> int | None:
        """Return the bytes that the engines of the model use; `None` if nobody tells."""
        if self._admin_key is None:
            return None
        headers = {"x-api-key": self._admin_key}
        address = f"{self._url}/v1/organizations/models"
        try:
            async with self._session.get(address, headers=headers) as answer:
                found = json.loads(await answer.text()) if answer.status == 200 else None  # noqa: PLR2004 - the number is its name
        except (aiohttp.ClientError, ValueError, RecursionError):
            return None
        return _memory_of(found, self.model)

    def _body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": self.model, "max_tokens": 512, "temperature": 0, **body}

    async def _json(self, path: str, body: Mapping[str, Any]) -> Any:
        async with self._posted(path, body) as answer:
            return self._decoded(await answer.text())

    def _decoded(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._strange() from error

    def _strange(self) -> CommandError:
        """Return the error of an answer that is none of the API's."""
        return CommandError(f"{self._url} does not answer as the Claude API does")

    @asynccontextmanager
    async def _posted(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with self._session.post(f"{self._url}{path}", json=body) as answer:
                if answer.status != 200:  # noqa: PLR2004 - the number is its name
                    raise RefusedError(answer.status, _words(await answer.text()))
                yield answer
        except UnicodeDecodeError as error:
            raise self._strange() from error
        except aiohttp.ClientError as error:
            raise CommandError(f"the server at {self._url} is gone: {error}") from error


@asynccontextmanager
async def opened_api(
    url: str,
    api_key: str,
    model: str | None,
    clock: Callable[[], float],
    admin_key: str | None = None,
) -> AsyncGenerator[tuple[ExamApi, dict[str, Any]]]:
    """Yield the API of a server for a model, the only one by default, and what it lists of it.

    Raises `CommandError` if the server cannot be asked, or has no such model.
    """
    async with aiohttp.ClientSession(
        headers={"x-api-key": api_key, "anthropic-version": VERSION},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
    ) as session:
        listed = await _listed(session, url)
        found = [one for one in listed if model in (None, one["id"])]
        if len(found) != 1:
            names = ", ".join(one["id"] for one in listed) or "none"
            what = "choose one with --id" if model is None else f"there is no model {model!r}"
            raise CommandError(f"{what}; models of {url}: {names}")
        yield ExamApi(session, url, found[0]["id"], clock, admin_key), found[0]


async def _listed(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    try:
        async with session.get(f"{url}/v1/models?limit=1000") as answer:
            if answer.status != 200:  # noqa: PLR2004 - the number is its name
                raise CommandError(f"{url} answered {answer.status}: {_words(await answer.text())}")
            found = json.loads(await answer.text())
    except (aiohttp.ClientError, ValueError, RecursionError) as error:
        raise CommandError(f"{url} cannot be asked: {system_reason(error)}") from error
    match found:
        case {"data": list() as models} if all(map(_is_model, models)):
            return models
    raise CommandError(f"{url} does not answer as the Claude API does")


def _is_model(model: Any) -> bool:
    match model:
        case {"id": str() as named, "max_input_tokens": int() | None}:
            return named.isprintable()
        case {"id": str() as named}:
            return named.isprintable() and "max_input_tokens" not in model
    return False


def _is_block(block: Any) -> bool:
    """Return whether a block has what the exam reads of it."""
    match block:
        case {"type": "text"}:
            return isinstance(block.get("text"), str)
        case {"type": "tool_use"}:
            return "input" in block and all(isinstance(block.get(key), str) for key in _NAMES)
        case {"type": str()}:
            return True
    return False


def _counts(told: dict[str, Any], names: Iterable[str]) -> dict[str, int]:
    """Return the counts of a usage; one of nothing may only be what is not known yet."""
    found = {name: told.get(name) for name in names}
    return {name: count for name, count in found.items() if isinstance(count, int) and count > 0}


def _memory_of(found: Any, model: str) -> int | None:
    """Return the bytes that the engines of a model use, as an administrator is told."""
    told = 0
    for one in _list_in(found, "data"):
        if isinstance(one, dict) and one.get("id") == model:
            for engine in _list_in(one, "engines"):
                match engine:
                    case {"memory": {"process_bytes": int() as used}}:
                        told += used
    return told or None


def _list_in(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _words(text: str) -> str:
    """Return the message of an error."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return printable(text[:200])
