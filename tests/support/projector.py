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

VISION: Mapping[str, Any] = {
    "image_size": 32,
    "patch_size": 16,
    "embedding_length": WIDTH,
    "feed_forward_length": INNER,
    "block_count": 2,
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
    **{f"v.blk.{n}.{name}": shape for n in range(2) for name, shape in BLOCK_TENSORS.items()},
}


def write_projector(path: Path, model_width: int, **more: int) -> Path:
    """Write the GGUF file of a projector for a model whose embeddings are of this width.

    `more` are facts of its vision.
    """
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_bool("clip.use_gelu", val=True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in {**VISION, "projection_dim": model_width, **more}.items():
        _add(writer, f"clip.vision.{key}", value)
    for name, shape in {**TENSORS, **_onto(model_width)}.items():
        # numpy names the sides of a tensor in the other order.
        writer.add_tensor(name, drawn_weights(name, shape[::-1], 0.0, 0.05))
    write_file(writer)
    return path


def _onto(model_width: int) -> Mapping[str, tuple[int, ...]]:
    """Return the tensors of the last layers, which lead to the embeddings of the model."""
    return {
        "mm.0.weight": (WIDTH, model_width),
        "mm.0.bias": (model_width,),
        "mm.2.weight": (model_width, model_width),
        "mm.2.bias": (model_width,),
    }


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    match value:
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case _:
            writer.add_array(key, value)
