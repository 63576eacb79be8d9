from hmac import digest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llama.snapshots.records import (
    FORMAT,
    PROOF_BYTES,
    ForeignRecordError,
    SnapshotRecord,
    _proof,
    decode_record,
    encode_record,
)

KEY = bytes(range(32))
RECORD = SnapshotRecord(
    identity="0" * 64,
    salt="workspace",
    tokens=b"\1\0\0\0",
    size=7,
    proof=b"p" * 32,
    lifetime_s=300.0,
    read_ms=12.5,
)
WRITTEN = encode_record(RECORD, KEY)


def test_record_is_read_as_it_was_written() -> None:
    assert decode_record(WRITTEN, KEY) == RECORD


def test_record_of_another_key_is_foreign() -> None:
    with pytest.raises(ForeignRecordError):
        decode_record(WRITTEN, KEY[::-1])


@given(st.integers(0, len(WRITTEN) - 1), st.integers(1, 255))
def test_record_with_a_changed_byte_is_foreign(at: int, change: int) -> None:
    changed = bytearray(WRITTEN)
    changed[at] ^= change
    with pytest.raises(ForeignRecordError):
        decode_record(bytes(changed), KEY)


@given(st.integers(0, len(WRITTEN) - 1))
def test_cut_record_is_foreign(size: int) -> None:
    with pytest.raises(ForeignRecordError):
        decode_record(WRITTEN[:size], KEY)


def test_record_of_another_release_is_foreign() -> None:
    body = b"\x91\x01"
    with pytest.raises(ForeignRecordError):
        decode_record(_proof(body, KEY) + body, KEY)


def test_record_of_the_format_before_is_foreign() -> None:
    """Its proof, and that of its file, are HMAC-SHA256."""
    body = WRITTEN[PROOF_BYTES:]
    with pytest.raises(ForeignRecordError):
        decode_record(digest(KEY, b"antiphon snapshot 1\0" + body, "sha256") + body, KEY)


def test_proof_is_over_the_format_too() -> None:
    assert WRITTEN[:PROOF_BYTES] == _proof(WRITTEN[PROOF_BYTES:], KEY)
    assert WRITTEN[:PROOF_BYTES] != _proof(FORMAT + WRITTEN[PROOF_BYTES:], KEY)
