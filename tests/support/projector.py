"""The smallest vision projector that llama.cpp loads, with random weights.

The model learns nothing of an image; its tokens, and the prompt around them, are real.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf

from support.tiny_models import drawn_weights, write_file

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
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_bool("clip.use_gelu", val=True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in VISION.items():
        _add(writer, f"clip.vision.{key}", value)
    for name, shape in TENSORS.items():
        # numpy names the sides of a tensor in the other order.
        writer.add_tensor(name, drawn_weights(name, shape[::-1], 0.0, 0.05))
    write_file(writer)
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    match value:
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case _:
            writer.add_array(key, value)
