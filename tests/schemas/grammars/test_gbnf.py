import pytest

from antiphon.schemas.grammars.gbnf import (
    LARGEST,
    SHARE,
    TOTAL,
    Rules,
    either,
    literal,
    one_of,
    times,
)
from antiphon.schemas.steps import STEPS, TooComplexError
from support.gbnf import Grammar


def test_equal_bodies_share_one_name() -> None:
    rules = Rules()
    name = rules.add('"a" "b"')
    assert rules.add('"a" "b"') == name
    assert rules.add(name) == name
    assert len(rules) == 1
    assert rules.size == len('"a" "b"')


def test_grammar_contains_only_the_rules_that_it_needs() -> None:
    rules = Rules()
    rules.add('"unused"')
    used = rules.add('"used"')
    assert rules.text(f"{used} {used}") == 'root ::= r1 r1\nr1 ::= "used"\n'


@pytest.mark.parametrize(
    ("least", "most", "written"),
    [
        (0, 0, '""'),
        (1, 1, "r1"),
        (0, 1, "r1?"),
        (0, None, "r1*"),
        (2, None, "r1{2,}"),
        (2, 2, "r1{2}"),
        (2, 1, "r1{2}"),
        (1, 3, "r1{1,3}"),
    ],
)
def test_repetition_has_its_shortest_notation(least: int, most: int | None, written: str) -> None:
    assert times("r1", least, most) == written


def test_literals_and_classes_are_escaped() -> None:
    assert literal('a"\\\n') == '"a\\"\\\\\\n"'
    assert one_of([(97, 99), (93, 93)]) == "[a-c\\U0000005D]"
    assert either(["r1", "r1"]) == "r1"
    assert either(["r1", "r2"]) == "(r1 | r2)"


def test_text_runs_until_its_ending_and_the_rule_behind_it() -> None:
    rules = Rules()
    grammar = Grammar(rules.text(rules.until("<x>", '"!"', may_end=True)))
    assert all(map(grammar.allows, ("", "a", "<", "<<x", "a<x>!", "<<x>!")))
    assert not any(map(grammar.allows, ("<x>", "<x>a", "a<x>!b")))
    closed = Rules()
    grammar = Grammar(closed.text(closed.until("<x>", may_end=True)))
    assert grammar.allows("a<x")
    assert not grammar.allows("a<x>")


def test_schema_beyond_its_share_of_characters_raises_too_complex() -> None:
    rules = Rules()
    with pytest.raises(TooComplexError), rules.share():
        rules.add("x" * (SHARE + 1))
    with rules.share():
        rules.add("y" * (SHARE - 1))


def test_grammar_beyond_the_largest_size_raises_too_complex() -> None:
    rules = Rules()
    for char in "abcde":
        with rules.share():
            rules.add(char * (SHARE - 1))
    with pytest.raises(TooComplexError):
        rules.text(" ".join(f"r{n}" for n in range(5)))
    assert rules.size > LARGEST


def test_schemas_beyond_the_total_steps_raise_too_complex() -> None:
    rules = Rules()
    for _ in range(TOTAL // STEPS):
        assert not rules.is_spent
        with rules.share():
            rules.steps.take(STEPS)
    assert rules.is_spent
    with pytest.raises(TooComplexError), rules.share():
        rules.steps.take()


def test_text_that_begins_in_another_way_is_told_from_one_that_does_not() -> None:
    rules = Rules()
    rule = rules.unless("abc", rules.add('"!"'), rules.add("[a-z]*"))
    grammar = Grammar(rules.text(rule))
    for text in ("abc!", "", "a", "ab", "x", "ax", "abx", "aabc"):
        assert grammar.allows(text)
    for text in ("abc", "abcd", "abc!x", "ab!!"):
        assert not grammar.allows(text)
