from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.names import folded, is_readable

FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


@pytest.mark.parametrize(
    "name",
    [
        "k",
        "田中\u3000太郎",
        "👨\u200d👩\u200d👧",
        "Projet\u00a0A",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "❤\ufe0f",
        "e\u0301",
        "thin\u2009space\u202fhere",
        "\ue000",  # of private use
        "\U0001fae9",  # newer than the tables of some Pythons
        " both ends ",
    ],
)
def test_text_without_control_characters_is_readable(name: str) -> None:
    assert is_readable(name)


@pytest.mark.parametrize(
    "char",
    [
        *("\x00", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "\udfff"),
        *("\u200b", "\u200e", "\u202e", "\u2066", "\ufeff", "\u00ad", "\U000e0001", "\u2060"),
    ],
    ids=ascii,
)
def test_control_character_makes_a_name_unreadable(char: str) -> None:
    for name in (char, f"a{char}", f"{char}a", f"a{char}b"):
        assert not is_readable(name)


@pytest.mark.parametrize(
    "name", ["", " ", "\u3000", "\u00a0 ", "\u200d", " \u200c\u200d", "\U000e0067"]
)
def test_name_of_blanks_is_unreadable(name: str) -> None:
    assert not is_readable(name)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_letters_numbers_and_signs_are_readable(name: str) -> None:
    assert is_readable(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ärzte", "äRZTE"),
        ("STRASSE", "straße"),
        ("e\u0301t", "ÉT"),
        ("ﬁn", "FIN"),
        ("a", "a"),
        ("ΐ", "ΐ".upper()),
        ("ῷ", "ῷ".upper()),
    ],
)
def test_name_is_compared_without_case_and_spelling(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_every_spelling_of_a_name_is_folded_alike(name: str) -> None:
    assert {folded(normalize(form, name)) for form in FORMS} == {folded(name)}


def test_every_case_of_a_letter_is_folded_alike() -> None:
    apart = [one for one in map(chr, range(0x20000)) if folded(one.upper()) != folded(one)]
    # Its upper letter is another's.
    assert apart == ["\N{LATIN SMALL LETTER DOTLESS I}"]


def test_other_letters_stay_different() -> None:
    assert folded("Ärzte") != folded("Arzte")
