from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.automata import matches
from antiphon.schemas.regular import (
    ANY,
    EMPTY,
    NOTHING,
    REST,
    Alt,
    Chars,
    Language,
    both,
    cat,
    chars,
    either,
    exactly,
    inside,
    is_nullable,
    neither,
    outside,
    repeat,
    whole,
    widened,
)

TEXTS = st.text("abc", max_size=5)
LANGUAGES: st.SearchStrategy[Language] = st.recursive(
    st.one_of(TEXTS.map(exactly), st.just(ANY), st.just(NOTHING), st.just(chars([(97, 98)]))),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda several: cat(*several)),
        st.lists(parts, max_size=3).map(lambda several: either(*several)),
        st.tuples(parts, st.integers(0, 2), st.integers(2, 3) | st.none()).map(
            lambda drawn: repeat(*drawn)
        ),
    ),
    max_leaves=6,
)


def holds(of: Language, text: str) -> bool:
    return matches(whole(of), text)


@given(LANGUAGES, LANGUAGES, TEXTS)
def test_languages_combine_like_sets(one: Language, other: Language, text: str) -> None:
    assert holds(either(one, other), text) == (holds(one, text) or holds(other, text))
    a, b = whole(one), whole(other)
    assert matches(both(a, b), text) == (matches(a, text) and matches(b, text))
    assert matches(both(a, neither(b)), text) == (matches(a, text) and not matches(b, text))
    assert matches(neither(neither(a)), text) == matches(a, text)


@given(LANGUAGES, TEXTS, TEXTS)
def test_concatenation_matches_concatenated_texts(one: Language, before: str, after: str) -> None:
    if holds(one, after):
        assert holds(cat(exactly(before), one), before + after)
        assert holds(repeat(one, 2), after + after)


def test_trivial_terms_are_simplified() -> None:
    assert cat(exactly("a"), NOTHING) == NOTHING
    assert either() == NOTHING
    assert either(exactly("a"), REST) == REST
    assert both() == REST
    assert both(exactly("a"), NOTHING) == NOTHING
    assert both(both(whole(ANY), whole(exactly("a"))), REST) == both(
        whole(ANY), whole(exactly("a"))
    )
    assert neither(NOTHING) == REST
    assert neither(REST) == NOTHING
    assert repeat(NOTHING, 1) == NOTHING
    assert repeat(NOTHING) == EMPTY
    assert repeat(exactly("a"), 0, 0) == EMPTY
    assert repeat(EMPTY, 3) == EMPTY
    assert repeat(repeat(ANY), 2) == repeat(ANY)
    assert repeat(ANY, 1, 1) == ANY


def test_large_count_has_no_upper_limit_in_either_of_two_languages() -> None:
    counted = either(repeat(exactly("a"), 2, 5000), exactly("b"))
    wide = widened(counted)
    assert holds(wide, "a" * 5001)
    assert holds(wide, "b")
    assert not holds(wide, "a")


def test_characters_exclude_surrogates() -> None:
    assert inside([(0xD000, 0xDC00)]) == Chars(((0xD000, 0xD7FF),))
    assert inside([(0, 0x10FFFF)]) == ANY
    assert outside([(0, 0x10FFFF)]) == NOTHING
    assert exactly("\ud800") == NOTHING
    assert chars([(5, 9), (1, 4), (20, 20)]) == Chars(((1, 9), (20, 20)))


def test_only_languages_with_the_empty_text_are_nullable() -> None:
    assert not is_nullable(Alt(frozenset()))
    assert is_nullable(neither(exactly("a")))
    assert is_nullable(repeat(repeat(exactly("a")), 1))
    assert matches(REST, "anything")
    assert not matches(NOTHING, "a")
