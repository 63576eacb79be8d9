"""What spans of answers say: figures and names of models, never a prompt, an answer or a key."""

from datetime import datetime
from typing import Final

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.moments import since_epoch
from antiphon.wire.errors import shortened

SERVICE: Final = "antiphon"

NANO_DOLLARS: Final = 1_000_000_000


def of_answer(entry: LedgerEntry, queue_s: float | None) -> dict[str, str | int | float]:
    """Return what is told of every answer, in the words and the counts of the API."""
    tokens = entry.tokens
    found: dict[str, str | int | float] = {
        "antiphon.model": entry.served_model,
        "antiphon.outcome": entry.outcome.value,
        "antiphon.tokens.input": tokens.input,
        "antiphon.tokens.cache_read": tokens.cache_read,
        "antiphon.tokens.cache_write": tokens.cache_write_5m + tokens.cache_write_1h,
        "antiphon.tokens.output": tokens.output,
        "antiphon.cost_dollars": entry.costs.total / NANO_DOLLARS,
        "antiphon.money_wait_s": entry.money_us / 1_000_000,
    }
    if queue_s is not None:
        found["antiphon.queue_s"] = queue_s
    if entry.first_token_at is not None:
        found["antiphon.time_to_first_token_s"] = _between(entry.started_at, entry.first_token_at)
    return found


def of_generation(
    entry: LedgerEntry, message_id: str | None, *, streamed: bool
) -> dict[str, str | int | float | bool | list[str]]:
    """Return the attributes of the conventions for generative AI.

    There tokens of the prompt cache are a part of the input; in the API they are not.
    """
    tokens = entry.tokens
    found: dict[str, str | int | float | bool | list[str]] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": SERVICE,
        "gen_ai.request.model": shortened(entry.model),
        "gen_ai.request.stream": streamed,
        "gen_ai.response.model": entry.served_model,
        "gen_ai.usage.input_tokens": tokens.prompt,
        "gen_ai.usage.cache_read.input_tokens": tokens.cache_read,
        "gen_ai.usage.cache_write.input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "gen_ai.usage.output_tokens": tokens.output,
    }
    if message_id is not None:
        found["gen_ai.response.id"] = message_id
    if tokens.thinking:
        found["gen_ai.usage.reasoning.output_tokens"] = tokens.thinking
    if entry.stop_reason is not None:
        found["gen_ai.response.finish_reasons"] = [entry.stop_reason]
    if streamed and entry.first_token_at is not None:
        first = _between(entry.started_at, entry.first_token_at)
        found["gen_ai.response.time_to_first_chunk"] = first
    return found


def in_ns(moment: datetime) -> int:
    """Return a moment as spans have it."""
    return since_epoch(moment) * 1000


def _between(start: datetime, end: datetime) -> float:
    # Clocks go back sometimes.
    return max(0.0, (end - start).total_seconds())
