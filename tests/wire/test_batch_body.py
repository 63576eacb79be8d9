import json
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from types import FrameType
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import example, given, target
from hypothesis import strategies as st

from antiphon.wire.batch_body import BatchBody, BatchItem, LargeRequestError
from antiphon.wire.batches import MOST_REQUESTS, CreateBatchParams
from antiphon.wire.decoding import EXTRA, BodyDecoder, BodyError, Fault
from antiphon.wire.json_structure import MOST_STRUCTURAL

Json: TypeAlias = Any

MIB = 1 << 20
LARGEST = 32 * MIB
PIECE = 1 << 16
WHOLE = BodyDecoder(CreateBatchParams)
NOT_JSON = "The request body is not valid JSON: "
MALFORMED = f"{NOT_JSON}JSON is malformed: "


def decoded(chunks: list[bytes], largest: int = LARGEST) -> list[BatchItem] | str:
    """Return the items of a body, or the sentence of its fault."""
    body = BatchBody(largest)
    items: list[BatchItem] = []
    try:
        for chunk in chunks:
            items += body.feed(chunk)
        body.end()
    except BodyError as error:
        return str(error)
    return items


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    borders = sorted({min(place, len(body)) for place in cuts} | {0, len(body)})
    return [body[a:b] for a, b in pairwise(borders)]


def request(custom_id: str = "a", params: bytes = b"{}") -> bytes:
    return b'{"custom_id":"%s","params":%s}' % (custom_id.encode(), params)


def body_with(*requests: bytes) -> bytes:
    return b'{"requests":[' + b",".join(requests) + b"]}"


def with_value(value: bytes) -> bytes:
    return request(params=b'{"x":' + value + b"}")


# ── the same as decoding the whole


def decoded_whole(body: bytes) -> list[tuple[str, Json]] | str:
    """Decode a body as a whole, key by key and request by request in the order of its bytes."""
    value = json.loads(body)
    if not isinstance(value, dict) or not value:
        return fault_of(body)
    for key in value:
        if key != "requests":
            return str(Fault((key,), EXTRA))
        if not isinstance(value[key], list) or not value[key]:
            return fault_of(body)
        known: set[str] = set()
        for number, item in enumerate(value[key]):
            fault = fault_of(json.dumps({key: [item]}).encode())
            if fault:
                return fault.replace("requests.0", f"requests.{number}")
            if item["custom_id"] in known:
                return (
                    "requests: custom_id's must be unique within a batch. Duplicate custom_id "
                    f"found: {item['custom_id']}"
                )
            known.add(item["custom_id"])
    return [(item["custom_id"], item["params"]) for item in value["requests"]]


def fault_of(body: bytes) -> str:
    try:
        WHOLE.decode(body)
    except BodyError as error:
        return str(error)
    return ""


texts = st.text(st.sampled_from('a\\"{}[]:,\n\u00e9\U0001f600'), max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)
custom_ids = st.one_of(
    st.sampled_from(["a", "b", "c", "a b", "", "\u00e9", "a\n", "x" * 64, "x" * 65]), values
)
params = st.one_of(st.dictionaries(texts, values, max_size=3), values)
requests = st.one_of(
    st.fixed_dictionaries(
        {"custom_id": custom_ids, "params": params}, optional={"priority": values}
    ),
    st.fixed_dictionaries({"params": params, "custom_id": st.uuids().map(str)}),
    st.fixed_dictionaries({}, optional={"custom_id": custom_ids, "params": params}),
    values,
)
bodies = st.one_of(
    st.fixed_dictionaries({"requests": st.lists(requests, max_size=4)}),
    st.fixed_dictionaries(
        {"requests": st.one_of(st.lists(requests, max_size=2), values)}, optional={"model": values}
    ),
    st.dictionaries(st.sampled_from(["requests", "model", "\u00e9"]), values),
    values,
)
cuts = st.lists(st.integers(0, 600), max_size=30)
indents = st.sampled_from([None, 0, 1])


@given(bodies, cuts, indents, st.booleans())
def test_body_in_pieces_is_decoded_like_the_whole(
    value: Json, places: list[int], indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    got = decoded(cut(body, places))
    if not isinstance(got, str):
        assert [item.number for item in got] == [*range(len(got))]
        assert decoded_whole(body) == [(item.custom_id, json.loads(item.params)) for item in got]
    else:
        assert decoded_whole(body) == got


GOOD = json.dumps(
    {
        "requests": [
            {"custom_id": "a-1", "params": {"model": "m", "system": '"}]\\" \u00e9\U0001f600\\'}},
            {"params": {"messages": [{"content": [[], {}, "[{"]}]}, "custom_id": "b_2"},
        ]
    },
    ensure_ascii=False,
    indent=1,
).encode()


def mutations(body: bytes) -> Iterator[bytes]:
    for place in range(len(body)):
        yield body[:place]
        yield body[:place] + body[place + 1 :]
        for byte in (b'"', b"\\", b"{", b"]", b",", b"0", b"\xff", b"\xc3", b"\x00"):
            yield body[:place] + byte + body[place:]
            yield body[:place] + byte + body[place + 1 :]


def test_no_body_that_is_not_json_is_taken() -> None:
    for body in mutations(GOOD):
        got = decoded([body])
        try:
            msgspec.json.decode(body)
        except msgspec.ValidationError:
            continue
        except (msgspec.DecodeError, UnicodeDecodeError):
            assert isinstance(got, str), body


@given(st.sampled_from([*mutations(GOOD)]), cuts)
def test_fault_does_not_depend_on_where_the_body_is_cut(body: bytes, places: list[int]) -> None:
    assert decoded(cut(body, places)) == decoded([body])


def test_body_may_be_cut_anywhere() -> None:
    whole = decoded([GOOD])
    assert [item.custom_id for item in whole if isinstance(item, BatchItem)] == ["a-1", "b_2"]
    for place in range(len(GOOD)):
        assert decoded([GOOD[:place], b"", GOOD[place:]]) == whole
    for size in (1, 2, 3):
        assert decoded([GOOD[i : i + size] for i in range(0, len(GOOD), size)]) == whole


def test_request_is_given_once_its_last_byte_has_come() -> None:
    body = BatchBody(LARGEST)
    assert body.feed(b' { "requests" : [ ') == []
    assert body.feed(b'{"custom_id":"a","params":{"a":1 }') == []
    (item,) = body.feed(b"}")
    assert (item.number, item.custom_id, item.params) == (0, "a", b'{"a":1 }')
    assert body.feed(b", " + request("b") + b",\n" + request("c") + b"]}")[1].number == 2
    body.end()


# ── the texts


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", f"{NOT_JSON}Input data was truncated"),
        (b" \n", f"{NOT_JSON}Input data was truncated"),
        (b"x", f"{MALFORMED}invalid character (byte 0)"),
        (b"\xef\xbb\xbf{}", f"{MALFORMED}invalid character (byte 0)"),
        (b"[]", "Input should be an object"),
        (b"5", "Input should be an object"),
        (b"{}", "requests: Field required"),
        (b'{"a', f"{NOT_JSON}Input data was truncated"),
        (b'{"a":1}', f"a: {EXTRA}"),
        (b'{"\\u0061" x', f"a: {EXTRA}"),
        (b'{"\\x":1}', f"{MALFORMED}invalid escape character in string (byte 4)"),
        (b'{ "' + b"k" * 5000, f"{'k' * 255}…: {EXTRA}"),
        (b'{ "' + b"k" * 5000 + b'":1}', f"{'k' * 255}…: {EXTRA}"),
        (b"{1:1}", f"{MALFORMED}expected '\"' (byte 1)"),
        (b'{"requests" []}', f"{MALFORMED}expected ':' (byte 12)"),
        (b'{"requests":}', f"{MALFORMED}invalid character (byte 12)"),
        (b'{"requests":{}}', "requests: Input should be a valid array"),
        (b'{"requests":[]}', "requests: List should have at least 1 item after validation, not 0"),
        (b'{"requests":[nope', "requests.0: Input should be an object"),
        (body_with(request(), b'"b"'), "requests.1: Input should be an object"),
        (body_with(b"{}"), "requests.0.custom_id: Field required"),
        (body_with(request(), b'{"custom_id":"b"}'), "requests.1.params: Field required"),
        (body_with(request(params=b"[]")), "requests.0.params: Input should be an object"),
        (
            body_with(b'{"custom_id":"a","params":{},"x":1}'),
            f"requests.0.x: {EXTRA}",
        ),
        (
            body_with(b'{"custom_id":[],"params":{}}'),
            "requests.0.custom_id: Input should be a valid string",
        ),
        (
            body_with(request("a" * 65)),
            "requests.0.custom_id: String should have at most 64 characters",
        ),
        (
            body_with(request("a\\n")),
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            body_with(request("dup"), request("b"), request("dup")),
            "requests: custom_id's must be unique within a batch. Duplicate custom_id found: dup",
        ),
        (body_with(request())[:-1], f"{NOT_JSON}Input data was truncated"),
        (body_with(request())[:-5], f"{NOT_JSON}Input data was truncated"),
        (body_with(request()) + b"\n{", f"{MALFORMED}trailing characters (byte 46)"),
        (body_with(request(), b""), f"{MALFORMED}trailing comma in array (byte 43)"),
        (body_with(request() + b"1"), f"{MALFORMED}expected ',' or ']' (byte 42)"),
        (body_with(request())[:-1] + b",}", f"{MALFORMED}trailing comma in object (byte 44)"),
        (
            body_with(request())[:-1] + b',"requests":[]}',
            "requests: The key may stand only once in the body",
        ),
        (body_with(request(), with_value(b"01")), f"{MALFORMED}invalid number (byte 75)"),
        (
            body_with(request(), with_value(b'"\xc3\xa9\xff"')),
            f"{NOT_JSON}it is not UTF-8: invalid start byte (byte 77)",
        ),
        (
            body_with(with_value(b'"' + b"\xc3\xa9" * PIECE + b'\xed\xa0\x80"')),
            f"{NOT_JSON}it is not UTF-8: invalid continuation byte (byte {45 + 2 * PIECE})",
        ),
        (
            body_with(with_value(b"[" * 5000 + b"]" * 5000)),
            f"{NOT_JSON}it is nested too deeply",
        ),
        (body_with(with_value(b"[" * 5000)), f"{NOT_JSON}it is nested too deeply"),
    ],
)
def test_fault_is_told_in_the_words_of_the_api(body: bytes, fault: str) -> None:
    assert decoded([body]) == fault
    assert decoded([body[i : i + 7] for i in range(0, len(body), 7)]) == fault


def test_last_of_equal_keys_of_a_request_counts() -> None:
    items = decoded(
        [
            body_with(
                b'{"custom_id":[1],"params":3,"custom_id":"a","params":{"a": 1}}',
                b'{"params":{},"custom_id":"b c","custom_id":"b"}',
            )
        ]
    )
    assert not isinstance(items, str)
    assert [(item.custom_id, item.params) for item in items] == [("a", b'{"a": 1}'), ("b", b"{}")]
    refused = decoded([body_with(b'{"params":{},"custom_id":"b","custom_id":1}')])
    assert refused == "requests.0.custom_id: Input should be a valid string"


def test_params_are_not_looked_into() -> None:
    sent = b'{"model": 5, "max_tokens":1e999,\t"stream":true, "\\u0061": "\\ud83d\\ude00"}'
    items = decoded([body_with(request(params=sent))])
    assert not isinstance(items, str)
    assert items[0].params == sent


# ── limits


@pytest.mark.parametrize("size", [PIECE // 3, 10 * PIECE])
def test_request_may_have_the_largest_size_and_not_more(size: int) -> None:
    one = with_value(b'"' + b"a" * 3 * PIECE + b'"')
    body = body_with(request("b"), one)
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    assert len(decoded(chunks, len(one))) == 2
    fault = f"requests.1: Request exceeds the maximum size of {len(one) - 1} bytes"
    assert decoded(chunks, len(one) - 1) == fault


def test_request_that_has_not_ended_may_be_too_large_already() -> None:
    with pytest.raises(LargeRequestError, match=r"requests\.0: Request exceeds"):
        BatchBody(20).feed(body_with(request())[:34])


def test_request_with_too_much_structure_is_refused() -> None:
    fault = (
        "requests.1: The request has more than 700,000 braces, brackets, colons and commas outside "
        "of strings. Please send a smaller request."
    )
    commas = b"[0" + b",0" * MOST_STRUCTURAL + b"]"
    assert decoded([body_with(request("b"), with_value(commas))]) == fault
    assert (
        len(decoded([body_with(request("b"), with_value(json.dumps(commas.decode()).encode()))]))
        == 2
    )


def test_batch_has_at_most_a_hundred_thousand_requests() -> None:
    body = BatchBody(LARGEST)
    body.feed(b'{"requests":[' + request("first"))
    for start in range(1, MOST_REQUESTS, 1000):
        more = min(1000, MOST_REQUESTS - start)
        items = body.feed(b"".join(b"," + request(str(start + i)) for i in range(more)))
    assert items[-1].number == MOST_REQUESTS - 1
    with pytest.raises(BodyError) as refusal:
        body.feed(b",{")
    assert str(refusal.value) == (
        "requests: List should have at most 100000 items after validation, not more than 100000"
    )


# ── prefixes


def prefixes(*params: bytes) -> list[bytes]:
    items = decoded([body_with(*(request(f"id{n}", one) for n, one in enumerate(params)))])
    assert not isinstance(items, str)
    assert {len(item.prefix) for item in items} == {16}
    return [item.prefix for item in items]


def test_requests_with_one_model_tools_and_system_have_one_prefix() -> None:
    first, second, third = prefixes(
        b'{"model":"m","tools":[1],"system":"s","messages":[1]}',
        b'{"messages":[2], "system": "s","tools":[1], "model":"m"}',
        b'{"model":"x","model":"m","tools":[1],"system":"s"}',
    )
    assert first == second == third


@pytest.mark.parametrize(("size", "different"), [(1 << 20, 1), (1 << 23, 2)])
def test_large_params_have_a_prefix_of_their_own(size: int, different: int) -> None:
    params = b'{"model":"a","messages":["' + b"x" * size + b'"]}'
    assert len(set(prefixes(params, params))) == different


def test_model_has_a_digest_of_its_own_but_for_large_params() -> None:
    texts = [b'{"model":"m","system":1}', b'{"system":2,"model":"m"}', b'{"model":"n"}', b"{}"]
    large = b'{"model":"m","messages":["' + b"x" * (1 << 23) + b'"]}'
    items = decoded([body_with(*(request(f"id{n}", one) for n, one in enumerate([*texts, large])))])
    assert not isinstance(items, str)
    models = [item.model for item in items]
    assert models[0] == models[1]
    assert len(set(models)) == 4
    assert [len(model) for model in models] == [16, 16, 16, 16, 0]


def test_other_model_tools_or_system_is_another_prefix() -> None:
    different = prefixes(
        b"{}",
        b'{"model":"m"}',
        b'{"tools":"m"}',
        b'{"system":"m"}',
        b'{"model":"m","tools":[1]}',
        b'{"model":"m","tools":[ 1]}',
        b'{"model":1,"tools":23}',
        b'{"model":12,"tools":3}',
    )
    assert len(set(different)) == len(different)


# ── cost


class Work:
    """Counts calls while it is entered, and the bytes that the scan and the decoding look at."""

    def __init__(self) -> None:
        self.calls = 0
        self.scanned = 0
        self.decoded = 0

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        self.calls += event in ("call", "c_call")
        if event == "call" and frame.f_code.co_qualname == "ValueEnds.feed":
            self.scanned += len(frame.f_locals["piece"])
        elif event == "call" and frame.f_code.co_qualname == "BatchBody._item":
            self.decoded += len(frame.f_locals["request"])

    def of(self, body: bytes, size: int) -> "Work":
        """Count the work for a body in chunks of a size."""
        chunks = [body[i : i + size] for i in range(0, len(body), size)]
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            decoded(chunks)
        finally:
            sys.setprofile(before)
        return self


def most_calls(body: bytes, size: int, requests: int = 1) -> int:
    """Return the most calls that a body may take: some for a chunk, a piece and a request."""
    return 80 * (len(body) // min(size, PIECE) + 1) + 80 * requests + 400


HOSTILE = {
    "open brackets": b"[",
    "pairs": b"[],",
    "sawtooth": b"[" * 300 + b"]" * 300 + b",",
    "objects": b'{"":0},',
    "closers": b"]}",
    "strings": b'"",',
    "quotes": b'"\\"",',
    "backslashes": b"\\",
    "open string": b'"',
    "space": b" \n",
    "numbers": b"1,",
    "text": b"abc ",
    "not UTF-8": b"\xff",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("around", [(b"[", b"]"), (b'"', b'"'), (b"", b"")])
@pytest.mark.parametrize("size", [PIECE, 1000])
def test_each_byte_is_looked_at_once(unit: bytes, around: tuple[bytes, bytes], size: int) -> None:
    value = around[0] + unit * (8 * PIECE // len(unit)) + b"0" + around[1]
    body = body_with(request("b"), with_value(value), request("c"))
    work = Work().of(body, size)
    assert work.scanned <= len(body)
    assert work.decoded <= len(body)
    assert work.calls <= most_calls(body, size, requests=3)


TOKENS = (b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"0", b" ", b"\xc3", request(), b"null")


@given(st.lists(st.sampled_from(TOKENS), max_size=6), st.lists(st.sampled_from(TOKENS), min_size=1))
@example([], [b"["])
def test_no_text_is_found_that_takes_more_work(start: list[bytes], unit: list[bytes]) -> None:
    repeated = b"".join(unit)
    text = b"".join(start) + repeated * (PIECE // len(repeated))
    starts = {"body": b"", "requests": b'{"requests":[', "params": body_with(with_value(b""))[:-3]}
    for where, beginning in starts.items():
        body = beginning + text
        work = Work().of(body, 1000)
        target(work.calls / len(body), label=where)
        assert work.scanned <= len(body)
        assert work.calls <= most_calls(body, 1000)


def test_long_key_is_not_read_again_and_again() -> None:
    assert Work().of(b'{"' + b"k" * 64 * PIECE, 1000).calls < 300


def test_memory_is_that_of_a_piece_and_the_largest_request() -> None:
    text = b'"' + b"a" * 4000 + b'"'
    small = [b"," + request(str(n), b'{"x":' + text + b"}") for n in range(2000)]
    large = b"," + request("large", b'{"x":"' + b"a" * 4 * MIB + b'"}')
    body = BatchBody(LARGEST)
    body.feed(b'{"requests":[' + request("first"))
    tracemalloc.start()
    for one in small:
        body.feed(one)
    _, small_peak = tracemalloc.get_traced_memory()
    for start in range(0, len(large), PIECE):
        body.feed(large[start : start + PIECE])
    _, large_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert small_peak < MIB
    assert large_peak < 10 * MIB


@pytest.mark.parametrize("text", [b'{"x":"' + b"a" * 4 * MIB, b'{"x":1}}'])
def test_bytes_that_are_kept_are_those_of_memory(text: bytes) -> None:
    chunks = [request(f"r{at}") + b"," for at in range(5_000)]
    begun = b'{"custom_id":"large","params":' + text
    chunks += [begun[start : start + PIECE] for start in range(0, len(begun), PIECE)]
    tracemalloc.start()
    body = BatchBody(LARGEST)
    body.feed(b'{"requests":[')
    for one in chunks:
        body.feed(one)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.7 * taken < body.kept < 1.5 * taken
