"""A header is read as a whole, and one that lies costs little and says so."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engines.llama import gguf_header
from antiphon.engines.llama.gguf_header import HeaderError, read_header
from support.gguf_bytes import ARRAY, TEXT, UINT32, array, header, model, text

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
INT32 = 5


class Counted(io.BytesIO):
    """A stream that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def refusal(content: bytes) -> str:
    with pytest.raises(HeaderError) as caught:
        read_header(io.BytesIO(content))
    return str(caught.value)


def test_facts_behind_the_tokens_are_read() -> None:
    found = read_header(io.BytesIO(model("A template.") + b"tensors"))
    assert found.facts["tokenizer.chat_template"] == "A template."
    assert found.tokens[2:] == (b"a", b"<tool_call>")
    assert [found.token(number) for number in (1, 9, -1, None)] == ["</s>", "", "", ""]
    assert found.size == len(model("A template."))


def test_values_of_every_type_are_read() -> None:
    facts = {"a": 7, "b": 0.5, "c": True, "d": "ü", "e": [1, 2], "f": ["x", "y"], "g": [True]}
    assert read_header(io.BytesIO(header(facts))).facts == facts


def test_long_lists_and_texts_are_skipped() -> None:
    facts = {
        "merges": ["a b"] * 2_001,
        "scores": [0.5] * 2_001,
        "json": "x" * ((4 << 20) + 1),
        "last": "here",
    }
    assert dict(read_header(io.BytesIO(header(facts))).facts) == {"last": "here"}


def test_no_more_is_read_than_the_header_and_a_little() -> None:
    stream = Counted(model("A template.") + bytes(10_000_000))
    read_header(stream)
    assert stream.taken <= 1 << 17


def test_what_is_no_header_is_refused() -> None:
    assert refusal(b"<html>") == "it is not a GGUF file"
    assert refusal(b"GG") == "it ends within its header"
    assert refusal(header(version=1)) == "it has version 1 of the format; 2 and 3 are known"
    assert refusal(model("A template.")[:-3]) == "it ends within its header"
    assert refusal(header(raw={"a": struct.pack("<I", 77)})) == (
        "a value in it is of the type 77, which is not known"
    )


@pytest.mark.parametrize(
    "content",
    [
        header(raw={"a": struct.pack("<IQ", TEXT, 1 << 63)}),
        header(raw={"a": struct.pack("<IIQ", ARRAY, UINT32, 1 << 60)}),
        header(raw={"a": struct.pack("<IIQ", ARRAY, TEXT, 1 << 60)}),
        header(raw={TOKENS: struct.pack("<IIQQ", ARRAY, TEXT, 1, 1 << 62)}),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62),
    ],
    ids=["text", "numbers", "texts", "token", "key"],
)
def test_length_that_lies_is_refused_at_once(content: bytes) -> None:
    stream = Counted(content + bytes(50_000_000))
    with pytest.raises(HeaderError, match="a length in it is wrong: its header would take more"):
        read_header(stream)
    assert stream.taken <= 1 << 17


def test_number_of_facts_and_of_tokens_is_bounded() -> None:
    assert "more than 2,000" in refusal(header(count=1 << 40))
    many = struct.pack("<IIQ", ARRAY, TEXT, 1 << 40)
    assert refusal(header(raw={TOKENS: many})) == (
        "its tokens are not a list of at most 2,000,000 texts"
    )
    assert refusal(header({TOKENS: [1]})).startswith("its tokens are not a list")


def test_control_tokens_are_known_by_their_types() -> None:
    raw = struct.pack("<IIQ4i", ARRAY, INT32, 4, 3, 1, 3, 4)
    found = read_header(io.BytesIO(header({TOKENS: ["a", "b", "c", "d"]}, raw={TYPES: raw})))
    assert found.controls == (0, 2)


def test_types_that_lie_are_refused() -> None:
    for kind, count, said in (
        (INT32, 1 << 40, "not at most 2,000,000 numbers"),
        (TEXT, 1, "not at most 2,000,000 numbers"),
        (INT32, 2, "it ends within its header"),
    ):
        content = header(raw={TYPES: struct.pack("<IIQi", ARRAY, kind, count, 3)})
        assert said in refusal(content)


def test_header_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "MOST_BYTES", 1 << 20)
    assert "would take more than 1 MiB" in refusal(header({"a": "x" * 200_000, "b": "y" * 900_000}))


def test_list_in_a_list_is_refused() -> None:
    nested = struct.pack("<IIQ", ARRAY, ARRAY, 1) + array([1])
    assert "of the type 9" in refusal(header(raw={"a": nested}))


def test_long_name_of_a_fact_is_refused() -> None:
    size = (4 << 20) + 1
    content = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, size) + bytes(size)
    assert refusal(content) == "the name of a fact is too long"


@settings(max_examples=300)
@given(st.data())
def test_damaged_header_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(model("A template.", **{"attention.head_count_kv": [1, 2]}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    stream = Counted(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        found = read_header(stream)
    except HeaderError:
        return
    assert found.size <= len(whole)


def test_text_is_decoded_whatever_it_is() -> None:
    raw = struct.pack("<IQ", TEXT, 2) + b"\xff\xfe"
    assert read_header(io.BytesIO(header(raw={"a": raw}))).facts == {"a": "��"}
    assert text("ü") == b"\x02\0\0\0\0\0\0\0\xc3\xbc"
