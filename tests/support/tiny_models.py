"""Tiny models that llama.cpp loads: random weights, and a tokenizer and template that work.

There is one of each kind of memory that a model may have: all positions (plain attention), the last
few (sliding window), or one state that cannot be taken back (recurrent layers). The same call
writes the same bytes on every machine.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

import gguf
import msgspec
import numpy as np
from numpy.typing import NDArray

from support.templates import CHATML

WIDTH: Final = 64
HEADS: Final = 2
INNER: Final = 128
CONTEXT: Final = 8192
WINDOW: Final = 64
"""Tokens that the layers with a sliding window see."""
RECURRENT_WIDTH: Final = 2 * WIDTH
STATE: Final = 16
CONVOLVED: Final = 4

CONTROL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES: Final = ("t h", "th e", "i n", "a n", "an d", "Ġ a", "Ġ the", "e r", "o n")

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""The tensors of a model by their names; the last side is the one that lies together in memory."""


class Kind(StrEnum):
    """A kind of memory, named as the architecture of its model."""

    ATTENTION = "llama"
    SLIDING_WINDOW = "gemma3"
    RECURRENT = "granitehybrid"


LAYERS: Final[Mapping[Kind, int]] = {
    Kind.ATTENTION: 2,
    Kind.SLIDING_WINDOW: 6,  # Gemma 3: five layers with a window, then one without
    Kind.RECURRENT: 4,
}


class Family(msgspec.Struct, frozen=True):
    """The chat template and the control tokens of real models, and the tokens that one says."""

    template: str
    marks: tuple[str, ...]
    says: frozenset[str]


def write_model(
    kind: Kind,
    path: Path,
    *,
    seed: int = 1,
    context: int = CONTEXT,
    tokens_of: Path | None = None,
    endless: bool = False,
    family: Family | None = None,
    templates: Mapping[str, str] | None = None,
    control: Sequence[str] = CONTROL,
    tensors_of_part: int = 0,
) -> Path:
    """Write the GGUF file of a model of this kind; another seed gives other weights.

    What an `endless` model says of itself is ASCII and has no end. `tokens_of` is the file of a
    model whose tokenizer and chat template it has, in place of its own. Then it is larger, and
    endless. A `family` has the chat template and the marks of real models. `templates` are its
    chat templates by their names in the file, "" for the default; `control` are its control tokens,
    the first and the last of which begin and end a text. With `tensors_of_part` it is split over
    several files, whose first is returned.
    """
    writer = gguf.GGUFWriter(path, kind.value, split_max_tensors=tensors_of_part)
    tokens = own_tokens(family, control) if tokens_of is None else read_tokens(tokens_of)
    _add_tokenizer(writer, tokens)
    for name, template in ({"": tokens.template} if templates is None else templates).items():
        writer.add_string(f"tokenizer.chat_template{name and '.'}{name}", template)
    _add_sizes(writer, kind, len(tokens.texts), context)
    shapes = _shapes(kind, len(tokens.texts))
    for name in sorted(shapes):
        weights = drawn_weights(f"{seed} {name}", shapes[name], *_range(name, shapes[name]))
        if name == "output.weight" and family is not None:
            weights[[text not in family.says for text in tokens.texts]] = 0
        elif name == "output.weight" and (endless or tokens_of is not None):
            # Half a character has no text, and a text that is read again may have other tokens.
            weights[[not said for said in _are_ascii(tokens)]] = 0
        writer.add_tensor(name, weights)
    names = writer.format_shard_names(path) if tensors_of_part else [path]
    write_file(writer)
    return names[0]


def write_file(writer: gguf.GGUFWriter) -> None:
    """Write all that was added to a file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def drawn_weights(
    seed: str, shape: tuple[int, ...], middle: float, spread: float
) -> NDArray[np.float32]:
    """Return weights that depend on the arguments only, not on the machine or on numpy."""
    count = int(np.prod(shape))
    drawn = np.frombuffer(hashlib.shake_256(seed.encode()).digest(4 * count), dtype="<u4")
    return (middle + spread * (drawn / 2**31 - 1)).reshape(shape).astype(np.float32)


class Tokens(msgspec.Struct, frozen=True):
    """The tokenizer of a model: byte-level BPE, as GGUF files describe it."""

    texts: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    begin: int
    end: int
    template: str


def own_tokens(family: Family | None, control: Sequence[str]) -> Tokens:
    """Return a token for each byte, and a few merges; and one for each mark of a family."""
    merged = [merge.replace(" ", "") for merge in MERGES]
    end = len(control) - 1
    control = [*control, *(family.marks if family else ())]
    texts = [*control, *_byte_characters(), *merged]
    normal = [int(gguf.TokenType.NORMAL)] * (len(texts) - len(control))
    types = [int(gguf.TokenType.CONTROL)] * len(control) + normal
    template = family.template if family else CHATML
    return Tokens(texts, types, list(MERGES), "gpt-2", 0, end, template)


def read_tokens(file: Path) -> Tokens:
    found = _read_metadata(file)
    return Tokens(
        texts=found["tokenizer.ggml.tokens"],
        types=found["tokenizer.ggml.token_type"],
        merges=found["tokenizer.ggml.merges"],
        pre=found["tokenizer.ggml.pre"],
        begin=found["tokenizer.ggml.bos_token_id"],
        end=found["tokenizer.ggml.eos_token_id"],
        template=found["tokenizer.chat_template"],
    )


def _add_tokenizer(writer: gguf.GGUFWriter, tokens: Tokens) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokens.pre)
    writer.add_token_list(tokens.texts)
    writer.add_token_types(tokens.types)
    writer.add_token_merges(tokens.merges)
    writer.add_bos_token_id(tokens.begin)
    writer.add_eos_token_id(tokens.end)
    writer.add_add_bos_token(False)  # noqa: FBT003 - the writer's own interface


def _are_ascii(tokens: Tokens) -> list[bool]:
    """Return for each token whether it is normal text of ASCII; Ġ is a space, Ċ a newline."""
    signs = {*map(chr, range(0x21, 0x7F)), "Ġ", "Ċ"}
    normal = gguf.TokenType.NORMAL
    kinds = zip(tokens.texts, tokens.types, strict=True)
    return [kind == normal and signs.issuperset(text) for text, kind in kinds]


HEAD_BYTES: Final = 4 << 20
"""Of a file that has a tokenizer; gguf's own reader takes 5 seconds for one of 49,152 tokens."""
SCALARS: Final = {4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q"}
STRING, ARRAY = 8, 9


def _read_metadata(file: Path) -> dict[str, Any]:
    """Read all metadata of a GGUF file; the format is that of ggml's docs/gguf.md."""
    with file.open("rb") as opened:
        data = opened.read(HEAD_BYTES)
    at = 4 + 4 + 8  # behind "GGUF", the version and the number of tensors

    def number(form: str) -> Any:
        nonlocal at
        (found,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return found

    def value(kind: int) -> Any:
        nonlocal at
        if kind == STRING:
            size = number("<Q")
            at += size
            return data[at - size : at].decode()
        if kind == ARRAY:
            kind, count = number("<I"), number("<Q")
            return [value(kind) for _ in range(count)]
        return number(SCALARS[kind])

    return {value(STRING): value(number("<I")) for _ in range(number("<Q"))}


def _byte_characters() -> list[str]:
    """Return the character that stands for each byte: itself, or one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(0x100)]


def _add_sizes(writer: gguf.GGUFWriter, kind: Kind, vocabulary: int, context: int) -> None:
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS[kind])
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    match kind:
        case Kind.ATTENTION:
            writer.add_head_count_kv(HEADS)
        case Kind.SLIDING_WINDOW:
            writer.add_head_count_kv(HEADS)
            writer.add_key_length(WIDTH // HEADS)
            writer.add_value_length(WIDTH // HEADS)
            writer.add_sliding_window(WINDOW)
        case Kind.RECURRENT:
            layers = range(LAYERS[kind])
            writer.add_head_count_kv([0 if _is_recurrent(layer) else HEADS for layer in layers])
            writer.add_ssm_conv_kernel(CONVOLVED)
            writer.add_ssm_inner_size(RECURRENT_WIDTH)
            writer.add_ssm_state_size(STATE)
            writer.add_ssm_time_step_rank(HEADS)
            writer.add_ssm_group_count(1)


def _is_recurrent(layer: int) -> bool:
    return layer % 2 == 0


def _shapes(kind: Kind, vocabulary: int) -> Shapes:
    shapes: Shapes = {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),  # tied to the embeddings, it would repeat the prompt
    }
    for layer in range(LAYERS[kind]):
        block = _feed_forward() | BLOCKS[kind](layer)
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def _feed_forward() -> Shapes:
    return {
        "ffn_norm.weight": (WIDTH,),
        "ffn_gate.weight": (INNER, WIDTH),
        "ffn_up.weight": (INNER, WIDTH),
        "ffn_down.weight": (WIDTH, INNER),
    }


def _attention(_layer: int) -> Shapes:
    sides = ("attn_q", "attn_k", "attn_v", "attn_output")
    return {"attn_norm.weight": (WIDTH,), **{f"{side}.weight": (WIDTH, WIDTH) for side in sides}}


def _windowed(layer: int) -> Shapes:
    return _attention(layer) | {
        "attn_q_norm.weight": (WIDTH // HEADS,),
        "attn_k_norm.weight": (WIDTH // HEADS,),
        "post_attention_norm.weight": (WIDTH,),
        "post_ffw_norm.weight": (WIDTH,),
    }


def _hybrid(layer: int) -> Shapes:
    if not _is_recurrent(layer):
        return _attention(layer)
    convolved = RECURRENT_WIDTH + 2 * STATE
    return {
        "attn_norm.weight": (WIDTH,),
        "ssm_in.weight": (RECURRENT_WIDTH + convolved + HEADS, WIDTH),
        "ssm_conv1d.weight": (convolved, CONVOLVED),
        "ssm_conv1d.bias": (convolved,),
        "ssm_dt.bias": (HEADS,),
        "ssm_a": (HEADS, 1),
        "ssm_d": (HEADS, 1),
        "ssm_norm.weight": (1, RECURRENT_WIDTH),
        "ssm_out.weight": (WIDTH, RECURRENT_WIDTH),
    }


BLOCKS: Final[Mapping[Kind, Callable[[int], Shapes]]] = {
    Kind.ATTENTION: _attention,
    Kind.SLIDING_WINDOW: _windowed,
    Kind.RECURRENT: _hybrid,
}


def _range(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the middle and the spread of the weights of a tensor."""
    even = float(np.sqrt(3 / shape[-1]))  # values keep their size from layer to layer
    if name.endswith("ssm_a"):
        return -1, 0.5  # a state decays
    if "attn_q" in name or "attn_k" in name:
        # Sharp attention: a few positions decide, also distant ones.
        return (2, 0.1) if "norm" in name else (0, 2 * even)
    return (1, 0.1) if "norm" in name else (0, even)
