"""Texts of any length, tokenized in stretches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.token_server.vocabulary import BRIEF, STRETCH, Vocabulary, stretches

pytestmark = pytest.mark.anyio


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.integers(1, 12))
def test_stretches_are_the_text_and_short(text: str, most: int) -> None:
    found = list(stretches(text, most))
    assert "".join(found) == text
    assert all(0 < len(one) <= most for one in found)


def test_text_is_cut_behind_lines_and_words() -> None:
    assert list(stretches("one two\nthree four", 12)) == ["one two\n", "three four"]
    assert list(stretches("one two three", 9)) == ["one two ", "three"]
    assert list(stretches("abcdefgh", 3)) == ["abc", "def", "gh"]
    assert list(stretches("\n\n\nabc", 1)) == ["\n", "\n", "\n", "a", "b", "c"]


async def test_long_text_is_tokenized_alike_on_the_loop_and_in_a_thread(
    vocabulary: Vocabulary,
) -> None:
    text = "the parrot and the sea.\n" * (STRETCH // 16)
    assert len(text) > max(BRIEF, STRETCH)
    tokens = await vocabulary.tokenize(text, control=False)
    assert tokens == vocabulary.tokens(text, control=False)
    assert vocabulary.text(tokens) == text


async def test_nothing_is_added_at_the_ends_of_a_model_that_wants_nothing(
    vocabulary: Vocabulary,
) -> None:
    assert list(await vocabulary.tokenize("", control=True, ends=True)) == []
