"""From a name that people use to a file in the model store, over a hub."""

import hashlib
import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from antiphon.weights.hub_access import HubAccess
from antiphon.weights.pull import ensure_model, is_here, list_models
from antiphon.weights.source import PullError
from tests.weights.conftest import Recorder, Served, WebServer

COMMIT = "c0ffee" * 6 + "1234"
FILES = ("m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-F16.gguf")


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the token of this machine nor the models of its other programs."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    for name in ("HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))


@pytest.fixture
def hub(web: WebServer, gguf: bytes) -> HubAccess:
    """A hub with a repository of two models and a projector."""
    etag = hashlib.sha256(gguf).hexdigest()
    entries = [
        {"type": "file", "path": name, "size": len(gguf), "lfs": {"oid": etag}} for name in FILES
    ]
    listing = json.dumps(entries).encode()
    web.files["/api/models/o/r/tree/main?recursive=true"] = Served(listing)
    for name in FILES:
        web.files[f"/o/r/resolve/main/{name}"] = Served(
            gguf, f'"{etag}"', headers={"X-Repo-Commit": COMMIT}
        )
    return HubAccess(web.url)


def test_repository_is_pulled_once_and_needs_no_hub_afterwards(
    hub: HubAccess, web: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    path = ensure_model("hf:o/r", tmp_path, progress, hub)
    assert path.name == "m-Q4_K_M.gguf"
    assert [model.manifest.spec for model in list_models(tmp_path)] == ["hf:o/r/m-Q4_K_M.gguf"]
    assert progress.notes == ["hf:o/r is hf:o/r/m-Q4_K_M.gguf"]
    web.files.clear()
    for name in ("hf:o/r", "o/r:Q4_K_M", "https://huggingface.co/o/r/blob/main/m-Q4_K_M.gguf"):
        assert is_here(name, tmp_path)
        assert ensure_model(name, tmp_path, progress, hub) == path


def test_another_quantization_is_pulled_beside_it(hub: HubAccess, tmp_path: Path) -> None:
    first = ensure_model("hf:o/r", tmp_path, hub=hub)
    assert not is_here("o/r:Q8_0", tmp_path)
    second = ensure_model("o/r:Q8_0", tmp_path, hub=hub)
    assert (second.name, second != first) == ("m-Q8_0.gguf", True)
    # Both are here, and the order decides.
    assert ensure_model("hf:o/r", tmp_path, hub=hub) == first


def test_name_that_may_be_several_fetches_nothing(
    hub: HubAccess, web: WebServer, tmp_path: Path
) -> None:
    with pytest.raises(PullError, match=r"no model Q5_K_M\. Choose one of\n.*hf:o/r:Q4_K_M"):
        ensure_model("o/r:Q5_K_M", tmp_path, hub=hub)
    assert [path for _, path, _ in web.requests] == ["/api/models/o/r/tree/main?recursive=true"]
    assert not (tmp_path / "models").exists()
