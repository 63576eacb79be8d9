"""Counts the tokens of a prompt by the routes of different servers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from antiphon.core.blocks import images_of, replace_images
from antiphon.core.images import usual_tokens
from antiphon.engines.base import EngineError, EngineErrorKind, Prompt
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.chat_completions.request import conversation_of
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.upstream.options import estimate
from antiphon.engines.upstream.refusals import RefusedError
from antiphon.logs import EventLog
from antiphon.wire.content import ImageParam, TextParam

T = TypeVar("T")
Way: TypeAlias = Callable[[Prompt], Awaitable[int]]

NOT_THERE: Final = frozenset({404, 405, 501})
OTHERWISE: Final = NOT_THERE | {400, 422}
"""Statuses by which a server refuses a `/tokenize` of another form."""


class _NoCountError(EngineError):
    """An answer without a count: the server uses the path for something else."""

    def __init__(self) -> None:
        super().__init__(EngineErrorKind.FAILED, "upstream failed: it said no count of tokens")


class _Counted(msgspec.Struct, frozen=True):
    """The answer of vLLM's `/tokenize`; llama.cpp answers the same path differently."""

    count: int | None = None


class _Rendered(msgspec.Struct, frozen=True):
    prompt: str | None = None


class _Tokens(msgspec.Struct, frozen=True):
    tokens: list[Any]


class _InputTokens(msgspec.Struct, frozen=True):
    input_tokens: int


class Counter:
    """Counts tokens by a route of the upstream, which the first count finds, or estimates them.

    `estimates` is true once it is known that the upstream cannot count.
    """

    def __init__(self, upstream: Upstream, options: ChatOptions, model: str) -> None:
        self._upstream = upstream
        self._options = options
        self._model = model
        self._way: Way | None = None
        self.estimates = options.count == "estimate"
        self._counts_images = True

    async def count(self, prompt: Prompt) -> int:
        """Count a prompt, or estimate it if the upstream cannot count."""
        if self.estimates:
            return estimate(prompt)
        if images := list(images_of(prompt)):
            return await self._with_images(prompt, images)
        if self._way is not None:
            # The route worked before, so a refusal now concerns the prompt.
            return await self._way(prompt)
        return await self._find_way(prompt)

    async def _with_images(self, prompt: Prompt, images: Sequence[ImageParam]) -> int:
        """Count by llama-server's route; elsewhere count the prompt without images, and add those.

        The other routes count a text with a marker for each image, which is no count of images.
        """
        if self._counts_images:
            try:
                return await self._by_conversation(prompt)
            except RefusedError as error:
                if error.status not in NOT_THERE:
                    raise
                self._counts_images = False
        empty = replace_images(prompt.turns, lambda _: [TextParam(text="")])
        beside = await self.count(msgspec.structs.replace(prompt, turns=empty))
        return beside + sum(map(usual_tokens, images))

    async def _by_conversation(self, prompt: Prompt) -> int:
        body = {"model": self._model, **conversation_of(prompt, self._options)}
        counted = await self._ask("/v1/chat/completions/input_tokens", body, _InputTokens)
        return counted.input_tokens

    async def _find_way(self, prompt: Prompt) -> int:
        for way, absent in ((self._by_template, NOT_THERE), (self._by_messages, OTHERWISE)):
            try:
                counted = await way(prompt)
            except (RefusedError, _NoCountError) as error:
                if isinstance(error, RefusedError) and error.status not in absent:
                    raise
            else:
                self._way = way
                return counted
        self._give_up()
        return estimate(prompt)

    def _give_up(self) -> None:
        if self._way is None and not self.estimates:
            self.estimates = True
            EventLog(__name__).warning(
                "the upstream cannot count tokens: prompts are estimated", model=self._model
            )

    async def _by_template(self, prompt: Prompt) -> int:
        """Count as llama-server does: the rendered text, tokenized with its control tokens."""
        body = conversation_of(prompt, self._options)
        rendered = await self._ask("/apply-template", body, _Rendered)
        if rendered.prompt is None:
            raise _NoCountError
        text = {"content": rendered.prompt, "add_special": True, "parse_special": True}
        return len((await self._ask("/tokenize", text, _Tokens)).tokens)

    async def _by_messages(self, prompt: Prompt) -> int:
        """Count as vLLM does: the messages, tokenized as for an answer."""
        body = {"model": self._model, **conversation_of(prompt, self._options)}
        counted = await self._ask("/tokenize", body, _Counted)
        if counted.count is None:
            raise _NoCountError
        return counted.count

    async def _ask(self, path: str, body: dict[str, Any], kind: type[T]) -> T:
        return await self._upstream.ask("POST", path, msgspec.json.encode(body), kind)
