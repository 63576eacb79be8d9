"""Counts in patterns of any number of digits, and patterns of names that are unsupported."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.automata import matches
from antiphon.schemas.check import first_error, fits
from antiphon.schemas.example import example
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.regular import FEW, REST, Not, Repeat, both, exactly, neither, widened
from antiphon.schemas.steps import Steps
from support.gbnf import Grammar


@pytest.mark.parametrize("most", [1001, 99_999, 100_000, 999_999, 10**12, int("9" * 300)])
def test_upper_limit_of_any_length_is_a_count(most: int) -> None:
    of = language(f"^[a-z]{{1,{most}}}$")
    assert matches(of, "abc")
    assert matches(of, "a" * 1001)
    assert not matches(of, "")
    assert not matches(of, f"a{{1,{most}}}")


def test_upper_limit_is_exact() -> None:
    of = language("^[a-z]{1,1500}$")
    assert matches(of, "a" * 1500)
    assert not matches(of, "a" * 1501)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "a{1001}",
            "a{1001,}",
            "a{100000}",
            "a{100000,}",
            "a{100000,100001}",
            "(a{9}){1000,9999}",
        ),
        "a{" + "9" * 1500 + "}",
        "a{100000,99999}",
    ],
)
def test_lower_limit_beyond_the_maximum_is_refused(pattern: str) -> None:
    with pytest.raises(PatternUnsupportedError, match="it repeats"):
        language(pattern)


@pytest.mark.parametrize("pattern", ["^a{1,x}$", "^a{,100000}$", "^a{100000$", "^a{1,100000$"])
def test_braces_without_a_count_are_characters(pattern: str) -> None:
    assert matches(language(pattern), pattern[1:-1])


def test_nested_large_counts_take_steps_for_the_text() -> None:
    steps = Steps(500_000)
    of = language("^(([a-z]{1,100000}-){0,100000}[0-9]{1,100000})$", steps)
    assert matches(of, "abc-" * 200 + "1", steps)


@pytest.mark.parametrize("limit", [300, 100_000])
def test_grammar_counts_less_where_it_would_be_too_large(limit: int) -> None:
    pattern = f"^[a-z]{{1,{limit}}}-[a-z]{{1,{limit}}}$"
    grammar = JsonGrammar(Rules(), {"type": "string", "pattern": pattern})
    rule = grammar.rule()
    assert rule is not None
    assert grammar.unenforced == {"pattern"}
    written = Grammar(grammar._rules.text(rule))
    assert written.allows('"abc-abc"')
    assert not written.allows('"abc"')
    assert not written.allows('"ABC-abc"')


def test_example_of_a_large_count_is_short() -> None:
    schema = {"type": "string", "pattern": "^[a-z]{2,100000}$"}
    assert fits(example(schema), schema)


@given(st.integers(0, 5), st.integers(0, 200), st.integers(0, 220))
def test_widened_language_contains_the_language(least: int, more: int, length: int) -> None:
    of = language(f"^(?:ab?){{{least},{least + more}}}|x{{0,{least + more}}}$")
    for text in ("a" * length, "ab" * length, "x" * length):
        assert matches(widened(of), text) >= matches(of, text)


def test_complement_is_not_widened() -> None:
    long = Repeat(exactly("a"), 0, FEW + 1)
    assert widened(long) == Repeat(exactly("a"), 0, None)
    assert widened(Repeat(exactly("a"), 0, FEW)) == Repeat(exactly("a"), 0, FEW)
    assert widened(neither(long)) == Not(long)
    assert widened(both(long, neither(exactly("b")))) == both(
        Repeat(exactly("a"), 0, None), neither(exactly("b"))
    )
    assert widened(REST) == REST


CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}


def test_name_may_match_an_unsupported_pattern() -> None:
    schema = CLOSED | {"patternProperties": {r"(a)\1": {"type": "null"}}}
    assert first_error({"aa": None}, schema) is None
    assert first_error({"b": 1}, schema) is None
    known = schema | {"properties": {"b": {"type": "string"}}}
    assert first_error({"b": 1}, known) == ".b: type"
    both_kinds = CLOSED | {"patternProperties": {r"(a)\1": {}, "^c": {"type": "null"}}}
    assert first_error({"c": 1}, both_kinds) == ".c: type"


def test_required_name_that_an_unsupported_pattern_may_match_has_an_input() -> None:
    schema = CLOSED | {"patternProperties": {r"(a)\1": {}}, "required": ["aa"]}
    grammar = JsonGrammar(Rules(), schema)
    assert grammar.rule() is not None
    assert fits(example(schema), schema)
