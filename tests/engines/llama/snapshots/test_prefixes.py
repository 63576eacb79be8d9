from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llama.snapshots.prefixes import PrefixIndex, pack_tokens

TOKENS = st.lists(st.integers(0, 2), max_size=6).map(tuple)
SALTS = st.sampled_from(["a", "b"])


@given(st.dictionaries(st.tuples(SALTS, TOKENS), st.booleans()), SALTS, TOKENS)
def test_longest_is_that_of_a_naive_search(
    stored: dict[tuple[str, tuple[int, ...]], bool], salt: str, asked: tuple[int, ...]
) -> None:
    index: PrefixIndex[tuple[int, ...]] = PrefixIndex()
    for own, tokens in stored:
        index.add(own, pack_tokens(tokens), tokens)
    usable = {tokens for (own, tokens), alive in stored.items() if own == salt and alive}
    naive = [tokens for tokens in usable if asked[: len(tokens)] == tokens]
    found = index.longest(salt, pack_tokens(asked), lambda one: one in usable)
    assert found == max(naive, key=len, default=None)
    assert index.get(salt, pack_tokens(asked)) == (asked if (salt, asked) in stored else None)


@given(st.lists(st.tuples(SALTS, TOKENS, st.booleans())))
def test_removed_prefix_is_not_found(changes: list[tuple[str, tuple[int, ...], bool]]) -> None:
    index: PrefixIndex[int] = PrefixIndex()
    naive: dict[tuple[str, tuple[int, ...]], int] = {}
    for number, (salt, tokens, added) in enumerate(changes):
        if added:
            index.add(salt, pack_tokens(tokens), number)
            naive[salt, tokens] = number
        else:
            index.remove(salt, pack_tokens(tokens))
            naive.pop((salt, tokens), None)
        assert index.get(salt, pack_tokens(tokens)) == naive.get((salt, tokens))
    for salt, tokens in list(naive):
        index.remove(salt, pack_tokens(tokens))
    assert index._salts == {}


def test_equal_hash_is_not_trusted() -> None:
    """As after a collision: other tokens are stored under the hash of the prompt's."""
    index: PrefixIndex[str] = PrefixIndex()
    index.add("a", pack_tokens([1, 2]), "one")
    (same_length,) = index._salts["a"]._by_length.values()
    (hash_,) = same_length
    same_length[hash_] = (pack_tokens([1, 3]), "other")
    assert index.longest("a", pack_tokens([1, 2]), lambda _: True) is None
    assert index.get("a", pack_tokens([1, 2])) is None


@pytest.mark.parametrize("tokens", [[-1], [1, 2**32]])
def test_number_that_is_no_token_is_refused(tokens: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        pack_tokens(tokens)


def test_tokens_are_packed_alike_on_every_machine() -> None:
    assert pack_tokens([1, 2**32 - 1]) == b"\1\0\0\0\xff\xff\xff\xff"
