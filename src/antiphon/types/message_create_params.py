"""The parameters of messages, where the official SDK has them."""

from antiphon.sdk.types.params import (
    MessageCreateParams,
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)

__all__ = [
    "MessageCreateParams",
    "MessageCreateParamsNonStreaming",
    "MessageCreateParamsStreaming",
]
