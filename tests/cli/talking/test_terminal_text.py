"""Text of a model on a terminal: nothing controls it, and Markdown is shown however it is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.talking.terminal_text import MarkdownWriter, harmless

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def shown(*pieces: str, styled: bool = True) -> str:
    out: list[str] = []
    writer = MarkdownWriter(out.append, styled=styled)
    for piece in pieces:
        writer.feed(piece)
    writer.end()
    return "".join(out)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, with ünïcode and 👩‍🚀", "plain, with ünïcode and 👩‍🚀"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("windows\r\n", "windows\n"),
        ("clear \x1b[2J the screen", "clear \\x1b[2J the screen"),
        ("title \x9d0;x\x9c", "title \\x9d0;x\\x9c"),
        ("turned \u202e round", "turned \\u202e round"),
        ("bell\x07", "bell\\x07"),
    ],
)
def test_text_controls_no_terminal(text: str, safe: str) -> None:
    assert harmless(text) == safe


@pytest.mark.parametrize(
    ("text", "styled"),
    [
        ("a **bold** word", "a \x1b[1mbold\x1b[0m word"),
        ("call `f(x)` now", "call \x1b[36mf(x)\x1b[0m now"),
        ("# Title\ntext", "\x1b[1m# Title\x1b[0m\ntext"),
        ("### Third", "\x1b[1m### Third\x1b[0m"),
        ("**a `b` c**", "\x1b[1ma \x1b[36mb\x1b[0m\x1b[1m c\x1b[0m"),
        ("#hashtag", "#hashtag"),
        ("one #2", "one #2"),
        ("2 ** 3 is 8", "2 ** 3 is 8"),
        ("an *italic* word", "an *italic* word"),
        ("* a list", "* a list"),
        ("**never closed\nplain", "\x1b[1mnever closed\x1b[0m\nplain"),
        ("```py\nx = 2 ** 3 # `a`\n```\nend", "\x1b[36m```py\nx = 2 ** 3 # `a`\n```\x1b[0m\nend"),
        ("  ```\n  a\n  ```\n", "  \x1b[36m```\n  a\n  ```\x1b[0m\n"),
        ("```\nnever closed", "\x1b[36m```\nnever closed\x1b[0m"),
        ("``two``", "``two``"),
    ],
)
def test_markdown_is_shown(text: str, styled: str) -> None:
    assert shown(text) == styled


def test_plain_output_has_no_styles() -> None:
    assert shown("a **bold** \x1b[2J word", styled=False) == "a **bold** \\x1b[2J word"


MARKED = st.text(alphabet="ab *`#\n", max_size=60)


@given(MARKED, st.data())
def test_cuts_change_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert shown(*pieces) == shown(text)


@given(MARKED)
def test_only_the_marks_of_bold_and_code_are_replaced(text: str) -> None:
    def bare(said: str) -> str:
        return re.sub("[*`]", "", said)

    assert bare(STYLE.sub("", shown(text))) == bare(text)


@given(MARKED)
def test_no_style_goes_on_behind_an_answer(text: str) -> None:
    styles = STYLE.findall(shown(text))
    assert not styles or styles[-1] == "\x1b[0m"


def test_what_may_become_a_mark_waits_and_the_rest_does_not() -> None:
    out: list[str] = []
    writer = MarkdownWriter(out.append, styled=True)
    writer.feed("word *")
    assert "".join(out) == "word "
    writer.feed("* 3")
    assert "".join(out) == "word ** 3"
