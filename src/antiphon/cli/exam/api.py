"""The server that an exam asks, by its public API."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from antiphon.cli.command import CommandError
from antiphon.wire.sse import FrameDecoder

VERSION: Final = "2023-06-01"
CONNECT_S: Final = 10.0


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
        return await self._json("/v1/messages", self._body(body))

    async def count(self, body: Mapping[str, Any]) -> int:
        """Return the tokens of a prompt. Raises `RefusedError`."""
        counted = await self._json("/v1/messages/count_tokens", {"model": self.model, **body})
        return int(counted["input_tokens"])

    async def timed(self, body: Mapping[str, Any]) -> Timed:
        """Stream an answer, and measure it. Raises `RefusedError`."""
        began, first, used = self._clock(), None, {"input_tokens": 0, "output_tokens": 0}
        async with self._posted("/v1/messages", self._body({**body, "stream": True})) as answer:
            decoder = FrameDecoder()
            async for piece in answer.content.iter_any():
                for frame in decoder.feed(piece):
                    event = json.loads(frame.data)
                    if event["type"] == "error":
                        raise RefusedError(200, str(event["error"]["message"]))
                    if event["type"] == "content_block_delta" and first is None:
                        first = self._clock()
                    told = event.get("usage") or event.get("message", {}).get("usage") or {}
                    used.update({name: told[name] for name in used if told.get(name)})
        last = self._clock()
        return Timed(**used, first_s=(first or last) - began, last_s=last - began)

    async def memory(self) -> int | None:
        """Return the bytes that the engines of the model use; `None` if nobody tells."""
        if self._admin_key is None:
            return None
        headers = {"x-api-key": self._admin_key}
        async with self._session.get(
            f"{self._url}/v1/organizations/models", headers=headers
        ) as answer:
            if answer.status != 200:  # noqa: PLR2004 - the number is its name
                return None
            found = (await answer.json())["data"]
        engines = [one for model in found if model["id"] == self.model for one in model["engines"]]
        told = [(one["memory"] or {}).get("process_bytes") for one in engines]
        return sum(one for one in told if one) or None

    def _body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": self.model, "max_tokens": 512, "temperature": 0, **body}

    async def _json(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        async with self._posted(path, body) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    @asynccontextmanager
    async def _posted(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with self._session.post(f"{self._url}{path}", json=body) as answer:
                if answer.status != 200:  # noqa: PLR2004 - the number is its name
                    raise RefusedError(answer.status, _words(await answer.text()))
                yield answer
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
            found: list[dict[str, Any]] = (await answer.json())["data"]
            return found
    except (aiohttp.ClientError, ValueError, KeyError) as error:
        raise CommandError(f"{url} cannot be asked: {error}") from error


def _words(text: str) -> str:
    """Return the message of an error."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
