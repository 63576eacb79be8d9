"""Model files as other programs lay them out: Ollama, LM Studio, the hub's cache."""

import hashlib
import json
from pathlib import Path

from antiphon.weights.elsewhere import OtherStores

GGUF = b"GGUF" + bytes(996)
COMMIT = "c0ffee" * 6 + "1234"


def ollama_model(
    root: Path, model: str = "qwen3.5", tag: str = "4b", content: bytes = GGUF
) -> Path:
    """Write a model as Ollama keeps it, `HOST/OWNER/NAME` or of its library; return its blob."""
    name = model if "/" in model else f"registry.ollama.ai/library/{model}"
    digest = hashlib.sha256(content).hexdigest()
    blob = root / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    manifest = root / "manifests" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    image = "application/vnd.ollama.image"
    layers = [
        {"mediaType": f"{image}.model", "digest": f"sha256:{digest}", "size": len(content)},
        {"mediaType": f"{image}.license", "digest": f"sha256:{'0' * 64}", "size": 10},
    ]
    whole = {"schemaVersion": 2, "config": {"digest": f"sha256:{'1' * 64}"}, "layers": layers}
    manifest.write_text(json.dumps(whole), encoding="utf-8")
    return blob


def studio_model(root: Path, name: str = "o/r/m-Q4_K_M.gguf", content: bytes = GGUF) -> Path:
    """Write a file as LM Studio keeps it: `OWNER/REPO/FILE`."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def cached_model(
    root: Path, repository: str = "o/r", file: str = "m-Q4_K_M.gguf", content: bytes = GGUF
) -> Path:
    """Write a file as the hub's tools keep it: a link to a blob, below the commit of `main`."""
    folder = root / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
    path = folder / "snapshots" / COMMIT / file
    for made in (blob.parent, path.parent, folder / "refs"):
        made.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    path.symlink_to(blob)
    (folder / "refs" / "main").write_text(COMMIT, encoding="ascii")
    return path


def stores_below(root: Path) -> OtherStores:
    """Return stores in three folders, which need not exist."""
    return OtherStores((root / "ollama",), (root / "studio",), (root / "hub",))
