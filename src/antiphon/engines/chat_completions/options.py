"""The options of a chat_completions engine."""

from typing import Any, Literal

from antiphon.engines.upstreams import UpstreamOptions


class ChatOptions(UpstreamOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What differs between servers of this kind.

    `max_tokens_field` is the name of the limit; `prefill` tells vLLM and SGLang to go on with a
    last assistant message; `extra` is added to each request as it stands.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    prefill: bool = True
    extra: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it

    def __repr__(self) -> str:
        return super().__repr__()
