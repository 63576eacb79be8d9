from typing import Any

import pytest

from antiphon.schemas.automata import matches
from antiphon.schemas.document import Document
from antiphon.schemas.languages import counted, language_of, sizes
from antiphon.schemas.regular import REST


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^a", "allOf": [{"pattern": "b$"}]}, ["ab", "axb"], ["a", "b", "ba"]),
        ({"format": "uuid"}, ["0" * 8 + "-0000" * 3 + "-" + "0" * 12], ["0"]),
        ({"format": "time"}, ["00:00:00Z"], ["00:00:00"]),
        ({"enum": ["a", "b", 1]}, ["a", "b"], ["1", "c"]),
        ({}, ["", "a", "forbidden?"], ["forbidden"]),
    ],
)
def test_language_is_of_all_that_is_asked(schema: Any, good: list[str], bad: list[str]) -> None:
    document = Document(schema)
    of, left = language_of(document, document.of(schema), ["forbidden"])
    assert not left
    assert all(matches(of, text) for text in good)
    assert not any(matches(of, text) for text in [*bad, "forbidden"])


def test_pattern_that_is_not_understood_is_named() -> None:
    document = Document({"pattern": "("})
    assert language_of(document, document.of(document.root), ()) == (REST, ("pattern",))


def test_lengths_are_a_language_of_their_own() -> None:
    document = Document({})
    some = document.of({"minLength": 1, "maxLength": 2.0})
    assert sizes(some.words) == (1, 2)
    assert [text for text in ("", "a", "ab", "abc") if matches(counted(some), text)] == ["a", "ab"]
    assert counted(document.of({})) == REST
    assert matches(counted(document.of({"minLength": 2})), "a" * 9)
