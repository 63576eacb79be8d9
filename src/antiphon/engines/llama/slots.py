"""Chooses the slot of llama.cpp for a prompt: a function of what the slots hold."""

from collections.abc import Iterable
from typing import Final

import msgspec

from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES, shared_tokens

ENOUGH: Final = 256
"""Tokens for which a slot is chosen: fewer are read in one batch, and are no reason to displace
another prefix."""


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot of llama.cpp holds, as far as it is known for certain.

    - `salt`, `tokens`: the workspace that the slot's KV is of, and its first tokens, packed. The
      salt stays until the slot is erased; without one the slot is empty.
    - `busy`: whether it computes an answer.
    - `kept`: whether a session will come back to it, as while its tool runs.
    - `spare`: whether a batch has used it, which may read its prompt again.
    - `used_at`: when it was last used, in seconds.
    """

    id: int
    salt: str | None = None
    tokens: bytes = b""
    busy: bool = False
    kept: bool = False
    spare: bool = False
    used_at: float = 0.0


class SlotChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A slot, and what comes before the prompt is read in it.

    - `reused`: the tokens of the prompt that the slot holds.
    - `erase`: whether its KV has to go first, because it is of another workspace.
    - `restore`: whether the snapshot is then restored.
    """

    slot: int
    reused: int
    erase: bool
    restore: bool


def choose_slot(  # noqa: PLR0913 - the properties of a prompt
    slots: Iterable[SlotState],
    salt: str,
    tokens: bytes,
    *,
    snapshot_tokens: int = 0,
    rewinds: bool = True,
    enough: int = ENOUGH,
) -> SlotChoice | None:
    """Choose a free slot for a prompt of packed `tokens`; `None` if all are busy.

    The slot with the longest prefix of the prompt is chosen, if it is of the same workspace, has at
    least `enough` tokens, and no fewer than the longest snapshot, which has `snapshot_tokens` (0 if
    there is none, or if restoring it would take longer than reading). Otherwise the prompt goes
    where least is lost: into an empty slot, then a spare one, then one that no session comes back
    to, then the one that was not used for the longest time.

    A model that does not rewind (a sliding window, recurrent layers) can only go on behind
    everything that a slot holds: with `rewinds` false, other slots hold nothing of the prompt.

    At least one token of a prompt is always read, so a slot that holds all of it reuses one less.
    """
    free = [slot for slot in slots if not slot.busy]
    if not free:
        return None
    held = {slot.id: _held(slot, salt, tokens, rewinds=rewinds) for slot in free}
    best = max(free, key=lambda slot: (held[slot.id], -len(slot.tokens), -slot.id))
    if held[best.id] >= max(enough, snapshot_tokens):
        return SlotChoice(slot=best.id, reused=held[best.id], erase=False, restore=False)
    chosen = min(free, key=lambda slot: (*_loss(slot), slot.id))
    foreign = chosen.salt is not None and chosen.salt != salt
    restore = snapshot_tokens > held[chosen.id]
    reused = 0 if restore else held[chosen.id]
    return SlotChoice(slot=chosen.id, reused=reused, erase=foreign, restore=restore)


def held_tokens(
    slots: Iterable[SlotState], salt: str, tokens: bytes, *, rewinds: bool = True
) -> int:
    """Return the most tokens of a prompt that one of these slots holds."""
    return max((_held(slot, salt, tokens, rewinds=rewinds) for slot in slots), default=0)


def _held(slot: SlotState, salt: str, tokens: bytes, *, rewinds: bool) -> int:
    """Return how many tokens of a prompt need not be read in a slot."""
    if slot.salt != salt:
        return 0
    shared = shared_tokens(slot.tokens, tokens)
    last = len(tokens) // TOKEN_BYTES - 1
    if rewinds:
        return max(0, min(shared, last))
    whole = shared * TOKEN_BYTES == len(slot.tokens) and shared <= last
    return shared if whole else 0


def _loss(slot: SlotState) -> tuple[bool, bool, bool, float]:
    """Return what orders slots by what is lost if their KV goes."""
    return slot.salt is not None, not slot.spare, slot.kept, slot.used_at
