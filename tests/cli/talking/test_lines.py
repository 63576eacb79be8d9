"""What a person types: one turn, of one line or several."""

import io

import pytest

from antiphon.cli.talking.lines import Lines, open_lines


def lines_of(*typed: str) -> Lines:
    left = list(typed)

    def read(_: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return Lines(read)


@pytest.mark.parametrize(
    ("typed", "turn"),
    [
        (["one line"], "one line"),
        (["one \\", "turn \\", "more"], "one \nturn \nmore"),
        (['"""', "first", "", "third", '"""'], "first\n\nthird"),
        (['"""', "the input ends"], "the input ends"),
        (["the input ends\\"], "the input ends\n"),
        (["pasted\nin one"], "pasted\nin one"),
    ],
)
def test_turn_has_one_line_or_several(typed: list[str], turn: str) -> None:
    assert lines_of(*typed).turn() == turn


def test_end_of_the_input_ends() -> None:
    with pytest.raises(EOFError):
        lines_of().turn()


def test_other_input_than_a_terminal_is_read_by_lines() -> None:
    lines = open_lines(io.StringIO("a\n\nlast"), io.StringIO())
    assert [lines.turn(), lines.turn(), lines.turn()] == ["a", "", "last"]
    with pytest.raises(EOFError):
        lines.turn()
