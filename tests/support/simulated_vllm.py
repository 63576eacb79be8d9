"""A vLLM without a model: it answers in vLLM's words, and keeps to grammars and blocks as it does.

`tests/engines/vllm/test_recorded.py` holds its words to what a real one has answered.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from aiohttp import web
from tokenizers import Tokenizer

from antiphon.engines.base import EngineConfig
from antiphon.engines.vllm.engine import VllmEngine, open_vllm
from support.gbnf import Grammar
from support.hf_folder import write_folder

MODEL: Final = "smollm2"
BLOCK: Final = 16
CONTEXT: Final = 1024
WORDS: Final = ("the", " and", " an", " in", "é", " 🦜", "1", "\n", " <b>", ".")


class SimulatedVllm:
    """One server, whose model has the tokenizer of a folder.

    It writes what it `says`, one after the other, and then words that depend on the prompt. Without
    `ids`, `grammars` or `details` it does not know what older servers did not, or was not started
    to tell. `priorities`: it was started to schedule by them. `asked` are the bodies of requests,
    `running` those that it works on, `broken_off` how many ended because the client left. `cards`
    are the models that it lists, by what differs from the one that it has.
    """

    def __init__(
        self,
        folder: Path,
        *,
        says: Sequence[str] = (),
        block: int = BLOCK,
        context: int = CONTEXT,
        ids: bool = True,
        grammars: bool = True,
        details: bool = True,
        priorities: bool = False,
        pause_s: float = 0.0,
    ) -> None:
        self.says = list(says)
        self.asked: list[dict[str, Any]] = []
        self.running = 0
        self.broken_off = 0
        self.url = ""
        self.is_busy = False
        self.dies_behind: int | None = None
        self.cards: list[dict[str, Any]] = [{}]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.end = self._tokenizer.token_to_id(config["eos_token"]["content"])
        self._folder = folder
        self._block = block
        self._context = context
        self._ids, self._grammars, self._details = ids, grammars, details
        self._priorities = priorities
        self._pause_s = pause_s
        self._kept: set[tuple[str, bytes]] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/v1/models":
                cards = [{**self._card(), **changed} for changed in self.cards]
                return web.json_response({"object": "list", "data": cards})
            case "/version":
                return web.json_response({"version": "0.32.0"})
            case "/v1/completions":
                return await self._completed(request)
        return web.json_response({"detail": "Not Found"}, status=404)

    def _card(self) -> dict[str, Any]:
        return {
            "id": MODEL,
            "object": "model",
            "created": 1,
            "owned_by": "vllm",
            "parent": None,
            "root": str(self._folder),
            "max_model_len": self._context,
        }

    async def _completed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if self.is_busy:
            return refused("The engine is starting.", "ServiceUnavailableError", 503)
        if (fault := self._fault(body)) is not None:
            return fault
        self.running += 1
        try:
            cached = self._read(body)
            if body.get("stream"):
                return await self._stream(request, body, cached)
            return web.json_response(self._whole(body, cached))
        except (asyncio.CancelledError, ConnectionError):
            self.broken_off += 1
            raise
        finally:
            self.running -= 1

    def _fault(self, body: dict[str, Any]) -> web.Response | None:
        prompt = body["prompt"]
        size = self._tokenizer.get_vocab_size()
        if body["model"] != MODEL:
            known = f"The model `{body['model']}` does not exist. Valid aliases: {MODEL}."
            return refused(known, "NotFoundError", 404, "model")
        if max(prompt, default=0) >= size:
            return refused(f"Token id {max(prompt)} is out of vocabulary")
        if body.get("priority", 0) and not self._priorities:
            return refused(
                f"Got priority {body['priority']} but Priority scheduling is not enabled."
            )
        if len(prompt) >= self._context:
            return refused(
                f"This model's maximum context length is {self._context} tokens. However, your "
                f"prompt contains {len(prompt)} input tokens, which exceeds this limit even "
                "without any output tokens. Please reduce the length of the input prompt.",
                param="input_tokens",
            )
        return None

    def _read(self, body: dict[str, Any]) -> int:
        """Return how many tokens of a prompt are in the cache, and keep it there."""
        prompt, salt, block = body["prompt"], body.get("cache_salt", ""), self._block
        hashes: list[bytes] = []
        for end in range(block, len(prompt) + 1, block):
            before = hashes[-1] if hashes else b""
            hashes.append(sha256(before + repr(prompt[end - block : end]).encode()).digest())
        known = 0
        # The last token is always computed.
        for found in hashes[: (len(prompt) - 1) // block]:
            if (salt, found) not in self._kept:
                break
            known += block
        self._kept |= {(salt, one) for one in hashes}
        return known

    def _written(self, body: dict[str, Any]) -> tuple[list[int], str, str | None]:
        """Return the tokens of an answer, why it ends, and the stop text that ends it."""
        grammar = (body.get("structured_outputs") or {}).get("grammar")
        seed = int.from_bytes(sha256(repr(body["prompt"]).encode()).digest()[:6], "big")
        random = Random(seed + len(self.asked))  # noqa: S311 - no secret
        if grammar is not None and self._grammars:
            text = Grammar(grammar).draw(random.getrandbits(30), patience=12)
        elif self.says:
            text = self.says.pop(0)
        else:
            text = "".join(random.choice(WORDS) for _ in range(400))
        stops = [one for one in body.get("stop", ()) if one in text]
        end = min((text.index(one) + len(one) for one in stops), default=len(text))
        tokens = self._tokenizer.encode(text[:end], add_special_tokens=False).ids
        most = min(body["max_tokens"], self._context - len(body["prompt"]))
        if len(tokens) >= most:
            return tokens[:most], "length", None
        if stops:
            return tokens, "stop", min(stops, key=text.index)
        return [*tokens, self.end], "stop", None

    def _whole(self, body: dict[str, Any], cached: int) -> dict[str, Any]:
        tokens, reason, stopped = self._written(body)
        text = self._text(tokens)
        if body.get("echo"):
            text = self._text(body["prompt"]) + text
        choice = {
            "index": 0,
            "text": text,
            "finish_reason": reason,
            "stop_reason": stopped,
            **dict.fromkeys(("logprobs", "prompt_logprobs", "prompt_token_ids", "token_ids")),
            "routed_experts": None,
        }
        usage = self._usage(body, len(tokens), cached)
        if "prompt_tokens_details" in usage:
            absent = dict.fromkeys(("created_cache_tokens", "multimodal_tokens"))
            usage["prompt_tokens_details"] |= absent
        usage["completion_tokens_details"] = None
        head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
        return {**head, "choices": [choice], "usage": usage, "ec_transfer_params": None}

    async def _stream(
        self, request: web.Request, body: dict[str, Any], cached: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        tokens, reason, stopped = self._written(body)
        for written, token in enumerate(tokens, 1):
            if written - 1 == self.dies_behind and request.transport is not None:
                request.transport.abort()
            await asyncio.sleep(self._pause_s)
            is_last = written == len(tokens)
            choice: dict[str, Any] = {
                "index": 0,
                "text": self._text([token]),
                "logprobs": None,
                "finish_reason": reason if is_last else None,
                "stop_reason": stopped if is_last else None,
            }
            if self._ids:
                choice["prompt_token_ids"] = body["prompt"] if written == 1 else None
                choice["token_ids"] = [token]
            usage = self._usage(body, written, None)
            await response.write(frame({"choices": [choice], "usage": usage}))
        usage = self._usage(body, len(tokens), cached)
        await response.write(frame({"choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _text(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    def _usage(self, body: dict[str, Any], written: int, cached: int | None) -> dict[str, Any]:
        read = len(body["prompt"])
        usage: dict[str, Any] = {
            "prompt_tokens": read,
            "total_tokens": read + written,
            "completion_tokens": written,
        }
        if cached is not None and self._details:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        return usage


def frame(event: dict[str, Any]) -> bytes:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
    return b"data: " + json.dumps({**head, **event}).encode() + b"\n\n"


def refused(
    message: str, kind: str = "BadRequestError", status: int = 400, param: str | None = None
) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": status}
    return web.json_response({"error": error}, status=status)


async def simulated_engine(**how: Any) -> VllmEngine:
    """Open an engine on a server of its own, which ends with it."""
    async with AsyncExitStack() as stack:
        folder = write_folder(Path(stack.enter_context(TemporaryDirectory())))
        server = await stack.enter_async_context(running(SimulatedVllm(folder, **how)))
        engine = await open_vllm(EngineConfig("vllm", options={"url": server.url}))
        engine._resources.push_async_callback(stack.pop_all().aclose)
        return engine
    raise AssertionError


Server = TypeVar("Server", bound=SimulatedVllm)


@asynccontextmanager
async def running(server: Server, port: int = 0) -> AsyncIterator[Server]:
    """Run a server on a free port until the block ends."""
    raw = web.Server(server.answer, handler_cancellation=True)
    runner = web.ServerRunner(raw, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
