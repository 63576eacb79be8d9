import json
from typing import Any

import pytest

from antiphon.schemas.document import Document
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.strings import (
    MOST,
    TOO_LARGE,
    language_rule,
    name_rule,
    names_in,
    string,
)
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import NOTHING, REST, chars, whole
from antiphon.schemas.steps import Steps
from support.gbnf import Grammar


def string_grammar(schema: Any, *forbidden: str) -> tuple[Grammar | None, tuple[str, ...]]:
    rules, document = Rules(), Document(schema)
    rule, unenforced = string(rules, document, document.of(schema), forbidden)
    return None if rule is None else Grammar(rules.text(rule)), unenforced


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({}, ["", "a", 'q"', "\\", "\n", "é", "😀"], []),
        ({"minLength": 1, "maxLength": 2}, ["a", "ab"], ["", "abc"]),
        ({"pattern": "^[a-c]+$"}, ["abc"], ["", "d"]),
        ({"pattern": "^[a-c]+$", "maxLength": 2}, ["ab"], ["abc"]),
        ({"pattern": '^["\\\\\\n]$'}, ['"', "\\", "\n"], ["n"]),
        ({"format": "date"}, ["2024-02-28"], ["2024-02-31", "x"]),
        ({"format": "date", "maxLength": 10}, ["2024-02-28"], []),
        ({"format": "email", "maxLength": 8}, ["a@b.de"], ["abcde@fg.hi"]),
        ({"format": "uuid", "pattern": "^0"}, ["0" * 8 + "-0000" * 3 + "-" + "0" * 12], ["0"]),
        ({"format": "date", "allOf": [{"format": "hostname"}]}, [], ["2024-02-28"]),
        ({"format": "color"}, ["anything"], []),
    ],
)
def test_string_grammar_allows_exactly_the_values_of_its_schema(
    schema: Any, good: list[str], bad: list[str]
) -> None:
    found, unenforced = string_grammar(schema)
    assert not unenforced
    if found is None:
        assert not good
        return
    assert all(found.allows(json.dumps(text, ensure_ascii=False)) for text in good)
    assert not any(found.allows(json.dumps(text, ensure_ascii=False)) for text in bad)


def test_forbidden_strings_are_excluded() -> None:
    found, unenforced = string_grammar({"maxLength": 2}, "a", "bc")
    assert found is not None
    assert not unenforced
    assert [text for text in ("", "a", "b", "bc", "cb") if found.allows(json.dumps(text))] == [
        *("", "b", "cb")
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": 3, "maxLength": 2},
        {"pattern": "^a$", "minLength": 2},
        {"pattern": "^\x00$", "maxLength": 1},
    ],
)
def test_string_without_values_has_no_rule(schema: Any) -> None:
    assert string_grammar(schema) == (None, ())


@pytest.mark.parametrize(
    ("schema", "keywords"),
    [
        ({"minLength": MOST + 1}, {"minLength"}),
        ({"maxLength": MOST + 1}, {"maxLength"}),
        ({"pattern": "("}, {"pattern"}),
        ({"pattern": "(", "maxLength": 3}, {"pattern"}),
        ({"pattern": "^[a-z]+$", "minLength": 900}, {"minLength", "maxLength"}),
        ({"pattern": "a.{30}$"}, {"pattern"}),
        ({"pattern": "a.{30}$", "format": "uri", "maxLength": 90},
         {"pattern", "format", "minLength", "maxLength"}),
    ],
)  # fmt: skip
def test_unenforced_string_keywords_are_named(schema: Any, keywords: set[str]) -> None:
    found, unenforced = string_grammar(schema)
    assert found is not None
    assert {*unenforced} == keywords


def test_language_beyond_the_steps_is_too_large() -> None:
    rules = Rules()
    rules.automata = Steps(10)
    assert language_rule(rules, language("^[a-z]{30}$")) == TOO_LARGE
    assert language_rule(rules, language("^[a-z]{30}$")) == TOO_LARGE
    assert list(names_in(rules, language("^[a-z]{30}$"))) == []


def test_name_rule_is_none_without_names_or_with_a_large_automaton() -> None:
    rules = Rules()
    assert name_rule(rules, REST) is not None
    assert name_rule(rules, language("^a+$")) is not None
    assert name_rule(rules, language("a.{30}$")) is None
    assert name_rule(rules, NOTHING) is None
    assert name_rule(rules, whole(chars([(0xD800, 0xD900)]))) is None


def test_names_of_a_language_come_shortest_first() -> None:
    assert list(names_in(Rules(), language("^[ab]{0,2}$"))) == ["a", "b", "aa", "ab", "ba", "bb"]
