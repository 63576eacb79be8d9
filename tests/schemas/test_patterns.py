import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.automata import matches
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.regular import NOTHING

ATOMS = [
    "a",
    "b",
    "c",
    ".",
    "[ab]",
    "[^a]",
    "[a-c]",
    r"\d",
    r"\W",
    "1",
    "-",
    r"\.",
    "(?:ab)",
    r"\s",
    "(?:^|a)",
    "(b|$)",
]
pieces = st.tuples(
    st.sampled_from(ATOMS), st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?"])
).map("".join)
sequences = st.recursive(
    st.lists(pieces, max_size=3).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(inner, inner).map("".join),
        inner.map("(?P<name>{})?".format),
    ),
    max_leaves=4,
)
patterns = st.tuples(
    st.sampled_from(["", "^", "^^", "(?=a)", "^(?!b)", "^(?!^ab)", "(?=^a|b$)"]),
    sequences,
    st.sampled_from(["", "$", "$$", "($|b)c*(?:^)?$"]),
).map("".join)


@given(patterns, st.lists(st.text("abc1-. ", max_size=5), max_size=8))
def test_pattern_matches_like_python(pattern: str, texts: list[str]) -> None:
    known = pattern.count("(?P<name>")
    for index in range(known):
        pattern = pattern.replace("(?P<name>", f"(?P<n{index}>", 1)
    twin = re.compile(pattern, re.ASCII)
    of = language(pattern)
    for text in texts:
        assert matches(of, text) == (twin.search(text) is not None), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("", ["", "a"], []),
        ("^$", [""], ["a"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx"]),
        ("(^a)|(b$)", ["ax", "xb"], ["xa"]),
        (r"\Aa\Z", ["a"], ["ab", "ba", "a\n"]),
        (r"a\z", ["ba"], ["ab"]),
        ("^.$", ["a", "é", "😀"], ["", "\n", "\u2028"]),
        (r"^[\w.-]+$", ["a-b.c_D9"], ["a b", "é"]),
        (r"^[^\s\d]$", ["a"], [" ", "7"]),
        (r"^[\D]$", ["a"], ["7"]),
        (r"^[\b\t\x41\u0042\u{43}]$", ["\b", "\t", "A", "B", "C"], ["b", "D"]),
        (r"^\x41\u0042\u{1F600}\/\$$", ["AB😀/$"], ["AB"]),
        ("^[]-a]$", [], ["-", "]"]),
        (r"^[\]\-a-]$", ["]", "-", "a"], ["b"]),
        ("^[a-]$", ["a", "-"], ["b"]),
        (r"^[\d-x]$", ["5", "-", "x"], ["e"]),
        ("^a{,2}$", ["a{,2}"], ["a", "aa"]),
        ("^a{x}$", ["a{x}"], ["a"]),
        ("^a{$", ["a{"], []),
        ("^a{2,3}?b{2,}$", ["aabb", "aaabbb"], ["abb", "aab"]),
        ("^(?<name>a)(?:b)c$", ["abc"], []),
        ("^()*a(b{0})+$", ["a"], ["ab"]),
        ("^((a)+)+$", ["aaa"], [""]),
        ("(?!.*x)^a", ["ab"], ["ax", "b"]),
        ("^(?=.*[a-z])(?=.*[0-9]).{3,}$", ["a1b"], ["abc", "a1"]),
        ("[^]", ["a"], [""]),
        # Anchors read no character: any number of them may hold at one position.
        ("^^a", ["a"], ["ba"]),
        ("a$$", ["a"], ["ab"]),
        ("^(^a|b)b$", ["ab", "bb"], ["b", "aab"]),
        ("^(?:^a|b)c$", ["ac", "bc"], ["aac"]),
        ("^(?!^ab).*$", ["b", "ba", ""], ["ab", "abc"]),
        (r"^(?!^lucene\.).*", ["x"], ["lucene.custom"]),
        ("(?=^ab)ab", ["ab"], ["bab"]),
        ("(?!$)", ["a"], [""]),
        ("(?!^)(?:$)?", ["a"], [""]),
        ("a(?=^b)", [], ["ab"]),
        ("a?(?=^b)b", ["bc"], ["ab"]),
        ("(^|x){2}a", ["a", "xa", "xxa", "bxxa"], ["bxa", "ba"]),
        ("^($|a){2}$", ["", "a", "aa"], ["aaa", "b"]),
        ("^(^|x){2,}$", ["", "x", "xxx"], ["a"]),
        ("(a$|b)c", ["bc"], ["ac"]),
        ("a^b", [], ["ab"]),
        ("(^){0}a", ["ba"], []),
        ("(a|$)b?^", [""], ["x", "a"]),
        ("(a$)*b", ["b", "ab"], ["a"]),
        ("(a$){0,1}b", ["b", "ab"], ["a"]),
    ],
)
def test_pattern_matches_like_ecmascript(pattern: str, good: list[str], bad: list[str]) -> None:
    of = language(pattern)
    assert all(matches(of, text) for text in good)
    assert not any(matches(of, text) for text in bad)


def test_empty_set_matches_nothing() -> None:
    assert language("a[]b") == NOTHING


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(a)\1", r"\bword\b", r"\p{L}", "(?<=a)b", "(?<!a)b", "(?i)a", "a(?=b", "((?=a)b)"),
        *("(", ")", "a)", "(a", "[a", "*", "+a", "a**", "?", "\\", "[z-a]", r"[a-\d]", "(?P<name"),
        *("a{3,2}", "a{1001}", "(a{100}){100}", "(?:a{11}){1,100}", r"\x4", r"\u12", r"\u{}"),
        *(r"\u{110000}", r"\ud800", r"\u{zz}", "(" * 50 + ")" * 50, "a" * 2001, "(?=a)*"),
        "^(?=a)" * 41,
    ],
)
def test_unsupported_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternUnsupportedError):
        language(pattern)


def test_nested_repetition_matches_without_backtracking() -> None:
    assert not matches(language("^(a+)+$"), "a" * 5000 + "b")
