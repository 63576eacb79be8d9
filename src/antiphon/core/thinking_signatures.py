"""Signatures of thinking: they prove that a block sent back was made here and is unchanged.

A signature holds the digest of the whole thinking and a keyed digest over that. So it can also be
checked for a caller that got only the signature (`display: omitted`): an empty text is the one
that was sent, any other text must be the one that was signed.

Each signature begins with a name of the key, so that thinking from elsewhere is known as such. It
is left out of the prompt: a conversation that began at another server goes on here. Only a
signature that names this server's key must fit.

If an engine has a proof of its own for its thinking, the signature carries it, so that the engine
gets it back with the conversation: version 2 is version 1 with the proof at its end, which the
keyed digest then covers. Thinking that cannot be read (`redacted_thinking`) is such a
signature of no text.
"""

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest, digest
from itertools import chain

from msgspec.structs import replace

from antiphon.core.blocks import rewrite, without_empty_turns
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt
from antiphon.wire.content import (
    THINKING_PARAMS,
    BlockParam,
    ContentParam,
    RedactedThinkingParam,
    ThinkingParam,
)
from antiphon.wire.messages import MessageParam

PLAIN = b"\x01"
PROVEN = b"\x02"
_NAME = 8
_DIGEST = 32
_HEAD = 1 + _NAME
_SIZE = _HEAD + 2 * _DIGEST


def sign_thinking(key: bytes, thinking: str, proof: str = "") -> str:
    """Return the signature of thinking, with the engine's own `proof` inside."""
    version = PROVEN if proof else PLAIN
    content, tail = sha256(thinking.encode()).digest(), proof.encode()
    mark = _mark(key, version + content + tail)
    return urlsafe_b64encode(version + _name(key) + content + mark + tail).decode("ascii")


def is_signed(key: bytes, thinking: str, signature: str) -> bool:
    """Return whether a signature was made here for this thinking, or for thinking not shown."""
    return is_signature_of(key, thinking, signature) or (
        not thinking and _opened(key, signature) is not None
    )


def is_signature_of(key: bytes, thinking: str, signature: str) -> bool:
    """Return whether a signature was made here for exactly this thinking."""
    raw = _opened(key, signature)
    content = sha256(thinking.encode()).digest()
    return raw is not None and compare_digest(content, raw[_HEAD : _HEAD + _DIGEST])


def proof_in(key: bytes, signature: str) -> str | None:
    """Return the proof inside of a signature, empty without one; `None` if it was not made here."""
    raw = _opened(key, signature)
    return None if raw is None else raw[_SIZE:].decode()


def _opened(key: bytes, signature: str) -> bytes | None:
    try:
        raw = b64decode(signature.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, Error):
        return None
    version, content, mark, tail = (
        raw[:1],
        raw[_HEAD : _HEAD + _DIGEST],
        raw[_HEAD + _DIGEST : _SIZE],
        raw[_SIZE:],
    )
    if len(raw) < _SIZE or raw[:_HEAD] != (PROVEN if tail else PLAIN) + _name(key):
        return None
    return raw if compare_digest(_mark(key, version + content + tail), mark) else None


def _mark(key: bytes, content: bytes) -> bytes:
    return digest(key, b"thinking" + content, "sha256")


def _name(key: bytes) -> bytes:
    return digest(key, b"name of the key", "sha256")[:_NAME]


def _heads(key: bytes) -> tuple[str, ...]:
    """Return how all signatures with this key begin; a head fills its characters of base64."""
    name = _name(key)
    return tuple(urlsafe_b64encode(version + name).decode() for version in (PLAIN, PROVEN))


CARRIES = "."
"""Separates a signature from the thinking that it carries; it occurs in neither."""

INVALID = "Invalid `signature` in `thinking` block"
MODIFIED = (
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
    "These blocks must remain as they were in the original response."
)


def sign_omitted(key: bytes, thinking: str, proof: str = "") -> str:
    """Return the signature of thinking that is not shown, with the thinking in it."""
    carried = urlsafe_b64encode(thinking.encode()).decode("ascii")
    return sign_thinking(key, thinking, proof) + CARRIES + carried


def check_replay(messages: Sequence[MessageParam], key: bytes) -> None:
    """Refuse thinking that was made here and was changed.

    Thinking that was shown may be left out of earlier turns, not of the latest.
    """
    latest: range | None = None
    for index, message in enumerate(messages):
        blocks = () if isinstance(message.content, str) else message.content
        for position, block in enumerate(blocks):
            if not isinstance(block, THINKING_PARAMS) or _is_foreign(block, key):
                continue
            if latest is None:
                latest = _latest(messages)
            fault = _fault(block, key, latest=index in latest)
            if fault is not None:
                raise InvalidRequestError(f"messages.{index}.content.{position}: {fault}")


def thinking_for_engine(prompt: Prompt, key: bytes) -> Prompt:
    """Return a checked prompt with the thinking that was made here, as its engine made it."""
    blocks = chain.from_iterable([turn.content for turn in prompt.turns])
    if not any([isinstance(block, THINKING_PARAMS) for block in blocks]):  # noqa: C419 - faster
        return prompt
    return with_proofs(restore_thinking(without_foreign_thinking(prompt, key)), key)


def without_foreign_thinking(prompt: Prompt, key: bytes) -> Prompt:
    """Leave thinking that was made elsewhere out of a prompt; its turns stay whole and in turn."""
    if not any(_is_foreign(block, key) for turn in prompt.turns for block in turn.content):
        return prompt
    return without_empty_turns(
        rewrite(prompt, lambda block: () if _is_foreign(block, key) else (block,))
    )


def restore_thinking(prompt: Prompt) -> Prompt:
    """Put thinking that was not shown back into a prompt that has been checked."""
    if not any(_hides(block) for turn in prompt.turns for block in turn.content):
        return prompt
    return rewrite(prompt, lambda block: (_shown(block),))


def with_proofs(prompt: Prompt, key: bytes) -> Prompt:
    """Replace signatures made here by the engine's own proofs inside of them."""

    def proven(block: BlockParam) -> tuple[BlockParam]:
        match block:
            case ThinkingParam(signature=signature):
                return (replace(block, signature=_proof(key, signature) or ""),)
            case RedactedThinkingParam(data=data):
                return (replace(block, data=_proof(key, data) or ""),)
        return (block,)

    return rewrite(prompt, proven)


def _proof(key: bytes, signature: str) -> str | None:
    return proof_in(key, signature.partition(CARRIES)[0])


def _latest(messages: Sequence[MessageParam]) -> range:
    """Find the run of assistant messages that is the last."""
    end = len(messages)
    while end and messages[end - 1].role != "assistant":
        end -= 1
    start = end
    while start and messages[start - 1].role == "assistant":
        start -= 1
    return range(start, end)


def _fault(block: ThinkingParam | RedactedThinkingParam, key: bytes, *, latest: bool) -> str | None:
    if isinstance(block, RedactedThinkingParam):
        ours = _proof(key, block.data)
        return "Invalid `data` in `redacted_thinking` block" if ours is None else None
    if not _is_ours(block.signature, key):
        return INVALID
    if CARRIES in block.signature or _is_whole(block, key):
        # The caller was sent an empty block, so its text does not matter.
        return None
    if latest:
        return MODIFIED
    return INVALID if block.thinking else None


def _is_foreign(block: BlockParam, key: bytes) -> bool:
    match block:
        case ThinkingParam(signature=signature) | RedactedThinkingParam(data=signature):
            return not signature.startswith(_heads(key))
    return False


def _is_ours(signature: str, key: bytes) -> bool:
    """Return whether a signature was made here, and for the thinking that it carries, if any."""
    proof, carries, carried = signature.partition(CARRIES)
    thinking = _opened_text(carried) if carries else ""
    return thinking is not None and is_signed(key, thinking, proof)


def _is_whole(block: ThinkingParam, key: bytes) -> bool:
    # An empty text fits each signature, but only some signatures are of an empty text.
    return is_signature_of(key, block.thinking, block.signature)


def _hides(block: ContentParam) -> bool:
    return isinstance(block, ThinkingParam) and CARRIES in block.signature


def _shown(block: BlockParam) -> BlockParam:
    if not isinstance(block, ThinkingParam):
        return block
    carried = block.signature.partition(CARRIES)[2]
    return replace(block, thinking=_opened_text(carried) or block.thinking)


def _opened_text(carried: str) -> str | None:
    try:
        return urlsafe_b64decode(carried.encode("ascii")).decode()
    except (UnicodeError, Error):
        return None
