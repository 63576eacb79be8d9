import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineError
from antiphon.engines.upstream.chat_completions.chunks import Chunk, chunks_of
from antiphon.engines.upstream.halves import JsonHalves, TextHalves, joined, whole_json
from antiphon.engines.upstream.loose import items, json_text, text_of, values_of, whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "content", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((5, 5), (5.0, 5), ("5", 5), (" 5 ", 5), ("5.0", 5), (0, 0), ("0", 0), (2**31, 2**31)),
        *((5.5, None), (-1, None), ("-1", None), ("", None), ("five", None), (True, None)),
        *((None, None), ([5], None), ({}, None), (2**31 + 1, None), (10**400, None)),
        *((float("inf"), None), (float("nan"), None), ("nan", None), ("1e999", None)),
        ("9" * 1000, None),
    ],
)
def test_counts_are_read_from_any_type(value: Any, expected: int | None) -> None:
    assert whole(value) == expected


def test_input_is_a_text_or_the_value() -> None:
    assert json_text({"a": 1}) == '{"a": 1}'
    assert (json_text('{"a'), json_text([]), json_text(None)) == ('{"a', "{}", None)


@given(JSON)
def test_any_value_is_read(value: Any) -> None:
    assert isinstance(items(value), list)
    assert text_of(value) is None or isinstance(text_of(value), str)
    assert whole(value) is None or isinstance(whole(value), int)


@given(st.text())
def test_text_is_a_value_a_value_in_each_line_or_an_error_without_the_text(text: str) -> None:
    try:
        assert values_of(text)
    except EngineError as error:
        assert len(str(error)) < 100  # noqa: PT017


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{\n{"])
def test_text_that_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(EngineError):
        values_of(text)


DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | st.text(max_size=5),
        "reasoning": st.none() | st.text(max_size=5),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(0, 9),
                    "id": st.text(max_size=3),
                    "function": st.fixed_dictionaries(
                        {}, optional={"name": st.text(max_size=3), "arguments": st.text(max_size=5)}
                    ),
                },
            ),
            max_size=2,
        ),
    },
)


@given(DELTAS, st.none() | st.text(max_size=5))
def test_loose_reading_of_a_proper_chunk_is_its_decoding(delta: Any, reason: str | None) -> None:
    """A key that does not fit, of no meaning, sends the same chunk the loose way."""
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    (proper,), (loose,) = (
        chunks_of(json.dumps(chunk)),
        chunks_of(json.dumps({**chunk, "object": 5})),
    )
    assert _said(proper) == _said(loose)


def _said(chunk: Chunk) -> Any:
    (choice,) = chunk.choices or ()
    delta = choice.delta
    assert delta is not None
    calls = [(one.index, one.id, one.function) for one in delta.tool_calls or ()]
    return (delta.content or None, delta.reasoning, calls, choice.finish_reason)


TEXTS = st.text(st.sampled_from('ab\\ud83de00"é😀\ud83d\ude00'), max_size=12)


@given(st.lists(TEXTS, max_size=5))
def test_halves_of_a_text_are_joined_wherever_it_was_cut(pieces: list[str]) -> None:
    halves, whole_text = TextHalves(), joined("".join(pieces))
    said = "".join(map(halves.feed, pieces))
    assert said in {whole_text, whole_text.removesuffix("\ufffd")}
    said.encode()


@given(st.lists(TEXTS, max_size=5))
def test_halves_of_a_json_text_are_joined_wherever_it_was_cut(pieces: list[str]) -> None:
    halves = JsonHalves()
    said = "".join(map(halves.feed, pieces)) + halves.end()
    assert said in {whole_json("".join(pieces)), whole_json("".join(pieces)).removesuffix("\ufffd")}
    said.encode()


@given(st.dictionaries(st.text(), st.text()), st.lists(st.integers(0, 60)))
def test_proper_json_text_is_left_as_it_is(value: dict[str, str], cuts: list[int]) -> None:
    text, halves = json.dumps(value), JsonHalves()
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert "".join(map(halves.feed, pieces)) + halves.end() == text
