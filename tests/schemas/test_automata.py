import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.automata import Automaton, matches, shortest, texts
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import (
    ANY,
    EMPTY,
    END,
    NOTHING,
    REST,
    Language,
    both,
    cat,
    chars,
    derive,
    either,
    exactly,
    is_nullable,
    neither,
    repeat,
    whole,
)
from antiphon.schemas.steps import Steps, TooComplexError

TEXTS = st.text("abc", max_size=5)
LANGUAGES: st.SearchStrategy[Language] = st.recursive(
    st.one_of(TEXTS.map(exactly), st.just(ANY), st.just(NOTHING), st.just(chars([(97, 98)]))),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda several: cat(*several)),
        st.lists(parts, max_size=3).map(lambda several: either(*several)),
        st.lists(parts, min_size=1, max_size=3).map(lambda several: both(*several)),
        parts.map(neither),
        st.tuples(parts, st.integers(0, 2), st.integers(2, 3) | st.none()).map(
            lambda drawn: repeat(*drawn)
        ),
    ),
    max_leaves=8,
)


@given(LANGUAGES, TEXTS)
def test_automaton_agrees_with_derivatives(one: Language, text: str) -> None:
    state = whole(one)
    automaton = Automaton(state)
    at: int | None = automaton.start
    for char in text:
        state = derive(state, ord(char))
        leads = [
            to
            for to, spans in ([] if at is None else automaton.moves(at))
            if any(low <= ord(char) <= high for low, high in spans)
        ]
        assert len(leads) <= 1
        at = leads[0] if leads else None
    assert (at is not None and automaton.accepts(at)) == is_nullable(derive(state, END))
    assert matches(whole(one), text) == is_nullable(derive(state, END))


@given(LANGUAGES)
def test_moves_have_disjoint_spans_without_surrogates(one: Language) -> None:
    automaton = Automaton(whole(one))
    spans = sorted(span for _, found in automaton.moves(automaton.start) for span in found)
    assert all(low <= high for low, high in spans)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))
    assert all(not 0xD800 <= low < 0xE000 for low, _ in spans)


def states(of: Language, steps: Steps) -> int:
    automaton = Automaton(of, steps)
    known, waiting = {automaton.start}, [automaton.start]
    while waiting:
        new = {to for to, _ in automaton.moves(waiting.pop())} - known
        known |= new
        waiting.extend(new)
    return len(known)


def test_unanchored_pattern_takes_steps_linear_in_its_states() -> None:
    steps = Steps()
    assert states(language("[a-z]{400}"), steps) == 401
    assert steps.taken < 200_000


def test_automaton_beyond_its_steps_raises_too_complex() -> None:
    steps = Steps(10_000)
    with pytest.raises(TooComplexError):
        states(language("^" + "(a?b?)" * 300 + "$"), steps)
    assert steps.taken < 20_000
    with pytest.raises(TooComplexError):
        Automaton(exactly("a"), steps)


def test_texts_of_a_language_come_shortest_first() -> None:
    assert list(texts(Automaton(language("^[ab]?c$")))) == ["c", "ac", "bc"]
    assert list(texts(Automaton(language("^[A-Z]$")), tries=1)) == []
    assert list(texts(Automaton(language("^[A-Z]$")))) == ["A"]


def test_shortest_text_of_a_language_is_found_at_any_length() -> None:
    assert shortest(Automaton(language("^[a-z]{300}$"))) == "a" * 300
    assert shortest(Automaton(language("^(ab|c)*d$"))) == "d"
    assert shortest(Automaton(language("^(ab|c)*d$")), states=1) is None
    assert shortest(Automaton(NOTHING)) is None


def test_matching_takes_a_step_for_each_character() -> None:
    steps = Steps(1000)
    assert matches(language("^a*$"), "a" * 500, steps)
    with pytest.raises(TooComplexError):
        matches(language("^a*$"), "a" * 500, steps)


def test_universal_and_empty_languages_match_all_and_nothing() -> None:
    assert matches(REST, "anything")
    assert not matches(NOTHING, "a")
    assert matches(neither(NOTHING), "a")
    assert matches(EMPTY, "") is False
    assert matches(whole(EMPTY), "")
    assert not matches(whole(ANY), "\ud800")


def test_complement_excludes_a_prefix() -> None:
    of = whole(cat(neither(cat(exactly("a"), REST)), exactly("b")))
    assert matches(of, "cb")
    assert not matches(of, "ab")
