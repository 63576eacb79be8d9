import json
from typing import Any

import pytest

from antiphon.schemas.document import Document
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.strings import MOST, TOO_LARGE, key, names_in, string, written
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import NOTHING, REST, chars, whole
from antiphon.schemas.steps import Steps
from support.gbnf import Grammar


def made(schema: Any, *forbidden: str) -> tuple[Grammar | None, tuple[str, ...]]:
    rules, document = Rules(), Document(schema)
    rule, left = string(rules, document, document.of(schema), forbidden)
    return None if rule is None else Grammar(rules.text(rule)), left


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
def test_strings_are_written_as_their_schema_has_them(
    schema: Any, good: list[str], bad: list[str]
) -> None:
    found, left = made(schema)
    assert not left
    if found is None:
        assert not good
        return
    assert all(found.allows(json.dumps(text, ensure_ascii=False)) for text in good)
    assert not any(found.allows(json.dumps(text, ensure_ascii=False)) for text in bad)


def test_forbidden_strings_are_left_out() -> None:
    found, left = made({"maxLength": 2}, "a", "bc")
    assert found is not None
    assert not left
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
def test_string_that_cannot_be_written_has_no_rule(schema: Any) -> None:
    assert made(schema) == (None, ())


@pytest.mark.parametrize(
    ("schema", "words"),
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
def test_what_is_not_kept_of_strings_is_named(schema: Any, words: set[str]) -> None:
    found, left = made(schema)
    assert found is not None
    assert {*left} == words


def test_language_that_needs_too_many_steps_is_too_large() -> None:
    rules = Rules()
    rules.automata = Steps(10)
    assert written(rules, language("^[a-z]{30}$")) == TOO_LARGE
    assert written(rules, language("^[a-z]{30}$")) == TOO_LARGE
    assert list(names_in(rules, language("^[a-z]{30}$"))) == []


def test_key_is_a_rule_of_a_name_if_there_is_one() -> None:
    rules = Rules()
    assert key(rules, REST) is not None
    assert key(rules, language("^a+$")) is not None
    assert key(rules, language("a.{30}$")) is None
    assert key(rules, NOTHING) is None
    assert key(rules, whole(chars([(0xD800, 0xD900)]))) is None


def test_names_of_a_language_are_short_ones_first() -> None:
    assert list(names_in(Rules(), language("^[ab]{0,2}$"))) == ["a", "b", "aa", "ab", "ba", "bb"]
