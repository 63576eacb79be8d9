"""Why an answer ended, in the words of many servers."""

from typing import Final

from antiphon.engines.base import FinishReason
from antiphon.engines.upstream.http import failed

ENDS: Final = frozenset(
    {
        *("stop", "end_turn", "stop_sequence", "eos", "eos_token", "end", "complete", "completed"),
        *("tool_calls", "tool_use", "function_call"),
    }
)
LIMITS: Final = frozenset({"length", "max_tokens", "max_output_tokens", "max_length"})
CONTEXTS: Final = frozenset({"model_context_window_exceeded", "model_length", "context_length"})
REFUSALS: Final = frozenset(
    {
        *("refusal", "content_filter", "content_filtered", "safety", "guardrail_intervened"),
        *("blocklist", "prohibited_content", "recitation", "spii"),
    }
)
CUT: Final = frozenset({FinishReason.MAX_TOKENS, FinishReason.CONTEXT_WINDOW})
"""The reasons of an answer that ends in the middle of a part."""

BREAKS: Final = frozenset(
    {
        *("abort", "aborted", "cancel", "cancelled", "canceled", "error", "failed", "not_finished"),
        *("insufficient_system_resource", "network_error", "timeout", "time_limit"),
        # Belongs to tools that the server runs; none was offered.
        "pause_turn",
    }
)


def finish_reason(
    told: str | None, counted: int | None, max_tokens: int, *, limited: bool
) -> FinishReason:
    """Return the reason of an answer that has ended; raises `EngineError` if it was broken off.

    `told` is what the server says, `counted` the tokens of the answer, `max_tokens` the limit of
    the caller; `limited` is true if the context has room for less. A reason that is unknown or
    missing is the end of the turn, unless the answer is as long as it may be.
    """
    reason = (told or "").strip().lower()
    if reason in BREAKS:
        raise failed(f"the answer was broken off: {reason}")
    if reason in REFUSALS:
        return FinishReason.REFUSAL
    if reason in CONTEXTS:
        return FinishReason.CONTEXT_WINDOW
    full = counted is not None and counted >= max_tokens
    if reason in LIMITS or (reason not in ENDS and full):
        early = limited or (counted is not None and not full)
        return FinishReason.CONTEXT_WINDOW if early else FinishReason.MAX_TOKENS
    return FinishReason.END_TURN
