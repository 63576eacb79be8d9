from typing import Any

import pytest

from antiphon.schemas.alternatives import MOST_ALTERNATIVES, Alternatives
from antiphon.schemas.check import fits
from antiphon.schemas.document import Document
from antiphon.schemas.steps import Steps
from antiphon.schemas.view import View


def expand(schema: Any, *, tight: bool = False) -> list[View]:
    document = Document(schema)
    return Alternatives(document, tight=tight).of(document.of(schema))


def unenforced_in(found: list[View]) -> set[str]:
    return {keyword for view in found for keyword in view.unenforced}


def values(found: list[View]) -> list[Any]:
    return [value for view in found for value in (view.values or {}).values()]


def condition(number: int, kind: str = "kind", *, required: bool = False) -> dict[str, Any]:
    """Return a condition: one value of a property requires another property."""
    when: dict[str, Any] = {"properties": {kind: {"const": number}}}
    if required:
        when["required"] = [kind]
    return {"if": when, "then": {"required": [f"p{number}"]}}


def kinds(count: int, **more: Any) -> dict[str, Any]:
    rules = [condition(number, **more) for number in range(count)]
    base = {"kind": {"enum": list(range(count))}}
    return {"type": "object", "properties": base, "allOf": rules}


def test_view_without_choices_is_its_only_alternative() -> None:
    document = Document({"type": "null"})
    view = document.of(document.root)
    assert Alternatives(document).of(view) == [view]
    nothing = document.of({"enum": [1], "const": 2})
    assert Alternatives(document).of(nothing) == []


def test_alternatives_are_computed_once() -> None:
    document = Document({"anyOf": [{"type": "null"}, {"type": "string"}]})
    alternatives, view = Alternatives(document), document.of(document.root)
    assert alternatives.of(view) is alternatives.of(view)


def test_union_expands_alike_in_several_views() -> None:
    parts = [{"anyOf": [{"minimum": 1}, {"maximum": 0}]}, {"oneOf": [{"const": 1}, {"const": 0}]}]
    assert values(expand({"allOf": parts})) == [1, 0, 1, 0]


def test_alternatives_come_in_the_order_of_the_schema() -> None:
    schema = {
        "minimum": 1,
        "anyOf": [
            {"type": "null"},
            {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
            {"type": "array"},
        ],
    }
    assert [view.types for view in expand(schema)] == [
        ("null",),
        ("string",),
        ("boolean",),
        ("array",),
    ]
    assert all(view.keywords == {"minimum": 1} for view in expand(schema))


def test_impossible_alternative_is_dropped() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "anyOf": [
            {"type": "null"},
            {"properties": {"a": {"const": 2}}, "required": ["a"]},
            {"required": ["a"]},
        ],
    }
    assert len(expand(schema)) == 1


def test_branch_that_leads_back_to_its_choice_is_dropped() -> None:
    assert [view.types for view in expand({"anyOf": [{"$ref": "#"}, {"type": "null"}]})] == [
        ("null",)
    ]
    assert expand({"anyOf": [{"$ref": "#"}]}) == []
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {
            "a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
            "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]},
        },
    }
    assert {view.types for view in expand(schema)} == {("null",), ("string",)}
    assert expand({"if": {"minimum": 1}, "then": {"$ref": "#"}, "else": {"$ref": "#"}}) == []


def test_branch_is_the_same_view_wherever_it_is_chosen() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]},
            "b": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]},
        },
        "$defs": {"x": {"type": "object"}},
    }
    document = Document(schema)
    alternatives = Alternatives(document)
    parts = [document.property_view(document.of(schema), name) for name in "ab"]
    found = [view for part in parts for view in alternatives.of(part)]
    assert found[0] is found[3] is document.of(schema["$defs"]["x"])


def test_listed_values_are_reduced_to_those_that_fit_all_choices() -> None:
    assert values(expand({"enum": [1, 2, "a"], "anyOf": [{"minimum": 2}, {"type": "null"}]})) == [
        2,
        "a",
    ]
    assert values(expand({"const": 1, "oneOf": [{}, {"const": 2}]})) == [1]
    assert expand({"enum": [1], "oneOf": [{}, {}]}) == []


def test_constants_of_one_of_become_one_alternative_without_duplicates() -> None:
    parts: list[Any] = [{"const": 1}, {"enum": [2, 3], "title": "T"}, {"const": 2}, {"const": 4}]
    (found,) = expand({"oneOf": [*parts, {"enum": ["a", 5], "type": "string"}]})
    assert values([found]) == [1, 3, 4, "a"]
    assert expand({"oneOf": [{"const": 1}, {"const": 1}]}) == []


def test_branch_of_one_of_excludes_the_listed_values_of_others() -> None:
    schema = {"oneOf": [{"type": "string"}, {"enum": ["a", 1]}, {"type": "null"}]}
    listed, text, null = expand(schema)
    assert values([listed]) == [1]
    assert text.negated == ({"enum": ["a"]},)
    assert null.types == ("null",)


@pytest.mark.parametrize(
    ("parts", "uncertain"),
    [
        ([{"type": "string"}, {"type": "null"}], False),
        ([{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}], True),
        ([{"type": "integer", "minimum": 1}, {"type": "number", "maximum": 3}], True),
        ([{"required": ["a"]}, {"required": ["b"]}], False),
        ([{"required": ["a"]}, {"required": ["b", "c"]}], True),
        ([{}, {"type": "null"}], False),
    ],
)
def test_one_of_is_unenforced_if_branches_cannot_be_excluded(parts: Any, uncertain: Any) -> None:
    assert (unenforced_in(expand({"oneOf": parts})) == {"oneOf"}) is uncertain


def test_discriminated_branches_are_not_compared_pairwise() -> None:
    parts = [
        {"type": "object", "properties": {"kind": {"const": n}}, "required": ["kind"]}
        for n in range(300)
    ]
    document = Document({"oneOf": parts})
    found = Alternatives(document).of(document.of(document.root))
    assert len(found) == 300
    assert not unenforced_in(found)
    assert document.steps.taken < 10_000


def test_decided_condition_is_not_expanded() -> None:
    base = {"type": "object", "properties": {"kind": {"const": 1}}, "required": ["kind"]}
    for number, needed in ((1, ("kind", "p1")), (2, ("kind",))):
        (found,) = expand({**base, **condition(number)})
        assert found.required == needed
    (found,) = expand({"type": "null", **condition(1, required=True), "else": {"type": "string"}})
    assert found.impossible is False
    assert found.types == ("null",)


def test_condition_has_an_alternative_for_each_contradiction() -> None:
    found = expand({"type": "object", **condition(1, required=True), "else": {"required": ["e"]}})
    assert [view.required for view in found] == [("kind", "p1"), ("e",), ("kind", "e")]
    assert not unenforced_in(found)


def test_condition_without_negation_is_unenforced() -> None:
    schema = {"type": "object", "if": {"minProperties": 1}, "then": {"required": ["a"]}}
    then, otherwise = expand(schema)
    assert not then.unenforced
    assert otherwise.unenforced == {"if"}
    (tight,) = expand(schema, tight=True)
    assert not tight.unenforced
    assert tight.required == ("a",)


def test_dependent_schema_is_a_condition() -> None:
    schema = {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}, "c": True}}
    with_a, without = expand({**schema, "dependencies": {"a": ["d"]}})
    assert with_a.required == ("a", "b")
    assert without.required == ()
    (found,) = expand({**schema, "type": "string"})
    assert found.types == ("string",)


@pytest.mark.parametrize("required", [False, True])
def test_conditions_on_one_property_have_an_alternative_per_value(required: Any) -> None:
    for count in (8, 16, 32):
        found = expand(kinds(count, required=required))
        # Plus one for an object without the property.
        assert len(found) == count + 1
        assert not unenforced_in(found)


def test_conditions_on_one_property_take_quadratic_steps() -> None:
    taken: list[int] = []
    for count in (12, 24, 48):
        document = Document(kinds(count), Steps(10**9))
        Alternatives(document).of(document.of(document.root))
        taken.append(document.steps.taken)
    assert taken[1] < 4.5 * taken[0]
    assert taken[2] < 4.5 * taken[1]


@pytest.mark.parametrize("keyword", ["anyOf", "if"])
def test_choices_beyond_the_limit_are_left_to_the_check(keyword: str) -> None:
    parts: list[Any] = [
        {"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]}
        if keyword == "anyOf"
        else {"if": {"required": [f"a{n}"]}, "then": {"required": [f"b{n}"]}}
        for n in range(20)
    ]
    schema = {"type": "object", "allOf": parts}
    found = expand(schema)
    assert len(found) <= MOST_ALTERNATIVES + len(parts)
    assert unenforced_in(found) == {keyword}
    tight = expand(schema, tight=True)
    assert not unenforced_in(tight)
    assert len(tight) <= MOST_ALTERNATIVES + len(parts)
    if keyword == "anyOf":
        assert all(fits(dict.fromkeys(view.required, 1), schema) for view in tight)


def test_few_choices_are_all_expanded() -> None:
    parts = [{"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]} for n in range(6)]
    found = expand({"type": "object", "allOf": parts})
    assert len(found) == 2**6
    assert not unenforced_in(found)


def test_single_choice_may_have_many_branches() -> None:
    assert len(expand({"anyOf": [{"minimum": n} for n in range(1000)]})) == 1000
