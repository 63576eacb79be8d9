"""Docstrings in three styles say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.sdk.json_types.docstrings import read_docstring

GOOGLE = """Look up the weather.

    Only cities are known:
    no villages.

    Args:
        city (str, optional): Where to look,
            as people write it.
        units: Either of
            - `celsius`
            - `kelvin`
        *rest: What is left.

    Returns:
        A sentence.

    Note:
        Slow at night.
    """
NUMPY = """Look up the weather.

    Parameters
    ----------
    city : str
        Where to look,
        as people write it.
    x, y : int
        Both of them.

    Returns
    -------
    str
        A sentence.

    Notes
    -----
    Slow at night.
    """
SPHINX = """Look up the weather.

    :param str city: Where to look,
        as people write it.
    :param units: Which ones.
    :type units: str
    :returns: A sentence.
    :raises KeyError: never

    Slow at night.
    """


def test_sections_with_a_colon_are_read() -> None:
    read = read_docstring(GOOGLE)
    assert read.parameters == {
        "city": "Where to look, as people write it.",
        "units": "Either of\n- `celsius`\n- `kelvin`",
        "rest": "What is left.",
    }
    assert read.description == (
        "Look up the weather.\n\nOnly cities are known:\nno villages.\n\nNote:\n    Slow at night."
    )


def test_underlined_sections_are_read() -> None:
    read = read_docstring(NUMPY)
    assert read.parameters == {
        "city": "Where to look, as people write it.",
        "x": "Both of them.",
        "y": "Both of them.",
    }
    assert read.description == "Look up the weather.\n\nNotes\n-----\nSlow at night."


def test_fields_are_read() -> None:
    read = read_docstring(SPHINX)
    assert read.parameters == {
        "city": "Where to look, as people write it.",
        "units": "Which ones.",
    }
    assert read.description == "Look up the weather.\n\nSlow at night."


@pytest.mark.parametrize("text", [None, "", "   \n "])
def test_absent_docstring_says_nothing(text: str | None) -> None:
    assert read_docstring(text).description == ""
    assert not read_docstring(text).parameters


def test_text_that_only_looks_like_a_section_stays() -> None:
    assert read_docstring("Args:\nnothing").description == "Args:\nnothing"
    assert read_docstring("See: this").description == "See: this"


@given(st.text(alphabet="Args:\n -x(*)`", max_size=60))
def test_no_text_fails(text: str) -> None:
    read_docstring(text)


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
WORDS = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=6)


@given(st.dictionaries(NAMES, WORDS.map(" ".join), min_size=1, max_size=4))
def test_the_three_styles_say_the_same(said: dict[str, str]) -> None:
    google = "Does it.\n\nArgs:\n" + "".join(f"    {k} (int): {v}\n" for k, v in said.items())
    numpy = "Does it.\n\nParameters\n----------\n" + "".join(
        f"{k} : int\n    {v}\n" for k, v in said.items()
    )
    sphinx = "Does it.\n\n" + "".join(f":param int {k}: {v}\n" for k, v in said.items())
    for text in (google, numpy, sphinx):
        assert read_docstring(text).parameters == said
        assert read_docstring(text).description == "Does it."
