from typing import Any

import pytest

from antiphon.schemas.automata import matches
from antiphon.schemas.document import Document
from antiphon.schemas.languages import language_of, of_size, sizes
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
def test_language_combines_all_string_constraints(
    schema: Any, good: list[str], bad: list[str]
) -> None:
    document = Document(schema)
    of, unenforced = language_of(document, document.of(schema), ["forbidden"])
    assert not unenforced
    assert all(matches(of, text) for text in good)
    assert not any(matches(of, text) for text in [*bad, "forbidden"])


def test_unsupported_pattern_is_unenforced() -> None:
    document = Document({"pattern": "("})
    assert language_of(document, document.of(document.root), ()) == (REST, ("pattern",))


def test_sizes_have_their_own_language() -> None:
    document = Document({})
    some = document.of({"minLength": 1, "maxLength": 2.0})
    assert sizes(some.keywords) == (1, 2)
    assert [text for text in ("", "a", "ab", "abc") if matches(of_size(some), text)] == ["a", "ab"]
    assert of_size(document.of({})) == REST
    assert matches(of_size(document.of({"minLength": 2})), "a" * 9)
