"""A key may come twice in JSON. The last value counts, as nearly everybody reads it."""

import json
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.wire.content import TextParam
from antiphon.wire.decoding import EXTRA, BodyDecoder, BodyError
from antiphon.wire.messages import SAMPLING, CreateMessageParams

Json: TypeAlias = Any

DECODER = BodyDecoder(CreateMessageParams)
BODY: dict[str, Json] = {
    "model": "m",
    "max_tokens": 8,
    "system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes?", "citations": None}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
    ],
    "tools": [{"name": "a", "input_schema": {"type": "object"}, "strict": True}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low"},
    "temperature": 0.5,
    "stream": True,
}
ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([{}])


def doubled(field: str, first: str, second: str) -> bytes:
    """A valid body with this key twice, as `json.dumps` would never write it."""
    others = json.dumps({key: value for key, value in BODY.items() if key != field})
    return f'{{"{field}": {first}, {others[1:-1]}, "{field}": {second}}}'.encode()


@pytest.mark.parametrize(
    ("field", "first", "second", "sentence"),
    [
        ("model", '"m"', "5", "model: Input should be a valid string"),
        ("messages", '"Hi"', "[]", "messages: at least one message is required"),
        ("thinking", '{"type": "adaptive"}', '{"type": "x"}', "thinking: Input tag 'x' "),
        ("zzz", "1", "2", f"zzz: {EXTRA}"),
    ],
)
def test_of_equal_keys_the_last_value_is_checked(
    field: str, first: str, second: str, sentence: str
) -> None:
    with pytest.raises(BodyError) as refusal:
        DECODER.decode(doubled(field, first, second))
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize("first", ["5", "null", '"other"', "[[]]", "{}"])
def test_of_equal_keys_the_last_value_counts(first: str) -> None:
    assert DECODER.decode(doubled("model", first, '"m"')).model == "m"


def test_of_equal_tags_the_last_one_counts() -> None:
    block = '{"type": "image", "text": 5, "type": "text", "text": "Hi"}'
    body = json.dumps(BODY).replace('"Hi"', f"[{block}]").encode()
    (read,) = DECODER.decode(body).messages[0].content
    assert read == TextParam(text="Hi")


def test_equal_keys_that_a_version_has_no_longer_are_unknown() -> None:
    newer = BodyDecoder(CreateMessageParams, SAMPLING)
    with pytest.raises(BodyError, match=r"^temperature: Extra inputs are not permitted$"):
        newer.decode(doubled("temperature", '"warm"', "1"))


def with_repetitions(value: Json, data: st.DataObject) -> str:
    """Write a value as JSON, now and then with another value of a key before its own."""
    if isinstance(value, list):
        return f"[{','.join(with_repetitions(item, data) for item in value)}]"
    if not isinstance(value, dict):
        return json.dumps(value)
    written = []
    for key, inner in value.items():
        if data.draw(st.booleans()):
            written.append(f"{json.dumps(key)}:{json.dumps(data.draw(ANY))}")
        written.append(f"{json.dumps(key)}:{with_repetitions(inner, data)}")
    return f"{{{','.join(written)}}}"


@given(st.data())
def test_body_with_equal_keys_decodes_to_the_last_value(data: st.DataObject) -> None:
    once = DECODER.decode(json.dumps(BODY).encode())
    assert DECODER.decode(with_repetitions(BODY, data).encode()) == once
