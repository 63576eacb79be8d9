import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.wire.decoding import BodyDecoder, BodyError
from antiphon.wire.json_structure import (
    MOST_STRUCTURAL,
    is_too_much_structure,
    structural_characters,
)
from antiphon.wire.messages import CreateMessageParams
from support.requests import body_of, user

PIECE = 1 << 16
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def counted(body: bytes) -> int:
    """Count by another way: take the strings out, and look at each character."""
    return sum(byte in b"{}[]:," for byte in STRING.sub(b"", body))


texts = st.text(st.sampled_from('a\\"{}[]:,\n\u00e9\U0001f600'), max_size=12)
values = st.recursive(
    st.one_of(st.none(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


@given(values)
def test_characters_outside_of_strings_are_counted(value: object) -> None:
    body = json.dumps(value).encode()
    assert structural_characters(body, 10**9) == counted(body)


@given(values, st.integers(0, 40), st.booleans())
@example(value='\\"', shift=1, ascii_only=False)
@example(value="\\", shift=2, ascii_only=True)
def test_count_does_not_depend_on_where_a_piece_ends(
    value: object, shift: int, ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    # The value stands across the end of the first piece, inside of a string too.
    for beginning in ('["', '["\\\\'):
        filler = beginning + "x" * (PIECE - len(beginning) - shift)
        body = f"{filler}{json.dumps(text)[1:]},{text}]".encode()
        assert structural_characters(body, 10**9) == counted(body)


@pytest.mark.parametrize("run", [1, 2, 3, PIECE - 1, PIECE, PIECE + 1])
def test_backslashes_at_the_end_of_a_piece_are_read_in_pairs(run: int) -> None:
    text = "\\" * run + '"},' + "\\" * run
    for shift in range(4):
        body = json.dumps(["x" * (PIECE - shift), text, {}]).encode()
        assert structural_characters(body, 10**9) == counted(body) == 6


def test_counting_ends_one_piece_after_the_bound() -> None:
    body = b"[" * (64 * PIECE)
    assert structural_characters(body, 3 * PIECE) == 4 * PIECE


@pytest.mark.parametrize(
    ("body", "is_too_much"),
    [
        (b"[" * MOST_STRUCTURAL, False),
        (b"[" * (MOST_STRUCTURAL + 1), True),
        (b"[0" * MOST_STRUCTURAL, False),
        (b"[0" * MOST_STRUCTURAL + b"]", True),
        (b'"' + b"[" * (2 * MOST_STRUCTURAL) + b'"', False),
        (b'"",' * (MOST_STRUCTURAL + 1), True),
    ],
)
def test_bound_counts_structure_and_not_text(body: bytes, is_too_much: bool) -> None:
    assert is_too_much_structure(body) is is_too_much


def with_messages(count: int) -> bytes:
    message = b'{"role":"user","content":"a"}'
    messages = b",".join([message] * count)
    return b'{"model":"claude-x","max_tokens":1,"messages":[' + messages + b"]}"


def test_as_many_messages_as_a_request_may_have_are_decoded() -> None:
    params = BodyDecoder(CreateMessageParams).decode(with_messages(100_000))
    assert len(params.messages) == 100_000


@pytest.mark.parametrize("unit", [b"[]", b"{}", b"0", b'{"a":0}', b"[" * 64 + b"]" * 64])
def test_body_with_more_structure_is_refused_before_it_is_decoded(unit: bytes) -> None:
    tool = {"name": "a", "input_schema": {"type": "object", "default": "here"}}
    units = MOST_STRUCTURAL // (structural_characters(unit, 10**9) + 1) + 1
    body = body_of(user("Hi"), tools=[tool]).replace(
        b'"here"', b"[" + b",".join([unit] * units) + b"]"
    )
    with pytest.raises(BodyError, match="more than 700,000 braces, brackets, colons and commas"):
        BodyDecoder(CreateMessageParams).decode(body)
