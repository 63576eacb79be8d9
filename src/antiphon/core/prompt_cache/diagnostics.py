"""Cache diagnostics: where a prompt departs from the prompt of an earlier answer.

A fingerprint is what is kept of a prompt for this: hashes and sizes, from which no text can be
read. The next request of a conversation names the earlier answer, and its chain is compared with
the fingerprint. Only the first difference is reported: it loses everything behind it.
"""

from typing import Final

import msgspec

from antiphon.core.prompt_cache.chain import Chain
from antiphon.wire.messages import CacheMissType

MOST_BLOCKS: Final = 4096
"""The blocks of messages, inner ones included, that a fingerprint tells apart: some 180 KB."""

# A mistaken match, which 8 bytes make unlikely, would only hide a difference.
_SHORT: Final = 8


class CacheMiss(msgspec.Struct, frozen=True):
    """The reason why a prompt cannot be read from the cache as far as an earlier one reached.

    `missed_tokens` is an estimate of the earlier prompt's tokens behind the difference; the
    reasons without a difference have none.
    """

    type: CacheMissType
    missed_tokens: int | None = None


class Fingerprint(msgspec.Struct, frozen=True):
    """Hashes of a prompt of `tokens` tokens, by section, and of its messages by block.

    `sizes` are hashed bytes from the beginning of the prompt: to the end of the tools, to that of
    the system prompt, and to that of each block in `messages`. `size` is the whole. A prompt of
    more blocks than a fingerprint tells apart is not `whole`.
    """

    tokens: int
    size: int
    model: bytes
    tools: bytes
    system: bytes
    messages: tuple[bytes, ...]
    sizes: tuple[int, ...]
    whole: bool = True
    parameters: bytes = b""


def fingerprint_of(chain: Chain, tokens: int) -> Fingerprint:
    """Return the fingerprint of a prompt of `tokens` tokens."""
    blocks = chain.prefixes[chain.first_message :]
    kept = blocks[:MOST_BLOCKS]
    return Fingerprint(
        tokens=tokens,
        size=chain.prefixes[-1].size,
        model=chain.model_key[:_SHORT],
        tools=chain.tools.key[:_SHORT],
        system=chain.system.key[:_SHORT],
        messages=tuple(prefix.key[:_SHORT] for prefix in kept),
        sizes=(chain.tools.size, chain.system.size, *(prefix.size for prefix in kept)),
        whole=len(kept) == len(blocks),
        parameters=chain.parameters_key[:_SHORT],
    )


def first_miss(before: Fingerprint, chain: Chain) -> CacheMiss | None:
    """Return where a prompt departs from an earlier one; `None` if it only goes on from there.

    A prompt that is a part of the earlier one does not depart from it. Where only other parameters
    differ, such as `tool_choice`, the API gives no diagnosis.
    """
    if before.model != chain.model_key[:_SHORT]:
        return CacheMiss("model_changed", before.tokens)
    if before.tools != chain.tools.key[:_SHORT]:
        return CacheMiss("tools_changed", before.tokens)
    if before.system != chain.system.key[:_SHORT]:
        return CacheMiss("system_changed", _tokens_behind(before, before.sizes[0]))
    if before.parameters != chain.parameters_key[:_SHORT]:
        return CacheMiss("unavailable")
    return _miss_in_messages(before, chain)


def _miss_in_messages(before: Fingerprint, chain: Chain) -> CacheMiss | None:
    blocks = chain.prefixes[chain.first_message :]
    # The earlier prompt may be longer or shorter.
    for index, (known, prefix) in enumerate(zip(before.messages, blocks, strict=False)):
        if known != prefix.key[:_SHORT]:
            return CacheMiss("messages_changed", _tokens_behind(before, before.sizes[index + 1]))
    if not before.whole and len(blocks) > len(before.messages):
        return CacheMiss("unavailable")
    return None


def _tokens_behind(before: Fingerprint, size: int) -> int:
    """Estimate the tokens behind so many bytes: as if all bytes had the same share of them."""
    return before.tokens * (before.size - size) // before.size
