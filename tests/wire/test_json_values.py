import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.wire.json_values import ValueEnds

texts = st.text(st.sampled_from('a\\"{}[]:,\n\u00e9\U0001f600'), max_size=12)
values = st.recursive(
    st.one_of(st.none(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


def ends(pieces: list[bytes]) -> list[int]:
    """Return the ends found in pieces, as offsets in all of them together."""
    scan = ValueEnds()
    found: list[int] = []
    start = 0
    for piece in pieces:
        found += [start + end for end in scan.feed(piece)]
        start += len(piece)
    return found


@given(st.lists(values, max_size=5), st.booleans(), st.lists(st.integers(0, 400)))
@example(items=[[]], ascii_only=True, cuts=[0, 0])
@example(items=[{'\\"': "\\\\"}], ascii_only=True, cuts=[*range(40)])
def test_ends_are_those_of_containers_however_the_text_is_cut(
    items: list[object], ascii_only: bool, cuts: list[int]
) -> None:
    text = b""
    expected = []
    for item in items:
        text += json.dumps(item, ensure_ascii=ascii_only).encode()
        if isinstance(item, list | dict):
            expected.append(len(text))
        text += b" ,\n"
    borders = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(borders)]
    assert ends([text]) == ends([b"", *pieces, b""]) == expected


def test_end_of_the_array_is_no_end_of_a_value() -> None:
    assert ends([b"{},[]]", b" , "]) == [2, 5]
