import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.citations.marks import MOST, Mark, MarkScanner, mark, tokens

PARTS = st.sampled_from(
    [
        *(" ", "a", ".", "[", "]", "[source", "[source 1", "[source 1]", " [source 2]", ", 2]"),
        *("[sources 1", " and 3]", "[source code]", "[source N]", "[Source 1-3]", "  ", "\n"),
    ]
)


def joined(said: list[str | Mark]) -> list[str | Mark]:
    """Texts that follow each other, in one."""
    whole: list[str | Mark] = []
    for one in said:
        if whole and isinstance(one, str) and isinstance(whole[-1], str):
            whole[-1] += one
        elif one != "":
            whole.append(one)
    return whole


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[source 3]", (3,)),
        ("[Source 3]", (3,)),
        ("[sources 3, 5]", (3, 5)),
        ("[source 3,5;7]", (3, 5, 7)),
        ("[sources 3 and 5]", (3, 5)),
        ("[source 3, and source 5]", (3, 5)),
        ("[source 3 5]", (3, 5)),
        ("[source 3-5]", (3, 4, 5)),
        ("[source 3 \u2013 5]", (3, 4, 5)),
        ("[source 5-3]", ()),
        (mark(12), (12,)),
    ],
)
def test_a_mark_names_its_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert list(tokens(f"Green{text}.")) == ["Green", Mark(numbers), "."]


@pytest.mark.parametrize(
    "text",
    [
        "[source]",
        "[source N]",
        "[source code]",
        "[3]",
        "source 3",
        "[source 3",
        "[source -3]",
        "[[]",
    ],
)
def test_text_that_resembles_a_mark_stays_text(text: str) -> None:
    assert list(tokens(text)) == [text]


def test_the_space_before_a_mark_is_a_part_of_it() -> None:
    assert list(tokens("Green [source 1]. Blue  [source 2]")) == [
        *("Green", Mark((1,)), ". Blue ", Mark((2,))),
    ]


def test_mark_with_a_huge_range_is_cut_to_the_maximum() -> None:
    (said,) = tokens("[source 1-9999999, 2000000]")
    assert isinstance(said, Mark)
    assert said.numbers == tuple(range(1, MOST + 1))


@given(st.lists(PARTS, max_size=12))
def test_marks_are_found_wherever_the_text_is_cut(parts: list[str]) -> None:
    scanner = MarkScanner()
    said = [one for part in parts for one in scanner.feed(part)]
    text = "".join(parts)
    assert joined([*said, scanner.flush()]) == joined(list(tokens(text)))
    characters = MarkScanner()
    said = [one for character in text for one in characters.feed(character)]
    assert joined([*said, characters.flush()]) == joined(list(tokens(text)))


def test_text_that_cannot_become_a_mark_is_not_held_back() -> None:
    scanner = MarkScanner()
    assert list(scanner.feed("a [source ")) == ["a"]
    assert list(scanner.feed("x" * 600)) == [" [source " + "x" * 600]
    assert scanner.flush() == ""
