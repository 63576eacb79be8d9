"""Random JSON schemas whose values end, for the tests of grammars."""

from typing import Any

from hypothesis import strategies as st

NAMES = st.text('abcdeXYZ_ é"\\\n<|', min_size=1, max_size=6)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-999, 999), st.text(max_size=8).filter(str.isprintable)
)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    formats = ["date", "time", "date-time", "uuid", "ipv4", "email", "duration"]
    return st.one_of(
        st.sampled_from([{"type": name} for name in ("integer", "number", "boolean", "null")]),
        st.integers(0, 6).map(lambda n: {"type": "string", "maxLength": n}),
        st.lists(SCALARS, min_size=1, max_size=4).map(lambda members: {"enum": members}),
        SCALARS.map(lambda value: {"const": value}),
        st.sampled_from([{"type": "string", "format": name} for name in formats]),
        st.integers(-20, 20).map(lambda n: {"type": "integer", "minimum": n, "maximum": n + 9}),
        st.just({"type": ["boolean", "null"]}),
        st.just({"$ref": "#/$defs/leaf"}),
    )


def objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def draw_object(draw: Any) -> dict[str, Any]:
        known = draw(st.dictionaries(NAMES, parts, max_size=4))
        required = [name for name in known if draw(st.booleans())]
        return {
            "type": "object",
            "properties": known,
            "required": required,
            "additionalProperties": False,
        }

    return draw_object()


def are_strangers(parts: list[dict[str, Any]]) -> bool:
    """Whether no property is spoken of twice: it may be required to be what nothing is."""
    names = [name for part in parts for name in part["properties"]]
    return len(set(names)) == len(names)


def composed(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(0, 1), st.integers(1, 3))
    return st.one_of(
        objects(parts),
        st.tuples(parts, bounds).map(
            lambda drawn: {
                "type": "array",
                "items": drawn[0],
                "minItems": drawn[1][0],
                "maxItems": drawn[1][1],
            }
        ),
        st.lists(parts, min_size=1, max_size=3).map(lambda ways: {"anyOf": ways}),
        st.lists(objects(leaves()), min_size=1, max_size=2)
        .filter(are_strangers)
        .map(lambda all_: {"allOf": all_}),
    )


@st.composite
def schemas(draw: Any) -> dict[str, Any]:
    """Draw a schema of an object, as tools and structured outputs have them."""
    schema = draw(objects(st.recursive(leaves(), composed, max_leaves=6)))
    return {**schema, "$defs": {"leaf": {"type": "string", "maxLength": 3}}}


PATTERNS = [
    "^[a-z]+$", "^[A-Z]{2}-[0-9]{3}$", "a", "^(red|green|blue)$", r"^\d{1,3}(\.\d{1,2})?$",
    r"^\S+$", "^$", r"^[^\s@]+@[^\s@]+$", "^(?!no).{2,}$", r"\.py$", "^é+$|^x", r'["\\]',
]  # fmt: skip
NUMBERS = st.one_of(st.integers(-(10**12), 10**12), st.decimals(-99, 99, places=2).map(float))
WORDS = st.sampled_from(["a", "b", "ab", "kind", "é", 'q"uote', "back\\slash"])


def strings() -> st.SearchStrategy[dict[str, Any]]:
    asked = {
        "minLength": st.integers(0, 4),
        "maxLength": st.integers(4, 40),
        "pattern": st.sampled_from(PATTERNS),
        "format": st.sampled_from(["date", "uuid", "email", "uri", "hostname", "ipv6", "time"]),
    }
    return _some(asked, {"type": "string"})


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    asked: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), NUMBERS
    )
    asked["multipleOf"] = st.sampled_from([1, 2, 3, 7, 10, 100, 1000, 0.5, 0.01, 0.25])
    kinds = st.sampled_from(["integer", "number"])
    return kinds.flatmap(lambda kind: _some(asked, {"type": kind}))


def wild_objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    asked = {
        "properties": st.dictionaries(WORDS, parts, max_size=3),
        "required": st.lists(WORDS, max_size=2, unique=True),
        "additionalProperties": st.one_of(st.booleans(), parts),
        "patternProperties": st.dictionaries(
            st.sampled_from(["^a", "b$", "^x-"]), parts, max_size=1
        ),
        "propertyNames": st.sampled_from([{"pattern": "^[a-zé]+$"}, {"maxLength": 4}, True]),
        "minProperties": st.integers(0, 3),
        "maxProperties": st.integers(2, 4),
        "dependentRequired": st.dictionaries(WORDS, st.lists(WORDS, max_size=2), max_size=1),
    }
    return _some(asked, {"type": "object"})


def wild_arrays(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    asked = {
        "items": parts,
        "prefixItems": st.lists(parts, min_size=1, max_size=2),
        "contains": parts,
        "minContains": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "minItems": st.integers(0, 3),
        "maxItems": st.integers(2, 4),
    }
    return _some(asked, {"type": "array"})


def wild(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=1, max_size=3)
    tagged = st.lists(WORDS, min_size=2, max_size=3, unique=True).map(_tagged)
    return st.one_of(
        wild_objects(parts),
        wild_arrays(parts),
        st.tuples(st.sampled_from(["anyOf", "oneOf", "allOf"]), several).map(
            lambda pair: dict([pair])
        ),
        tagged,
        st.tuples(parts, st.lists(SCALARS, min_size=1, max_size=2)).map(
            lambda drawn: {"allOf": [drawn[0]], "not": {"enum": drawn[1]}}
        ),
        st.tuples(WORDS, SCALARS, parts, parts).map(
            lambda drawn: {
                "type": "object",
                "if": {"properties": {drawn[0]: {"const": drawn[1]}}, "required": [drawn[0]]},
                "then": {"properties": {"then": drawn[2]}, "required": ["then"]},
                "else": {"properties": {"else": drawn[3]}},
                "properties": {drawn[0]: {"enum": [drawn[1], "other"]}},
            }
        ),
    )


def _tagged(names: list[str]) -> dict[str, Any]:
    """Make a union of objects that a property tells apart."""
    ways = [
        {
            "type": "object",
            "properties": {"kind": {"const": name}, name: True},
            "required": ["kind"],
        }
        for name in names
    ]
    return {"oneOf": ways}


def _some(
    asked: dict[str, st.SearchStrategy[Any]], always: dict[str, Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=asked).map(lambda some: always | some)


@st.composite
def wild_schemas(draw: Any) -> dict[str, Any]:
    """Draw a schema of an object that asks for anything that JSON Schema has words for."""
    leaf = st.one_of(leaves(), strings(), numbers(), st.booleans())
    schema = draw(wild_objects(st.recursive(leaf, wild, max_leaves=6)))
    return {**schema, "$defs": {"leaf": {"type": "string", "maxLength": 3}}}


def hostile_schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Draw what is a schema by its form, with words that mean nothing beside one another."""
    sizes = st.sampled_from([0, 1, 2.0, 3, 1000, 10**12, 1e308])
    bounds = st.sampled_from([0, -1, 0.5, -3.25, 1e308, 5e-324, 10**40, 7])
    values = st.one_of(SCALARS, st.just({"a": 1}), st.just([1, "a"]))
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(["object", "array", "string", "integer", ["number", "null"]]),
        "const": values,
        "enum": st.lists(values, min_size=1, max_size=3),
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/properties/a", "#/nowhere", "http://x"]),
        "required": st.lists(WORDS, max_size=2),
        "pattern": st.sampled_from([*PATTERNS, "(", "(a)\\1", "^[a-z]{3,90}$"]),
        "format": st.sampled_from(["date", "email", "duration", "unknown"]),
        "multipleOf": st.sampled_from([1, 3, 0.1, 1e-300, 1e308, 97]),
        "uniqueItems": st.booleans(),
        "dependentRequired": st.dictionaries(WORDS, st.lists(WORDS, max_size=2), max_size=2),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), bounds),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), sizes),
        **dict.fromkeys(("minContains", "maxContains", "minProperties", "maxProperties"), sizes),
    }

    def more(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        named = st.dictionaries(WORDS, parts, max_size=2)
        several = st.lists(parts, min_size=1, max_size=2)
        inner = {
            **dict.fromkeys(("properties", "$defs", "dependentSchemas"), named),
            **dict.fromkeys(("anyOf", "allOf", "oneOf", "prefixItems"), several),
            **dict.fromkeys(("items", "contains", "not", "if", "then", "else"), parts),
            **dict.fromkeys(("additionalProperties", "propertyNames"), parts),
            "patternProperties": st.dictionaries(words["pattern"], parts, max_size=2),
        }
        return several_of(words | inner)

    return st.recursive(several_of(words) | st.booleans(), more, max_leaves=4).filter(
        lambda schema: isinstance(schema, dict)
    )


def several_of(words: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    chosen = st.lists(st.sampled_from(sorted(words)), max_size=5, unique=True)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({name: words[name] for name in names})
    )
