import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.citations.sentences import LONGEST, cut, sentences

GRASS, SKY = "\u8349\u306f\u7dd1\u3002", "\u7a7a\u306f\u9752\u3002"
TEXTS = st.text(st.sampled_from('ab A1.!?\n\t")\u3002\u201d'), max_size=60)


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One", ["One"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("It is 3.5 m high. So.", ["It is 3.5 m high.", "So."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("Dr. Who met J. Smith, see Fig. 3. End.", ["Dr. Who met J. Smith, see Fig. 3.", "End."]),
        ("Is it Dr.? Yes.", ["Is it Dr.?", "Yes."]),
        ("1. The grass. 2. The sky.", ["1. The grass.", "2. The sky."]),
        ("In 1999. The end.", ["In 1999.", "The end."]),
        ("A title\n\nA line\nthat is wrapped", ["A title", "A line\nthat is wrapped"]),
        ("  One.\n\n\n  Two.  ", ["One.", "Two."]),
        (GRASS + SKY, [GRASS, SKY]),
        ("...", ["..."]),
        (" ... And on.", ["...", "And on."]),
    ],
)
def test_a_text_is_cut_into_its_sentences(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_line_ends_a_sentence_where_lines_do() -> None:
    assert cut("- one\n- two", 0, by_lines=True) == 6
    assert cut("- one\n- two", 0) is None


def test_a_text_without_sentences_is_cut_between_words() -> None:
    assert [len(part) for part in parts("word " * 1000)] == [1999, 1999, 999]
    assert [len(part) for part in parts("x" * (LONGEST + 1))] == [LONGEST, 1]
    assert [len(part) for part in parts("x" * LONGEST)] == [LONGEST]


def test_a_sentence_that_ends_beyond_the_longest_is_cut_before() -> None:
    text = "x" * 10 + " " + "y" * (LONGEST - 12) + "." + " " * 5 + "Then"
    assert parts(text)[0] == "x" * 10


@given(TEXTS)
def test_only_space_stands_outside_of_sentences(text: str) -> None:
    done = 0
    for start, end in sentences(text):
        assert text[done:start].strip() == ""
        assert text[start:end] == text[start:end].strip() != ""
        done = end
    assert text[done:].strip() == ""


@given(TEXTS, st.booleans())
def test_later_text_does_not_move_the_end_of_a_sentence(text: str, by_lines: bool) -> None:
    start = len(text) - len(text.lstrip())
    whole = cut(text, start, by_lines=by_lines)
    for length in range(len(text)):
        early = cut(text[:length], start, by_lines=by_lines)
        assert early is None if whole is None or length <= whole else early == whole
