from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.engines.llama.slots import ENOUGH, SlotChoice, SlotState, choose_slot
from antiphon.engines.llama.snapshots.prefixes import pack_tokens, shared_tokens

LONG = list(range(1, ENOUGH + 101))
PROMPT = pack_tokens([*LONG, 7, 8, 9])


def slot(
    number: int, tokens: Sequence[int] = (), salt: str | None = "mine", **more: Any
) -> SlotState:
    return SlotState(id=number, salt=salt, tokens=pack_tokens(tokens), **more)


def chosen(*states: SlotState, **more: Any) -> SlotChoice | None:
    return choose_slot(states, "mine", PROMPT, **more)


def test_slot_with_the_longest_prefix_of_the_workspace_goes_on() -> None:
    found = chosen(
        slot(0, salt=None), slot(1, LONG[:ENOUGH]), slot(2, LONG), slot(3, [*LONG, 7], "theirs")
    )
    assert found == SlotChoice(slot=2, reused=len(LONG), erase=False, restore=False)


def test_slot_of_another_workspace_is_erased_first() -> None:
    found = chosen(slot(0, LONG, "theirs"))
    assert found == SlotChoice(slot=0, reused=0, erase=True, restore=False)


def test_own_slot_with_another_prompt_needs_no_erasing() -> None:
    found = chosen(slot(0, [5, 6]))
    assert found == SlotChoice(slot=0, reused=0, erase=False, restore=False)


def test_busy_slots_are_not_chosen() -> None:
    assert chosen(slot(0, LONG, busy=True), slot(1, salt=None)) == SlotChoice(
        slot=1, reused=0, erase=False, restore=False
    )
    assert chosen(slot(0, LONG, busy=True)) is None
    assert chosen() is None


@pytest.mark.parametrize(("snapshot", "restore"), [(len(LONG), False), (len(LONG) + 1, True)])
def test_longer_snapshot_is_restored_into_another_slot(snapshot: int, *, restore: bool) -> None:
    found = chosen(slot(0, LONG), slot(1, salt=None), snapshot_tokens=snapshot)
    assert found is not None
    assert (found.slot, found.restore) == ((1, True) if restore else (0, False))


def test_snapshot_is_not_restored_over_a_slot_that_holds_as_much() -> None:
    found = chosen(slot(0, LONG[:20]), snapshot_tokens=20)
    assert found == SlotChoice(slot=0, reused=20, erase=False, restore=False)


def test_few_shared_tokens_displace_no_other_prefix() -> None:
    found = chosen(slot(0, [*LONG[: ENOUGH - 1], *[3] * 900]), slot(1, salt=None))
    assert found == SlotChoice(slot=1, reused=0, erase=False, restore=False)


def test_least_is_lost() -> None:
    """An empty slot, then one without a session, then the one that was used first."""
    old = slot(0, [4], "theirs", used_at=1.0, kept=True)
    newer = slot(1, [4], used_at=2.0)
    newest = slot(2, [4], used_at=3.0)
    empty = slot(3, salt=None, used_at=9.0)
    order = []
    states = [old, newer, newest, empty]
    while states:
        found = chosen(*states)
        assert found is not None
        order.append(found.slot)
        states = [state for state in states if state.id != found.slot]
    assert order == [3, 1, 2, 0]


@pytest.mark.parametrize("held", [LONG, [*LONG, 7, 8, 9, 10], [*LONG, 7, 99]])
def test_model_that_does_not_rewind_goes_on_behind_all_tokens_of_a_slot(held: list[int]) -> None:
    found = chosen(slot(0, held), rewinds=False)
    assert found is not None
    assert found.reused == (len(LONG) if held == LONG else 0)


@pytest.mark.parametrize(("rewinds", "reused"), [(True, len(LONG) + 2), (False, 0)])
def test_one_token_of_the_prompt_is_read_in_any_case(*, rewinds: bool, reused: int) -> None:
    found = chosen(slot(0, [*LONG, 7, 8, 9]), rewinds=rewinds)
    assert found is not None
    assert found.reused == reused


TOKENS = st.lists(st.integers(0, 1), max_size=6)
STATES = st.lists(
    st.builds(
        lambda tokens, salt, **more: SlotState(
            id=0, salt=salt, tokens=pack_tokens(tokens if salt else []), **more
        ),
        TOKENS,
        st.sampled_from([None, "mine", "theirs"]),
        busy=st.booleans(),
        kept=st.booleans(),
        used_at=st.floats(0, 9),
    ),
    max_size=5,
).map(lambda states: [replace(one, id=at) for at, one in enumerate(states)])


@given(TOKENS, TOKENS)
def test_shared_tokens_are_those_of_a_naive_count(one: list[int], other: list[int]) -> None:
    pairs = zip(one, other, strict=False)
    naive = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    assert shared_tokens(pack_tokens(one), pack_tokens(other)) == naive


@given(STATES, TOKENS, st.integers(0, 6), st.booleans(), st.integers(0, ENOUGH * 2))
def test_choice_keeps_workspaces_apart_and_claims_no_more_than_is_held(
    states: list[SlotState], tokens: list[int], padding: int, rewinds: bool, snapshot_tokens: int
) -> None:
    head = list(range(10, 10 + ENOUGH)) if padding else []
    given_states = [
        replace(one, tokens=pack_tokens(head) + one.tokens) if one.salt else one for one in states
    ]
    prompt = pack_tokens([*head, *tokens, 5])
    found = choose_slot(
        given_states, "mine", prompt, snapshot_tokens=snapshot_tokens, rewinds=rewinds
    )
    free = {one.id: one for one in given_states if not one.busy}
    if found is None:
        assert not free
        return
    state = free[found.slot]
    assert found.erase == (state.salt == "theirs")
    assert prompt.startswith(state.tokens[: 4 * found.reused])
    assert found.reused < len(prompt) // 4
    if found.reused:
        assert state.salt == "mine"
        assert not found.restore
    if found.restore:
        assert snapshot_tokens > 0
    own = [one for one in free.values() if one.salt == "mine"]
    best = max((shared_tokens(one.tokens, prompt) for one in own), default=0)
    best = min(best, len(prompt) // 4 - 1)
    if rewinds and best >= max(ENOUGH, snapshot_tokens):
        assert found.reused == best
    if not rewinds and found.reused:
        assert prompt.startswith(state.tokens)
        assert found.reused * 4 == len(state.tokens)
