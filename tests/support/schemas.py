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
        st.lists(objects(leaves()), min_size=1, max_size=2).map(lambda all_: {"allOf": all_}),
    )


@st.composite
def schemas(draw: Any) -> dict[str, Any]:
    """Draw a schema of an object, as tools and structured outputs have them."""
    schema = draw(objects(st.recursive(leaves(), composed, max_leaves=6)))
    return {**schema, "$defs": {"leaf": {"type": "string", "maxLength": 3}}}
