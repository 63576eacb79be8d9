from typing import Any

import pytest

from antiphon.schemas.alternatives import WAYS, Alternatives
from antiphon.schemas.check import fits
from antiphon.schemas.document import Document
from antiphon.schemas.steps import Steps
from antiphon.schemas.view import View


def ways(schema: Any, *, tight: bool = False) -> list[View]:
    document = Document(schema)
    return Alternatives(document, tight=tight).of(document.of(schema))


def unenforced(found: list[View]) -> set[str]:
    return {word for view in found for word in view.unenforced}


def values(found: list[View]) -> list[Any]:
    return [value for view in found for value in (view.values or {}).values()]


def rule(place: int, kind: str = "kind", *, required: bool = False) -> dict[str, Any]:
    """Make a condition: of one value of a property follows that another one is there."""
    when: dict[str, Any] = {"properties": {kind: {"const": place}}}
    if required:
        when["required"] = [kind]
    return {"if": when, "then": {"required": [f"p{place}"]}}


def kinds(count: int, **more: Any) -> dict[str, Any]:
    rules = [rule(place, **more) for place in range(count)]
    known = {"kind": {"enum": list(range(count))}}
    return {"type": "object", "properties": known, "allOf": rules}


def test_view_without_choices_is_its_own_way() -> None:
    document = Document({"type": "null"})
    view = document.of(document.root)
    assert Alternatives(document).of(view) == [view]
    nothing = document.of({"enum": [1], "const": 2})
    assert Alternatives(document).of(nothing) == []


def test_ways_are_found_once() -> None:
    document = Document({"anyOf": [{"type": "null"}, {"type": "string"}]})
    alternatives, view = Alternatives(document), document.of(document.root)
    assert alternatives.of(view) is alternatives.of(view)


def test_union_that_is_split_in_several_views_is_the_same_in_all() -> None:
    parts = [{"anyOf": [{"minimum": 1}, {"maximum": 0}]}, {"oneOf": [{"const": 1}, {"const": 0}]}]
    assert values(ways({"allOf": parts})) == [1, 0, 1, 0]


def test_ways_come_in_the_order_of_the_schema() -> None:
    schema = {
        "minimum": 1,
        "anyOf": [
            {"type": "null"},
            {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
            {"type": "array"},
        ],
    }
    assert [view.types for view in ways(schema)] == [
        ("null",),
        ("string",),
        ("boolean",),
        ("array",),
    ]
    assert all(view.words == {"minimum": 1} for view in ways(schema))


def test_way_that_plainly_fits_nothing_is_left_out() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "anyOf": [
            {"type": "null"},
            {"properties": {"a": {"const": 2}}, "required": ["a"]},
            {"required": ["a"]},
        ],
    }
    assert len(ways(schema)) == 1


def test_way_that_comes_back_to_itself_adds_nothing() -> None:
    assert [view.types for view in ways({"anyOf": [{"$ref": "#"}, {"type": "null"}]})] == [
        ("null",)
    ]
    assert ways({"anyOf": [{"$ref": "#"}]}) == []
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {
            "a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
            "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]},
        },
    }
    assert {view.types for view in ways(schema)} == {("null",), ("string",)}
    assert ways({"if": {"minimum": 1}, "then": {"$ref": "#"}, "else": {"$ref": "#"}}) == []


def test_way_is_the_same_view_wherever_it_is_chosen() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]},
            "b": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]},
        },
        "$defs": {"x": {"type": "object"}},
    }
    document = Document(schema)
    alternatives = Alternatives(document)
    parts = [document.part(document.of(schema), name) for name in "ab"]
    found = [view for part in parts for view in alternatives.of(part)]
    assert found[0] is found[3] is document.of(schema["$defs"]["x"])


def test_listed_values_are_those_that_fit_all_choices() -> None:
    assert values(ways({"enum": [1, 2, "a"], "anyOf": [{"minimum": 2}, {"type": "null"}]})) == [
        2,
        "a",
    ]
    assert values(ways({"const": 1, "oneOf": [{}, {"const": 2}]})) == [1]
    assert ways({"enum": [1], "oneOf": [{}, {}]}) == []


def test_constants_of_one_of_are_one_way_without_those_that_come_twice() -> None:
    parts: list[Any] = [{"const": 1}, {"enum": [2, 3], "title": "T"}, {"const": 2}, {"const": 4}]
    (found,) = ways({"oneOf": [*parts, {"enum": ["a", 5], "type": "string"}]})
    assert values([found]) == [1, 3, 4, "a"]
    assert ways({"oneOf": [{"const": 1}, {"const": 1}]}) == []


def test_way_of_one_of_is_without_what_others_list() -> None:
    schema = {"oneOf": [{"type": "string"}, {"enum": ["a", 1]}, {"type": "null"}]}
    listed, text, null = ways(schema)
    assert values([listed]) == [1]
    assert text.nots == ({"enum": ["a"]},)
    assert null.types == ("null",)


@pytest.mark.parametrize(
    ("parts", "unsure"),
    [
        ([{"type": "string"}, {"type": "null"}], False),
        ([{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}], True),
        ([{"type": "integer", "minimum": 1}, {"type": "number", "maximum": 3}], True),
        ([{"required": ["a"]}, {"required": ["b"]}], False),
        ([{"required": ["a"]}, {"required": ["b", "c"]}], True),
        ([{}, {"type": "null"}], False),
    ],
)
def test_ways_of_one_of_that_cannot_be_kept_apart_are_named(parts: Any, unsure: Any) -> None:
    assert (unenforced(ways({"oneOf": parts})) == {"oneOf"}) is unsure


def test_ways_that_a_property_tells_apart_are_not_compared_two_by_two() -> None:
    parts = [
        {"type": "object", "properties": {"kind": {"const": n}}, "required": ["kind"]}
        for n in range(300)
    ]
    document = Document({"oneOf": parts})
    found = Alternatives(document).of(document.of(document.root))
    assert len(found) == 300
    assert not unenforced(found)
    assert document.steps.taken < 10_000


def test_condition_that_is_decided_is_no_choice() -> None:
    known = {"type": "object", "properties": {"kind": {"const": 1}}, "required": ["kind"]}
    for place, needed in ((1, ("kind", "p1")), (2, ("kind",))):
        (found,) = ways({**known, **rule(place)})
        assert found.required == needed
    (found,) = ways({"type": "null", **rule(1, required=True), "else": {"type": "string"}})
    assert found.impossible is False
    assert found.types == ("null",)


def test_condition_has_a_way_for_each_thing_that_contradicts_it() -> None:
    found = ways({"type": "object", **rule(1, required=True), "else": {"required": ["e"]}})
    assert [view.required for view in found] == [("kind", "p1"), ("e",), ("kind", "e")]
    assert not unenforced(found)


def test_condition_whose_opposite_is_not_plain_is_named() -> None:
    schema = {"type": "object", "if": {"minProperties": 1}, "then": {"required": ["a"]}}
    then, otherwise = ways(schema)
    assert not then.unenforced
    assert otherwise.unenforced == {"if"}
    (tight,) = ways(schema, tight=True)
    assert not tight.unenforced
    assert tight.required == ("a",)


def test_dependent_schema_is_a_condition() -> None:
    schema = {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}, "c": True}}
    with_a, without = ways({**schema, "dependencies": {"a": ["d"]}})
    assert with_a.required == ("a", "b")
    assert without.required == ()
    (found,) = ways({**schema, "type": "string"})
    assert found.types == ("string",)


@pytest.mark.parametrize("required", [False, True])
def test_conditions_on_one_property_are_as_many_ways_as_it_has_values(required: Any) -> None:
    for count in (8, 16, 32):
        found = ways(kinds(count, required=required))
        # And one for an object without the property.
        assert len(found) == count + 1
        assert not unenforced(found)


def test_conditions_on_one_property_take_the_square_of_their_number() -> None:
    taken: list[int] = []
    for count in (12, 24, 48):
        document = Document(kinds(count), Steps(10**9))
        Alternatives(document).of(document.of(document.root))
        taken.append(document.steps.taken)
    assert taken[1] < 4.5 * taken[0]
    assert taken[2] < 4.5 * taken[1]


@pytest.mark.parametrize("word", ["anyOf", "if"])
def test_choices_that_multiply_are_left_to_the_check_beyond_some_number(word: str) -> None:
    parts: list[Any] = [
        {"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]}
        if word == "anyOf"
        else {"if": {"required": [f"a{n}"]}, "then": {"required": [f"b{n}"]}}
        for n in range(20)
    ]
    schema = {"type": "object", "allOf": parts}
    found = ways(schema)
    assert len(found) <= WAYS + len(parts)
    assert unenforced(found) == {word}
    tight = ways(schema, tight=True)
    assert not unenforced(tight)
    assert len(tight) <= WAYS + len(parts)
    if word == "anyOf":
        assert all(fits(dict.fromkeys(view.required, 1), schema) for view in tight)


def test_few_choices_are_all_made() -> None:
    parts = [{"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]} for n in range(6)]
    found = ways({"type": "object", "allOf": parts})
    assert len(found) == 2**6
    assert not unenforced(found)


def test_long_list_of_ways_is_no_product() -> None:
    assert len(ways({"anyOf": [{"minimum": n} for n in range(1000)]})) == 1000
