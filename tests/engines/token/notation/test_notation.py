from antiphon.engines.token.notation.notation import (
    COUNT,
    IDENTIFIER,
    NEXT_IDENTIFIER,
    Call,
    Match,
    Notation,
    match,
)
from support.elements import QUOTED

LISTED = Notation(
    opening="<calls>",
    lead=f"[{COUNT}",
    middle="(",
    separator=f") {IDENTIFIER}, {NEXT_IDENTIFIER} {COUNT}",
    closing=f") {IDENTIFIER}]</calls>",
)
CALLS = (Call("a", {"n": 1}, "x", 0), Call("b", {}, "y", 1), Call("c", {}, "z", 2))


def test_calls_of_a_section_are_written_with_their_numbers_and_identifiers() -> None:
    assert LISTED.write(CALLS[0]) == '<calls>[0a({"n": 1}) x]</calls>'
    assert LISTED.write(*CALLS) == '<calls>[0a({"n": 1}) x, y 1b({}) y, z 2c({}) z]</calls>'


def test_calls_of_their_own_have_a_gap_between_them() -> None:
    own = Notation(opening="<c>", lead="", middle=" ", closing="</c>", gap="\n")
    assert own.write(*CALLS[:2]) == '<c>a {"n": 1}</c>\n<c>b {}</c>'


def test_slots_match_any_number_or_identifier() -> None:
    closing = LISTED.closing
    assert match(") toolu_1]</calls>!", 0, closing) == Match(18, identifier="toolu_1")
    assert match(") toolu_1]</ca", 0, closing) == Match(None, open=True)
    assert match(")", 0, closing) == Match(None, open=True)
    assert match(") ", 0, closing) == Match(None, open=True)
    assert match(") ]", 0, closing) == Match(None)
    assert match("] x", 0, closing) == Match(None)
    assert match("x) a]</calls>", 1, closing) == Match(13, identifier="a")
    between = match(") one, two 1", 0, LISTED.separator or "")
    assert (between.identifier, between.following) == ("one", "two")


def test_number_of_the_first_call_may_be_another() -> None:
    counted = Notation(opening="<c>", lead="", middle=f":{COUNT} ", closing="</c>", first_number=1)
    assert counted.write(*CALLS[:2]) == '<c>a:1 {"n": 1}</c><c>b:2 {}</c>'


def test_marks_are_all_texts_that_may_be_control_tokens() -> None:
    marks = Notation(
        opening="[CALL]",
        lead='\n<｜DS｜invoke name="',  # noqa: RUF001 - marks have a wide bar
        middle="<|args|>",
        closing="</invoke>\n</calls>",
        elements=QUOTED,
    ).marks
    wide = {"<｜DS｜invoke", "｜DS｜"}  # noqa: RUF001
    wanted = {"[CALL]", "<|args|>", "</invoke>", "</invoke>\n", "</calls>", '<|"|>'} | wide
    assert wanted <= set(marks)
    assert "" not in marks
