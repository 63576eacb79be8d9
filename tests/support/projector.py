"""The smallest vision projector that llama.cpp loads, with random weights.

The model learns nothing of an image; its tokens, and the prompt around them, are real.
"""

import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMAGE_TOKENS = 4
"""The tokens of an image of any size: 32 x 32 pixels in patches of 16."""
WIDTH = 16
INNER = 32
MODEL_WIDTH = 576
"""The width of SmolLM2-135M's embeddings."""

VISION: Mapping[str, Any] = {
    "image_size": 32,
    "patch_size": 16,
    "embedding_length": WIDTH,
    "feed_forward_length": INNER,
    "block_count": 2,
    "projection_dim": MODEL_WIDTH,
    "attention.head_count": 2,
    "attention.layer_norm_epsilon": 1e-5,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
METADATA: Mapping[str, Any] = {
    "general.architecture": "clip",
    "clip.has_vision_encoder": True,
    "clip.projector_type": "mlp",
    "clip.use_gelu": True,
    **{f"clip.vision.{key}": value for key, value in VISION.items()},
}
BLOCK_TENSORS: Mapping[str, tuple[int, ...]] = {
    **{f"{name}.weight": (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_out")},
    **{f"{name}.bias": (WIDTH,) for name in ("attn_q", "attn_k", "attn_v", "attn_out")},
    **{f"{name}.{part}": (WIDTH,) for name in ("ln1", "ln2") for part in ("weight", "bias")},
    "ffn_up.weight": (WIDTH, INNER),
    "ffn_up.bias": (INNER,),
    "ffn_down.weight": (INNER, WIDTH),
    "ffn_down.bias": (WIDTH,),
}
TENSORS: Mapping[str, tuple[int, ...]] = {
    "v.patch_embd.weight": (16, 16, 3, WIDTH),
    "v.position_embd.weight": (WIDTH, IMAGE_TOKENS),
    "mm.0.weight": (WIDTH, MODEL_WIDTH),
    "mm.0.bias": (MODEL_WIDTH,),
    "mm.2.weight": (MODEL_WIDTH, MODEL_WIDTH),
    "mm.2.bias": (MODEL_WIDTH,),
    **{f"v.blk.{n}.{name}": shape for n in range(2) for name, shape in BLOCK_TENSORS.items()},
}


def write_projector(path: Path) -> Path:
    """Write the GGUF file of a projector for SmolLM2-135M."""
    rng = random.Random(1)  # noqa: S311 - weights, no secrets
    head = b"GGUF" + struct.pack("<IQQ", 3, len(TENSORS), len(METADATA))
    head += b"".join(_text(key) + _value(value) for key, value in METADATA.items())
    weights = b""
    for name, shape in TENSORS.items():
        weights = _aligned(weights)
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0, len(weights))
        weights += _floats([rng.uniform(-0.05, 0.05) for _ in range(_size(shape))])
    path.write_bytes(_aligned(head) + weights)
    return path


def _size(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _aligned(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 32)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _floats(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
    return struct.pack("<IIQ", 9, 6, len(value)) + _floats(value)
