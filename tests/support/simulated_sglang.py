"""An SGLang without a model: it answers in SGLang's words, and keeps to grammars and namespaces.

`tests/engines/sglang/test_recorded.py` holds its words to what a real one has answered.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from aiohttp import web

from antiphon.engines.base import EngineConfig
from antiphon.engines.sglang.engine import SglangEngine, open_sglang
from support.hf_folder import write_folder
from support.simulated_vllm import MODEL, SimulatedVllm, running

RESERVED: Final = 6


class SimulatedSglang(SimulatedVllm):
    """One server, with the model of the simulated vLLM.

    With `incremental` an event has the new tokens only, and else all of them. Without `namespaces`
    it keeps prompts of different `extra_key` together, as versions do that know none. `tells`: it
    says how it was started, which routers do not. `low_first`: priorities that are low go first.
    It `is_dead` once it was given a token that its model does not have.
    """

    def __init__(
        self,
        folder: Path,
        *,
        incremental: bool = False,
        namespaces: bool = True,
        tells: bool = True,
        low_first: bool = False,
        block: int = 1,
        **how: Any,
    ) -> None:
        super().__init__(folder, block=block, **how)
        self.is_dead = False
        self._incremental = incremental
        self._namespaces = namespaces
        self._tells = tells
        self._low_first = low_first

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/v1/models":
                cards = [{**self._card(), **changed} for changed in self.cards]
                return web.json_response({"object": "list", "data": cards})
            case "/model_info" if self._tells:
                return web.json_response(self._model_info())
            case "/server_info" if self._tells:
                return web.json_response(self._server_info())
            case "/v1/detokenize":
                tokens = (await request.json())["tokens"]
                return web.json_response({"text": self._text(tokens)})
            case "/generate":
                return await self._completed(request)
        return web.json_response({"detail": "Not Found"}, status=404)

    def _card(self) -> dict[str, Any]:
        card = super()._card()
        return {**card, "owned_by": "sglang", "root": MODEL}

    def _model_info(self) -> dict[str, Any]:
        return {**self._started_with(), "is_generation": True}

    def _started_with(self) -> dict[str, Any]:
        folder = str(self._folder)
        return {"model_path": folder, "tokenizer_path": folder, "served_model_name": MODEL}

    def _server_info(self) -> dict[str, Any]:
        return {
            "version": "0.5.23",
            **self._started_with(),
            "max_req_input_len": self._context - RESERVED,
            "enable_priority_scheduling": self._priorities,
            "schedule_low_priority_values_first": self._low_first,
            "incremental_streaming_output": self._incremental,
        }

    async def _completed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if self.is_busy:
            return refused("The server is starting.", 503)
        asked = self._asked(body)
        if max(asked["prompt"], default=0) >= self._tokenizer.get_vocab_size():
            self.is_dead = True
        if self.is_dead and request.transport is not None:
            request.transport.abort()
        if (fault := self._refusal(asked)) is not None:
            return (
                await _refused_in_stream(request, fault) if body.get("stream") else refused(fault)
            )
        self.running += 1
        try:
            cached = self._read(asked)
            if len(asked["prompt"]) >= self._context - RESERVED:
                return await self._aborted(request, asked)
            if body.get("stream"):
                return await self._stream(request, asked, cached)
            return web.json_response(self._whole(asked, cached))
        except (asyncio.CancelledError, ConnectionError):
            self.broken_off += 1
            raise
        finally:
            self.running -= 1

    def _asked(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request as the simulated vLLM takes it."""
        sampling = body["sampling_params"]
        return {
            "prompt": body["input_ids"],
            "max_tokens": sampling["max_new_tokens"],
            "structured_outputs": {"grammar": sampling.get("ebnf")},
            "cache_salt": (body.get("extra_key") or "") if self._namespaces else "",
        }

    def _refusal(self, asked: dict[str, Any]) -> str | None:
        size, most = len(asked["prompt"]), asked["max_tokens"]
        if size > self._context:
            return (
                f"The input ({size} tokens) is longer than the model's context length "
                f"({self._context} tokens)."
            )
        if size + most > self._context:
            return (
                f"Requested token count exceeds the model's maximum context length of "
                f"{self._context} tokens. You requested a total of {size + most} tokens: {size} "
                f"tokens from the input messages and {most} tokens for the completion. Please "
                "reduce the number of tokens in the input messages or the completion to fit within "
                "the limit."
            )
        return None

    def _meta(self, asked: dict[str, Any], written: int, cached: int) -> dict[str, Any]:
        return {
            "id": "1",
            "finish_reason": None,
            "prompt_tokens": len(asked["prompt"]),
            "weight_version": "default",
            "num_retractions": 0,
            "reasoning_tokens": 0,
            "completion_tokens": written,
            "cached_tokens": cached if self._details else None,
            "cached_tokens_details": {"device": cached, "host": 0} if cached else None,
            "dp_rank": None,
        }

    def _last(self, meta: dict[str, Any], reason: str) -> dict[str, Any]:
        written = meta["completion_tokens"]
        ended = {"type": "stop", "matched": self.end}
        if reason == "length":
            ended = {"type": "length", "length": written}
        versions = [{"version": "default", "start": 0, "end": written}]
        return {**meta, "finish_reason": ended, "weight_versions": versions, "e2e_latency": 0.5}

    async def _aborted(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        """Refuse a prompt in its answer, as SGLang does what its scheduler refuses."""
        response = await _begun(request)
        most = self._context - RESERVED
        message = (
            f"Input length ({len(asked['prompt'])} tokens) exceeds the maximum allowed length "
            f"({most} tokens). Use a shorter input or enable --allow-auto-truncate."
        )
        reason = {"type": "abort", "message": message, "status_code": 400}
        meta = self._last(self._meta({**asked, "prompt": [1]}, 1, 0), "length")
        meta["finish_reason"] = {**reason, "err_type": "BadRequestError"}
        meta["response_sent_to_client_ts"] = 1.0
        event = {"text": "-", "output_ids": [29], "meta_info": meta}
        await response.write(frame(event) + b"data: [DONE]\n\n")
        return response

    def _whole(self, body: dict[str, Any], cached: int) -> dict[str, Any]:
        tokens, reason, _ = self._written(body)
        meta = self._last(self._meta(body, len(tokens), cached), reason)
        meta["response_sent_to_client_ts"] = 1.0
        return {"text": self._text(tokens), "output_ids": tokens, "meta_info": meta}

    async def _stream(
        self, request: web.Request, body: dict[str, Any], cached: int
    ) -> web.StreamResponse:
        response = await _begun(request)
        tokens, reason, _ = self._written(body)
        for written in range(1, len(tokens) + 1):
            if written - 1 == self.dies_behind and request.transport is not None:
                request.transport.abort()
            await asyncio.sleep(self._pause_s)
            meta = self._meta(body, written, cached)
            if written == 1:
                meta["response_sent_to_client_ts"] = 1.0
            if written == len(tokens):
                meta = self._last(meta, reason)
            shown = tokens[written - 1 : written] if self._incremental else tokens[:written]
            event: dict[str, Any] = {"text": self._text(shown)}
            if self._ids:
                event["output_ids"] = shown
            await response.write(frame({**event, "meta_info": meta}))
        await response.write(b"data: [DONE]\n\n")
        return response


def frame(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def refused(message: str, status: int = 400) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


async def _begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    return response


async def _refused_in_stream(request: web.Request, message: str) -> web.StreamResponse:
    """Refuse a stream as SGLang does: with status 200."""
    response = await _begun(request)
    error = {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}
    await response.write(frame({"error": error}) + b"data: [DONE]\n\n")
    return response


async def simulated_sglang_engine(**how: Any) -> SglangEngine:
    """Open an engine on a server of its own, which ends with it."""
    async with AsyncExitStack() as stack:
        folder = write_folder(Path(stack.enter_context(TemporaryDirectory())))
        server = await stack.enter_async_context(running(SimulatedSglang(folder, **how)))
        engine = await open_sglang(EngineConfig("sglang", options={"url": server.url}))
        engine._resources.push_async_callback(stack.pop_all().aclose)
        return engine
    raise AssertionError
