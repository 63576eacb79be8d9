"""What the header of a model's file says: its size, context, memory, tokens and chat templates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from antiphon.engines.llama.gguf import Value
from antiphon.engines.llama.gguf_header import Header, HeaderError, read_header
from antiphon.engines.llama.kv_growth import Growth, growth
from antiphon.engines.llama.memory import ELEMENT_BYTES, bytes_of_token, whole
from antiphon.engines.llama.projector_file import ProjectorFile, projector_file
from antiphon.engines.llama.split_files import files_of

TEMPLATE: Final = "tokenizer.chat_template"
KV_TYPE: Final = "f16"
FILE_TYPES: Final[Mapping[int, str]] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
"""The names of llama.cpp for how most of the weights of a file are stored."""


class KvCache(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of what a model has read, as its file describes it.

    `bytes_per_token` is for each token of context, `None` if the file does not say enough. Unless
    it is `exact` it is the most that it can be: layers with a window of `sliding_window` tokens,
    compressed or recurrent ones take less. `layers` are those with keys and values. Of each slot,
    `growing` bytes are for each token of context, and `fixed` bytes are beside them.
    """

    type: str
    layers: int | None
    kv_heads: tuple[int, ...]
    key_length: int | None
    value_length: int | None
    sliding_window: int | None
    bytes_per_token: int | None
    exact: bool
    growing: int | None = None
    fixed: int = 0


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one file, or of the first part of several.

    `bytes` is the size of all parts that are there, and `missing` are the parts that are not.
    `context` is what the model was trained for. `templates` are its chat templates, by name; the
    usual one has the name `default`. `controls` are the texts of its control tokens, `begin` and
    `end` those of its first and last token. `projector` has the facts of a file that is one.
    """

    name: str | None
    architecture: str | None
    quantization: str | None
    bytes: int | None
    parts: int
    missing: int
    tensors: int
    vocabulary: int
    context: int | None
    kv_cache: KvCache
    templates: Mapping[str, str]
    controls: frozenset[str]
    begin: str
    end: str
    projector: ProjectorFile | None = None


def read_model_file(path: Path) -> ModelFile:
    """Read the header of a file on this machine. Raises `HeaderError` and `OSError`."""
    with path.open("rb") as stream:
        header = read_header(stream)
    found = [part.stat().st_size if part.is_file() else None for part in files_of(path)]
    sizes = [size for size in found if size is not None]
    missing = len(found) - len(sizes)
    return model_file(header, sum(sizes), parts=len(found), missing=missing)


def model_file(header: Header, size: int | None, *, parts: int = 1, missing: int = 0) -> ModelFile:
    """Return the facts of a header. Raises `HeaderError` for a later part of a model."""
    facts = header.facts
    if whole(facts.get("split.no")):
        raise HeaderError("it is a later part of a model; its first part has the facts")
    architecture = _text(facts, "general.architecture")
    kind = facts.get("general.file_type")
    return ModelFile(
        name=_text(facts, "general.name"),
        architecture=architecture,
        quantization=FILE_TYPES.get(kind) if isinstance(kind, int) else None,
        bytes=size,
        parts=parts,
        missing=missing,
        tensors=header.tensors,
        vocabulary=len(header.tokens),
        context=whole(facts.get(f"{architecture}.context_length")) or None,
        kv_cache=kv_cache(facts, architecture),
        templates=_templates(facts),
        controls=frozenset(map(header.token, header.controls)),
        begin=header.token(facts.get("tokenizer.ggml.bos_token_id")),
        end=header.token(facts.get("tokenizer.ggml.eos_token_id")),
        projector=projector_file(facts),
    )


def _text(facts: Mapping[str, Value], key: str) -> str | None:
    found = facts.get(key)
    return found if isinstance(found, str) and found else None


def _templates(facts: Mapping[str, Value]) -> dict[str, str]:
    """Return the chat templates; those of other names have the name behind a dot."""
    named = {
        "default" if key == TEMPLATE else key.removeprefix(f"{TEMPLATE}."): text
        for key, text in facts.items()
        if isinstance(text, str) and (key == TEMPLATE or key.startswith(f"{TEMPLATE}."))
    }
    return {name: text for name, text in named.items() if text}


def kv_cache(facts: Mapping[str, Value], architecture: str | None) -> KvCache:
    """Return what the metadata of a file say of its KV cache."""

    def count(name: str) -> int | None:
        return whole(facts.get(f"{architecture}.{name}")) or None

    layers, heads, width = count("block_count"), count("attention.head_count"), None
    if (embedding := count("embedding_length")) and heads:
        width = embedding // heads or None
    key = count("attention.key_length") or width
    value = count("attention.value_length") or width
    of_layers = _heads_of_layers(facts, architecture, layers)
    window = count("attention.sliding_window")
    exact = bytes_of_token(facts)
    at_most = sum(of_layers) * (key + value) * ELEMENT_BYTES if key and value else None
    grown = growth(facts, architecture, of_layers, key, value) if key and value else Growth(0, 0)
    return KvCache(
        type=KV_TYPE,
        layers=sum(1 for one in of_layers if one) or None,
        kv_heads=tuple(sorted({one for one in of_layers if one})),
        key_length=key,
        value_length=value,
        sliding_window=window,
        bytes_per_token=exact or at_most or None,
        exact=exact is not None,
        growing=grown.token or None,
        fixed=grown.slot,
    )


def _heads_of_layers(
    facts: Mapping[str, Value], architecture: str | None, layers: int | None
) -> list[int]:
    """Return the heads with keys and values of each layer; none if the file does not say."""
    name = f"{architecture}.attention.head_count"
    shared = facts.get(f"{name}_kv", facts.get(name))
    if isinstance(shared, list):
        return [whole(one) for one in shared]
    return [whole(shared)] * min(layers or 0, 1_000)
