"""The record beside each file of a snapshot: what it holds, with a proof that this server wrote it.

The record is written last: a file without one is half of a snapshot.
"""

from hmac import compare_digest
from typing import Final

import msgspec
from blake3 import blake3

KEY_BYTES: Final = 32
PROOF_BYTES: Final = 32
MOST_BYTES: Final = 64 << 20
"""The largest record that is read: that of 16 million tokens."""
FORMAT: Final = b"antiphon snapshot 2\0"


class ForeignRecordError(Exception):
    """A record was not written with this key, or is damaged."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when its content was checked. A change a tick later alters some of this.

    That is the kernel's word, so it holds as long as the kernel runs: `boot` is its name. After a
    crash of the system a file may have its old times, and another content.
    """

    boot: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class SnapshotRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is known of the file of a snapshot.

    - `identity`: the digest of the `ModelIdentity`.
    - `salt`: the workspace that may use it.
    - `tokens`: the prefix, packed.
    - `size`, `proof`: the bytes of the file, and the keyed BLAKE3 over them.
    - `lifetime_s`: how long it lives without a use.
    - `read_ms`: what reading the tokens took.
    - `seen`: the file as it was when its content was last checked. It is not read again while it is
      as it was.
    """

    identity: str
    salt: str
    tokens: bytes
    size: int
    proof: bytes
    lifetime_s: float
    read_ms: float
    seen: Seen | None = None


def encode_record(record: SnapshotRecord, key: bytes) -> bytes:
    """Return the bytes of a record, which begin with their proof."""
    body = msgspec.msgpack.encode(record)
    return _proof(body, key) + body


def decode_record(data: bytes, key: bytes) -> SnapshotRecord:
    """Read a record. Raises `ForeignRecordError` before anything else is read in it."""
    proof, body = data[:PROOF_BYTES], data[PROOF_BYTES:]
    if not compare_digest(proof, _proof(body, key)):
        raise ForeignRecordError
    try:
        return msgspec.msgpack.decode(body, type=SnapshotRecord)
    except msgspec.DecodeError as error:  # another release wrote it
        raise ForeignRecordError from error


def _proof(body: bytes, key: bytes) -> bytes:
    return blake3(FORMAT, key=key).update(body).digest()
