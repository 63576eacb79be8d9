"""What the file of a projector says of it."""

from pathlib import Path

from antiphon.engines.llama.projector_file import mismatch, read_projector, seen_pixels
from support.gguf_bytes import header, model
from support.projector import write_projector


def test_written_projector_is_read(tmp_path: Path) -> None:
    found = read_projector(write_projector(tmp_path / "mmproj.gguf", 64))
    assert found is not None
    assert (found.kind, found.sees, found.width) == ("mlp", True, 64)
    assert (found.image_size, found.patch_size, found.merged) == (32, 16, None)
    assert (found.seen_pixels, found.token_pixels, found.most_tokens) == (None, None, None)


def test_kind_of_a_projector_for_images_and_sounds_is_that_for_images(tmp_path: Path) -> None:
    path = tmp_path / "mmproj.gguf"
    kinds = {"clip.vision.projector_type": "gemma4v", "clip.audio.projector_type": "gemma4a"}
    path.write_bytes(header({"general.architecture": "clip", **kinds}))
    found = read_projector(path)
    assert found is not None
    assert (found.kind, found.sees) == ("gemma4v", False)


def test_pixels_that_a_model_sees_are_known_where_the_file_says_them(tmp_path: Path) -> None:
    limited = write_projector(tmp_path / "a.gguf", 64, image_max_pixels=5000)
    assert seen_pixels(str(limited)) == 5000
    tiles = write_projector(tmp_path / "b.gguf", 64, preproc_max_tiles=3)
    assert seen_pixels(str(tiles)) == 3 * 32 * 32
    assert seen_pixels(str(write_projector(tmp_path / "c.gguf", 64))) is None
    assert seen_pixels(str(tmp_path / "none.gguf")) is None
    assert seen_pixels(None) is None


def test_projector_of_another_model_is_recognised(tmp_path: Path) -> None:
    weights, projector = tmp_path / "model.gguf", write_projector(tmp_path / "mmproj.gguf", 64)
    weights.write_bytes(model(None, embedding_length=64))
    assert mismatch(weights, projector) is None
    weights.write_bytes(model(None, embedding_length=96))
    assert mismatch(weights, projector) == (
        f"{projector} is a projector for embeddings of 64, and those of this model have 96: "
        "it belongs to another model"
    )
    assert mismatch(weights, weights) == f"{weights} is no projector"
    assert mismatch(weights, tmp_path / "none.gguf") is None
