"""The JSON of vLLM, as far as Antiphon uses it."""

from typing import Any

import msgspec


class Grammar(msgspec.Struct, frozen=True):
    """What the answer is held to: a grammar of llama.cpp's notation."""

    grammar: str


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = True
    continuous_usage_stats: bool = True


class CompletionBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a request. An absent parameter is left to vLLM."""

    model: str
    prompt: list[int]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    structured_outputs: Grammar | None = None
    stop: tuple[str, ...] = ()
    skip_special_tokens: bool = True
    stream: bool = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool = False
    cache_salt: str | None = None
    priority: int = 0
    echo: bool = False


class Usage(msgspec.Struct, frozen=True):
    """What vLLM has counted so far. Only the last one says how much was cached."""

    class Details(msgspec.Struct, frozen=True):
        """Of the prompt: the tokens that were in the prefix cache."""

        cached_tokens: int | None = None

    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None

    @property
    def cached(self) -> int | None:
        details = self.prompt_tokens_details
        return None if details is None else details.cached_tokens


class Choice(msgspec.Struct, frozen=True):
    """An answer, or the next part of one.

    `stop_reason` is the stop text, or the number of the token, that ended it; `None` for the usual
    end token.
    """

    text: str = ""
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: list[int] | None = None


class Completion(msgspec.Struct, frozen=True):
    """An answer, or an event of one. An `error` may come in the middle of a stream."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Any = None


class Version(msgspec.Struct, frozen=True):
    version: str
