"""`/v1/models`: the served models; and the health and readiness of the server."""

from typing import Any

from antiphon.core.claude_code import is_claude_code
from antiphon.core.idle_use import IdleUse
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.requests import Request
from antiphon.server.http.routing import Reply
from antiphon.service.model_discovery import discovered
from antiphon.service.platform import Platform
from antiphon.wire.models import ModelInfo, ModelPage


class ModelEndpoints:
    """The endpoints of models, over one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def list_models(self, request: Request[None]) -> ModelPage:
        cursor = request.query.by_ids()
        if is_claude_code(request.exchange.header(b"user-agent")):
            return discovered(self._platform.models, cursor)
        return self._platform.models.listing(cursor)

    async def show_model(self, request: Request[None]) -> ModelInfo:
        return self._platform.models.find(request.path("model_id")).listed()

    async def hello(self, _: Exchange) -> dict[str, str]:
        """Answer Claude Code, which looks at its start whether there is a server."""
        return {"message": "hello"}

    async def health(self, _: Exchange) -> dict[str, str]:
        return {"status": "ok"}

    async def ready(self, _: Exchange) -> Reply:
        """Answer 200 when requests are admitted and every model answers, else 503."""
        if self._platform.draining:
            return Reply(503, {"status": "stopping"})
        needs = {"needs": await self._platform.readiness.dependencies(), **self._process()}
        if (reason := await self._platform.refusal()) is not None:
            return Reply(503, {"status": "refusing", "reason": reason, **needs})
        models = self._platform.models
        status = "ready" if models.ready else "loading"
        state: dict[str, Any] = {"status": status, "models": models.states(), **needs}
        if warnings := await self._platform.warnings():
            state["warnings"] = warnings
        if shortfalls := self._platform.caching.shortfalls:
            state["less_cached_than_planned"] = dict(shortfalls)
        if uses := models.idle_uses():
            state["batches"] = {model: _idle_use(use) for model, use in uses.items()}
        return Reply(200 if models.ready else 503, state)

    def _process(self) -> dict[str, Any]:
        """Return which of several processes answers; nothing where there is one."""
        process = self._platform.process
        return {} if process.of == 1 else {"process": {"number": process.number, "of": process.of}}


def _idle_use(use: IdleUse) -> dict[str, float]:
    """Return how much of the time batches used, and what interactive requests lost by it."""
    return {
        "share_of_time": round(use.busy_s / use.total_s, 4) if use.total_s else 0.0,
        "yielded": use.yielded,
        "delayed": use.delayed,
        "delay_ms": round(use.delay_s * 1000),
        "longest_delay_ms": round(use.longest_delay_s * 1000),
    }
