import json
from typing import Any

import pytest

from antiphon.schemas.check import fits
from antiphon.schemas.grammars.arrays import MOST, ORDERED, SHUFFLED
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from support.gbnf import Grammar

NULL = {"type": "null"}
ONE = {"const": 1}


def grammar(schema: Any, *, tight: bool = False) -> tuple[Grammar | None, set[str]]:
    rules = Rules()
    made = JsonGrammar(rules, {"type": "array", **schema}, tight=tight)
    rule = made.rule()
    return None if rule is None else Grammar(rules.text(rule)), made.unenforced


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"items": NULL}, [[], [None, None]], [[1]]),
        ({"items": NULL, "minItems": 1, "maxItems": 2}, [[None], [None, None]], [[], [None] * 3]),
        ({"items": False}, [[]], [[1]]),
        ({"items": False, "minItems": 1}, [], [[]]),
        ({"maxItems": 0}, [[]], [[1]]),
        ({"prefixItems": [ONE, NULL], "items": False}, [[1, None]], [[1, 2], [1, None, 1]]),
        ({"prefixItems": [ONE], "items": NULL}, [[1], [1, None]], [[None], [1, 1]]),
        ({"prefixItems": [ONE], "items": NULL, "maxItems": 2}, [[1, None]], [[1, None, None]]),
        ({"prefixItems": [ONE, False], "items": NULL}, [[1]], [[1, None]]),
        ({"prefixItems": [ONE, {"$ref": "#"}]}, [[1]], [[1, [1]]]),
        ({"items": [ONE], "additionalItems": NULL}, [[1, None]], [[None], [1, 1]]),
        ({"items": NULL, "allOf": [{"prefixItems": [True, ONE]}]}, [[None]], [[None, None]]),
        ({"contains": ONE, "items": {"type": "integer"}}, [[1], [1, 2]], [[], [2]]),
        ({"contains": ONE, "minContains": 2, "minItems": 3}, [[1, 1, 7]], [[1, 1], [1, 7, 1]]),
        ({"contains": ONE, "minContains": 0}, [[], [2]], []),
        ({"contains": ONE, "prefixItems": [NULL]}, [[None, 1], [None, 1, 2]], [[1], [None]]),
        ({"uniqueItems": True, "items": {"type": "boolean"}}, [[], [True, False], [False]],
         [[True, True]]),
        ({"uniqueItems": True, "items": {"type": ["boolean", "null"], "not": NULL}, "minItems": 2},
         [[True, False]], [[True], [None, True]]),
        ({"uniqueItems": True, "items": {"enum": [1, 2]}, "minItems": 3}, [], [[1, 2]]),
        ({"uniqueItems": True, "items": {"enum": [1, 2, "a"], "type": "integer"}},
         [[2, 1], [1]], [["a"], [1, 1]]),
        ({"uniqueItems": True, "items": {"enum": [*range(SHUFFLED + 1)]}, "maxItems": 3},
         [[0, 3, 6], []], [[1, 0], [1, 1], [0, 1, 2, 3]]),
        ({"uniqueItems": True, "items": {"enum": [*range(SHUFFLED + 2)]}, "minItems": SHUFFLED},
         [[*range(SHUFFLED)]], [[0, 1]]),
        ({"uniqueItems": True, "items": {"enum": [*range(SHUFFLED + 1)]}, "maxItems": 0},
         [[]], [[1]]),
        ({"uniqueItems": True, "maxItems": 1, "items": {"type": "string"}}, [["a"]], [["a", "b"]]),
        ({"uniqueItems": True, "items": False}, [[]], [[1]]),
    ],
    ids=str,
)  # fmt: skip
def test_array_grammar_allows_exactly_the_values_of_its_schema(
    schema: Any, good: list[Any], bad: list[Any]
) -> None:
    found, unenforced = grammar(schema)
    assert not unenforced
    assert (found is not None) is bool(good)
    whole = {"type": "array", **schema}
    assert all(fits(value, whole) for value in good)
    if found is not None:
        assert all(found.allows(json.dumps(value)) for value in good)
        assert not any(found.allows(json.dumps(value)) for value in bad)
        for seed in range(10):
            assert fits(json.loads(found.draw(seed)), whole)


@pytest.mark.parametrize(
    ("schema", "keywords"),
    [
        ({"items": NULL, "minItems": MOST + 1}, {"minItems", "maxItems"}),
        ({"items": NULL, "maxItems": MOST + 1}, {"minItems", "maxItems"}),
        ({"contains": ONE, "maxContains": 1}, {"contains"}),
        ({"contains": ONE, "minContains": MOST + 1}, {"contains"}),
        ({"contains": ONE, "maxItems": 1, "prefixItems": [NULL]}, {"contains"}),
        ({"contains": ONE, "allOf": [{"contains": NULL}]}, {"contains"}),
        ({"uniqueItems": True, "items": {"type": "string"}}, {"uniqueItems"}),
        ({"uniqueItems": True, "items": {"enum": [*range(ORDERED + 1)]}}, {"uniqueItems"}),
        ({"uniqueItems": True, "items": {"anyOf": [ONE, NULL]}}, {"uniqueItems"}),
        ({"uniqueItems": True, "items": {"type": ["null", "string"]}}, {"uniqueItems"}),
        ({"uniqueItems": True, "items": ONE, "contains": ONE}, {"uniqueItems"}),
        ({"unevaluatedItems": False}, {"unevaluatedItems"}),
    ],
    ids=str,
)
def test_unenforced_array_keywords_are_named(schema: Any, keywords: set[str]) -> None:
    found, unenforced = grammar(schema)
    assert found is not None
    assert unenforced == keywords


def test_tight_array_has_one_item_if_more_could_be_equal() -> None:
    schema = {"uniqueItems": True, "items": {"type": "string"}}
    found, unenforced = grammar(schema, tight=True)
    assert found is not None
    assert not unenforced
    assert found.allows('["a"]')
    assert not found.allows('["a", "b"]')
    found, unenforced = grammar({**schema, "minItems": 2, "maxItems": 3}, tight=True)
    assert found is not None
    assert unenforced == {"uniqueItems"}
    assert not found.allows('["a", "b", "c"]')
