"""The chunks of a chat completion, as far as Antiphon reads them; unknown keys are ignored.

A chunk of the types that are due is decoded at once. Any other is read value by value: what cannot
be read counts as absent, and only what is no JSON object at all is a failure.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from antiphon.engines.upstream.loose import (
    Count,
    fields,
    items,
    json_text,
    read_each,
    text_of,
    whole,
)

THOUGHTS: Final = frozenset({"thinking", "reasoning"})
"""The types of parts of a content that are thinking."""


class CallFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of a call. Some servers leave the index out, or the object of the function."""

    index: Count | None = None
    id: str | None = None
    function: CallFunction | None = None
    name: str | None = None
    arguments: str | None = None


class Delta(msgspec.Struct, frozen=True):
    """The new part of an answer. Servers have different names for thinking.

    `function_call` is the call of old servers, which make one at most.
    """

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: CallFunction | None = None


def only_text(delta: Delta) -> str | None:
    """Return the text of a piece that is nothing else, and has no halves of characters."""
    text = delta.content
    if not text or not text.isascii():
        return None
    thought = delta.reasoning_content or delta.reasoning
    other = delta.refusal or delta.tool_calls or delta.function_call
    return None if thought or other else text


class CacheDetails(msgspec.Struct, frozen=True):
    cached_tokens: Count | None = None


class ChunkUsage(msgspec.Struct, frozen=True):
    """What the server counted. `prompt_tokens` includes those that were read from a cache.

    `cached_tokens` (SGLang), `prompt_cache_hit_tokens` (DeepSeek) and `cache_read_input_tokens`
    (LiteLLM) stand for `prompt_tokens_details` on servers that have no such object.
    """

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: CacheDetails | None = None
    cached_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None

    @property
    def cached(self) -> int | None:
        details = self.prompt_tokens_details
        found = (
            None if details is None else details.cached_tokens,
            self.cached_tokens,
            self.prompt_cache_hit_tokens,
            self.cache_read_input_tokens,
        )
        return max((count for count in found if count is not None), default=None)


class Choice(msgspec.Struct, frozen=True):
    """A piece of one answer. A server that does not stream sends the whole `message`."""

    index: Count | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    usage: ChunkUsage | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream; vLLM writes errors with `object: error`."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None
    code: Any = None

    @property
    def is_error(self) -> bool:
        return (self.error is not None and self.error not in (False, "")) or self.object == "error"


def chunks_of(text: str) -> list[Chunk]:
    """Return the chunks of an event: one, or one in each line; raises `EngineError`."""
    try:
        return [msgspec.json.decode(text, type=Chunk)]
    except (msgspec.DecodeError, RecursionError):
        pass
    return read_each(text, lambda value: (_chunk(value),))


class ChunkReader:
    """Decodes the chunks of many events at once, by a decoder that is made once."""

    __slots__ = ("_decode",)

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(Chunk).decode_lines

    def read_all(self, texts: Sequence[str]) -> list[Chunk] | None:
        """Return the chunks of events, one of each; `None` if they have to be read one by one."""
        joined = "\n".join(texts)
        if joined.count("\n") >= len(texts):
            # A text of several lines: one with two chunks beside one with none would not be seen.
            return None
        try:
            chunks = self._decode(joined)
        except (msgspec.DecodeError, RecursionError):
            return None
        return chunks if len(chunks) == len(texts) else None


def _chunk(value: dict[str, Any]) -> Chunk:
    return Chunk(
        choices=[_choice(fields(one)) for one in items(value.get("choices"))],
        usage=_usage(value.get("usage")),
        error=value.get("error"),
        object=text_of(value.get("object")),
        message=text_of(value.get("message")),
        code=value.get("code"),
    )


def _choice(value: dict[str, Any]) -> Choice:
    return Choice(
        index=whole(value.get("index")),
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=_reason(value.get("finish_reason")),
        usage=_usage(value.get("usage")),
    )


def _reason(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return text_of(value)


def _delta(value: Any) -> Delta | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return Delta(content=text_of(value))
    parts = [(text_of(fields(one).get("type")), one) for one in items(value.get("content"))]
    thoughts = [part for kind, part in parts if kind in THOUGHTS]
    spoken = [part for kind, part in parts if kind not in THOUGHTS]
    return Delta(
        content=text_of(spoken),
        reasoning_content=text_of(value.get("reasoning_content")) or text_of(thoughts),
        reasoning=text_of(value.get("reasoning")),
        refusal=text_of(value.get("refusal")),
        tool_calls=[_call(fields(one)) for one in items(value.get("tool_calls"))],
        function_call=_function(value.get("function_call")),
    )


def _call(value: dict[str, Any]) -> CallDelta:
    return CallDelta(
        index=whole(value.get("index")),
        id=text_of(value.get("id")),
        function=_function(value.get("function")),
        name=text_of(value.get("name")),
        arguments=json_text(value.get("arguments")),
    )


def _function(value: Any) -> CallFunction | None:
    if not isinstance(value, dict):
        return None
    return CallFunction(text_of(value.get("name")), json_text(value.get("arguments")))


def _usage(value: Any) -> ChunkUsage | None:
    if not isinstance(value, dict):
        return None
    details = fields(value.get("prompt_tokens_details"))
    return ChunkUsage(
        prompt_tokens=whole(value.get("prompt_tokens")),
        completion_tokens=whole(value.get("completion_tokens")),
        prompt_tokens_details=CacheDetails(whole(details.get("cached_tokens"))),
        cached_tokens=whole(value.get("cached_tokens")),
        prompt_cache_hit_tokens=whole(value.get("prompt_cache_hit_tokens")),
        cache_read_input_tokens=whole(value.get("cache_read_input_tokens")),
    )
