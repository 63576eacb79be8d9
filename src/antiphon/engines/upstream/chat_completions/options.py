"""The options of a chat_completions engine."""

from typing import Any, Literal

from antiphon.engines.base import EFFORTS, Effort
from antiphon.engines.upstream.options import UpstreamOptions


class ChatOptions(UpstreamOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The differences between servers of this kind.

    `max_tokens_field` is the name of the limit; `prefill` tells vLLM and SGLang to continue a
    last assistant message; `force_with` is the way to force a tool: by `tool_choice`, or by a JSON
    schema for servers that accept `tool_choice` and ignore it; `extra` is added to each request
    unchanged. `efforts` are the levels of `reasoning_effort` that the server takes,
    `thinking_switch` is the variable that switches thinking on in the model's template,
    `chat_template_kwargs` are further variables of the template. `cache_salt` sends the salt of
    the caller's workspace, so that the server's prefix cache keeps workspaces apart; `None` sends
    it to servers that call themselves vLLM or SGLang. `priority` says of requests of batches that
    others go before them; only a server that schedules by priorities takes it.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    prefill: bool = True
    force_with: Literal["tool_choice", "schema"] = "tool_choice"
    efforts: tuple[Effort, ...] | None = None
    thinking_switch: str = "enable_thinking"
    cache_salt: bool | None = None
    priority: bool = False
    chat_template_kwargs: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    extra: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that are sent, the lowest first; by default those that most servers take."""
        usual = EFFORTS[:3] if self.thinking else ()
        known = usual if self.efforts is None else self.efforts
        return tuple(level for level in EFFORTS if level in known)

    def __repr__(self) -> str:
        return super().__repr__()
