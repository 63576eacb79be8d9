import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.transport.base import ProtocolError
from antiphon.transport.inflating import LARGEST_PIECE, Inflater


def inflated(coding: str, *parts: bytes) -> bytes:
    inflater = Inflater(coding)
    whole = b""
    for part in parts:
        inflater.feed(part)
        while piece := inflater.take():
            assert len(piece) <= LARGEST_PIECE
            whole += piece
    assert inflater.drained
    assert inflater.whole
    return whole


@given(st.binary(max_size=2000), st.integers(1, 9), st.integers(1, 700))
def test_body_is_the_same_however_it_is_cut(body: bytes, level: int, size: int) -> None:
    deflated = zlib.compress(body, level)
    for coding, raw in (
        ("gzip", gzip.compress(body, level)),
        ("x-gzip", gzip.compress(body) + gzip.compress(b"")),
        ("deflate", deflated),
    ):
        parts = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert inflated(coding, *parts) == body


def test_body_that_becomes_a_thousand_times_as_long_comes_in_bounded_pieces() -> None:
    raw = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(raw) < 70_000
    inflater = Inflater("gzip")
    inflater.feed(raw)
    first = inflater.take()
    assert len(first) <= LARGEST_PIECE
    assert not inflater.drained
    assert len(first) + sum(len(piece) for piece in iter(inflater.take, b"")) == 64 * 1024 * 1024


def test_empty_members_are_read_in_a_bounded_time() -> None:
    assert inflated("gzip", gzip.compress(b"") * 5000 + gzip.compress(b"end")) == b"end"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_compressed_is_refused(coding: str) -> None:
    inflater = Inflater(coding)
    inflater.feed(b"\xff\xff\xff\xff no")
    with pytest.raises(ProtocolError, match=coding):
        inflater.take()


def test_cut_body_is_not_whole() -> None:
    for coding, raw in (("gzip", gzip.compress(b"x" * 100)), ("deflate", zlib.compress(b"x"))):
        inflater = Inflater(coding)
        inflater.feed(raw[:-1])
        while inflater.take():
            pass
        assert not inflater.whole
