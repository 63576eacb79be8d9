"""The bytes of GGUF headers, also of such as no program writes: ggml's docs/gguf.md."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

TEXT, ARRAY, UINT32, FLOAT32, BOOL = 8, 9, 4, 6, 7


def text(value: str) -> bytes:
    content = value.encode()
    return struct.pack("<Q", len(content)) + content


def value(given: Any) -> bytes:
    """Return the type and the bytes of a value."""
    match given:
        case bool():
            return struct.pack("<I?", BOOL, given)
        case int():
            return struct.pack("<II", UINT32, given)
        case float():
            return struct.pack("<If", FLOAT32, given)
        case str():
            return struct.pack("<I", TEXT) + text(given)
        case _:
            return array(given)


def array(items: Sequence[Any], count: int | None = None) -> bytes:
    """Return a list of values of one type, which may say that it has another `count`."""
    parts = [value(item) for item in items] or [struct.pack("<I", UINT32)]
    head = struct.pack("<I", ARRAY) + parts[0][:4]
    said = len(items) if count is None else count
    return head + struct.pack("<Q", said) + b"".join(part[4:] for part in parts)


def header(
    facts: Mapping[str, Any] | None = None,
    *,
    raw: Mapping[str, bytes] | None = None,
    version: int = 3,
    count: int | None = None,
) -> bytes:
    """Return a header with these facts, and those that are `raw` bytes of a type and a value."""
    pairs = {key: value(one) for key, one in (facts or {}).items()} | dict(raw or {})
    said = len(pairs) if count is None else count
    head = b"GGUF" + struct.pack("<IQQ", version, 0, said)
    return head + b"".join(text(key) + one for key, one in pairs.items())


def model(template: str | None, **facts: Any) -> bytes:
    """Return the header of a small llama model with this chat template."""
    named = {f"llama.{key}": one for key, one in facts.items()}
    tokens = ["<s>", "</s>", "a", "<tool_call>"]
    described = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.file_type": 15,
        "llama.context_length": 4096,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 2,
        **named,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }
    if template is not None:
        described["tokenizer.chat_template"] = template
    return header(described)
