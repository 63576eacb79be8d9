import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.automata import matches
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.patterns import language
from support.gbnf import Grammar

NAMES = sorted(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_example_matches_its_format(name: str) -> None:
    form = FORMATS[name]
    assert re.fullmatch(form.pattern, form.example, re.ASCII)


@given(st.sampled_from(NAMES), st.integers(0, 10**6))
def test_grammar_output_matches_its_format(name: str, seed: int) -> None:
    form = FORMATS[name]
    text = Grammar(f"root ::= {form.rule}").draw(seed)
    assert re.fullmatch(form.pattern, text, re.ASCII)
    assert form.shortest <= len(text) <= form.longest


@given(st.sampled_from(NAMES), st.data())
def test_strict_pattern_matches_only_texts_of_its_format(name: str, data: st.DataObject) -> None:
    form = FORMATS[name]
    strict = form.strict or form.pattern
    text = data.draw(st.from_regex(re.compile(rf"\A(?:{strict})\Z", re.ASCII)))
    assert re.fullmatch(form.pattern, text, re.ASCII)
    assert matches(language(f"^(?:{strict})$"), text)
