"""How many tokens a prompt has, asked of servers that disagree on how to ask."""

from typing import Any, Final

import msgspec
import structlog

from antiphon.engines.base import Prompt
from antiphon.engines.chat_completions.options import ChatOptions
from antiphon.engines.chat_completions.request import conversation_of
from antiphon.engines.http import RefusedError, Upstream
from antiphon.engines.upstreams import estimate

NOT_THERE: Final = frozenset({404, 405, 501})
OTHERWISE: Final = NOT_THERE | {400, 422}
"""What a server answers whose `/tokenize` takes something else."""


class _Counted(msgspec.Struct, frozen=True):
    """What vLLM says to `/tokenize`; llama.cpp has the same path and says something else."""

    count: int | None = None


class _Rendered(msgspec.Struct, frozen=True):
    prompt: str | None = None


class _Tokens(msgspec.Struct, frozen=True):
    tokens: list[Any]


class Counter:
    """Counts as the upstream does, if there is a way; found out when it is first asked."""

    def __init__(self, upstream: Upstream, options: ChatOptions, model: str) -> None:
        self._upstream = upstream
        self._options = options
        self._model = model
        self._ways = [self._by_template, self._by_messages]

    async def count(self, prompt: Prompt) -> int:
        """Count a prompt, or estimate it where nobody can count."""
        if self._options.count == "upstream":
            for way in tuple(self._ways):
                counted = await way(prompt)
                if counted is not None:
                    self._ways = [way]
                    return counted
            self._give_up()
        return estimate(prompt)

    def _give_up(self) -> None:
        if self._ways:
            self._ways = []
            structlog.get_logger(__name__).warning(
                "the upstream cannot count tokens: prompts are estimated", model=self._model
            )

    async def _by_template(self, prompt: Prompt) -> int | None:
        """Count as llama-server does: the rendered text, tokenized with its control tokens."""
        body = conversation_of(prompt, self._options)
        rendered = await self._ask("/apply-template", body, _Rendered, NOT_THERE)
        if rendered is None or rendered.prompt is None:
            return None
        text = {"content": rendered.prompt, "add_special": True, "parse_special": True}
        tokens = await self._ask("/tokenize", text, _Tokens, NOT_THERE)
        return None if tokens is None else len(tokens.tokens)

    async def _by_messages(self, prompt: Prompt) -> int | None:
        """Count as vLLM does: the messages, tokenized as for an answer."""
        body = {"model": self._model, **conversation_of(prompt, self._options)}
        counted = await self._ask("/tokenize", body, _Counted, OTHERWISE)
        return None if counted is None else counted.count

    async def _ask(
        self, path: str, body: dict[str, Any], kind: type[Any], absent: frozenset[int]
    ) -> Any:
        try:
            return await self._upstream.ask("POST", path, msgspec.json.encode(body), kind)
        except RefusedError as error:
            # One that has counted before can count: then it is the prompt that it refuses.
            if error.status in absent and len(self._ways) > 1:
                return None
            raise
