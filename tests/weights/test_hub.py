import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from antiphon.secret import Secret
from antiphon.weights.hub import fetch_hub
from antiphon.weights.hub_access import HubAccess
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.pull import list_models
from antiphon.weights.source import PullError
from tests.weights.conftest import Recorder, Served, WebServer

COMMIT = "c0ffee" * 6 + "1234"
PLACE = "/owner/repo/resolve/main/sub/tiny.gguf"
SPEC = HubSpec("owner", "repo", "sub/tiny.gguf")


def no_sleep(_: float) -> None: ...


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the token of this machine nor a question to the real hub."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def hub(web: WebServer, gguf: bytes) -> WebServer:
    """A hub that keeps `sub/tiny.gguf` of `owner/repo` itself, as an LFS file."""
    etag = f'"{hashlib.sha256(gguf).hexdigest()}"'
    web.files[PLACE] = Served(gguf, etag, headers={"X-Repo-Commit": COMMIT})
    return web


@pytest.fixture
def hub_with_cdn(hub: WebServer, gguf: bytes) -> WebServer:
    """The same, with the file on another host, as the real one has it."""
    hub.files["/blob"] = Served(gguf, '"of the CDN"')
    del hub.files[PLACE]
    hub.redirects[PLACE] = f"{hub.url.replace('127.0.0.1', 'localhost')}/blob?signature=1"
    hub.files["/blob?signature=1"] = hub.files["/blob"]
    hub.redirect_headers = {
        "X-Repo-Commit": COMMIT,
        "X-Linked-ETag": f'"{hashlib.sha256(gguf).hexdigest()}"',
        "X-Linked-Size": str(len(gguf)),
    }
    return hub


def test_a_file_comes_with_its_checksum_and_commit(
    hub: WebServer, gguf: bytes, tmp_path: Path, progress: Recorder
) -> None:
    fetched = fetch_hub(SPEC, tmp_path, progress, HubAccess(hub.url))
    assert fetched.partial.read_bytes() == gguf
    assert fetched.name == "tiny.gguf"
    assert fetched.sha256 == hashlib.sha256(gguf).hexdigest()
    assert fetched.source["revision"] == COMMIT
    assert progress.done == len(gguf)


def test_interrupted_download_resumes_from_another_signed_url(
    hub_with_cdn: WebServer, gguf: bytes, tmp_path: Path, progress: Recorder
) -> None:
    hub_with_cdn.cuts = [100_000]
    with pytest.raises(KeyboardInterrupt):
        fetch_hub(SPEC, tmp_path, progress, HubAccess(hub_with_cdn.url), interrupt)
    hub_with_cdn.files["/blob?other=2"] = hub_with_cdn.files["/blob"]
    hub_with_cdn.redirects[PLACE] = hub_with_cdn.redirects[PLACE].replace("signature=1", "other=2")
    fetched = fetch_hub(SPEC, tmp_path, progress, HubAccess(hub_with_cdn.url))
    assert fetched.partial.read_bytes() == gguf
    assert hub_with_cdn.gets()[-1] == "bytes=100000-"


def interrupt(_: float) -> None:
    raise KeyboardInterrupt


def test_a_file_outside_lfs_has_no_checksum(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    hub.files[PLACE].etag = '"0123456789"'
    assert fetch_hub(SPEC, tmp_path, progress, HubAccess(hub.url)).sha256 is None


def test_a_revision_is_asked_for(hub: WebServer, tmp_path: Path, progress: Recorder) -> None:
    hub.files[PLACE.replace("main", "v1")] = hub.files.pop(PLACE)
    spec = HubSpec("owner", "repo", "sub/tiny.gguf", "v1")
    assert fetch_hub(spec, tmp_path, progress, HubAccess(hub.url)).partial.exists()


def test_a_missing_file_is_an_error(hub: WebServer, tmp_path: Path, progress: Recorder) -> None:
    spec = HubSpec("owner", "repo", "other.gguf")
    with pytest.raises(PullError, match=r"hf:owner/repo/other.gguf: .*404"):
        fetch_hub(spec, tmp_path, progress, HubAccess(hub.url))


def test_a_name_that_no_hub_takes_is_an_error(tmp_path: Path, progress: Recorder) -> None:
    spec = HubSpec("owner", "a--b", "m.gguf")
    with pytest.raises(PullError, match="no repository of such a name"):
        fetch_hub(spec, tmp_path, progress, HubAccess("http://127.0.0.1:9"))


def test_a_server_that_is_no_hub_is_an_error(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    hub.files[PLACE].headers.clear()
    with pytest.raises(PullError, match="does not answer as a hub does"):
        fetch_hub(SPEC, tmp_path, progress, HubAccess(hub.url))


def test_a_hub_that_does_not_answer_is_an_error(
    unused_port: int, tmp_path: Path, progress: Recorder
) -> None:
    away = rf"not here yet, and 127.0.0.1:{unused_port} cannot be reached: Connection refused\."
    with pytest.raises(PullError, match=rf"{away} Offline, .*--model"):
        fetch_hub(SPEC, tmp_path, progress, HubAccess(f"http://127.0.0.1:{unused_port}"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, "RepoNotFound"), "no such repository, or it is private: then set HF_TOKEN"),
        ((404, "RevisionNotFound"), "no such branch, tag or commit"),
        ((404, "EntryNotFound"), "the repository has no such file"),
        ((404, ""), r"127.0.0.1:\d+ answered 404: the name leads to no file"),
        ((403, "GatedRepo"), "asks for consent"),
        ((403, ""), "answered 403: HF_TOKEN does not give access"),
        ((503, ""), "answered 503. Try again later"),
    ],
)
def test_refusal_of_the_hub_is_put_in_words(
    hub: WebServer, tmp_path: Path, progress: Recorder, answer: tuple[int, str], said: str
) -> None:
    status, code = answer
    hub.statuses = [status] * 3
    hub.status_headers = {"X-Error-Code": code} if code else {}
    with pytest.raises(PullError, match=f"^hf:owner/repo/sub/tiny.gguf: .*{said}"):
        fetch_hub(SPEC, tmp_path, progress, HubAccess(hub.url))


def test_hub_that_is_switched_off_is_told(
    tmp_path: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PullError, match="HF_HUB_OFFLINE is set"):
        fetch_hub(SPEC, tmp_path, progress)


def ensure_in_process(hub: WebServer, folder: Path) -> None:
    settings = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "HF_HOME": str(folder / "hf")}
    code = "import sys, pathlib; from antiphon.weights.pull import ensure_model as e;"
    code += "e(sys.argv[1], pathlib.Path(sys.argv[2]))"
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"} | settings
    command = [sys.executable, "-c", code, str(SPEC), str(folder)]
    subprocess.run(command, check=True, env=environment, timeout=60)


def test_endpoint_and_token_of_the_environment_are_honoured(hub: WebServer, tmp_path: Path) -> None:
    ensure_in_process(hub, tmp_path)
    assert [each.manifest.spec for each in list_models(tmp_path)] == [str(SPEC)]
    assert hub.gets("authorization") == ["Bearer hf_secret"]


def test_the_token_stays_with_the_hub(hub_with_cdn: WebServer, tmp_path: Path) -> None:
    ensure_in_process(hub_with_cdn, tmp_path)
    asked = [headers for method, _, headers in hub_with_cdn.requests if method == "HEAD"]
    assert asked[0]["authorization"] == "Bearer hf_secret"
    assert hub_with_cdn.gets("authorization") == [None]
    assert list_models(tmp_path)[0].manifest.source["revision"] == COMMIT


def test_hub_that_sends_to_an_unencrypted_host_is_refused(
    hub_with_cdn: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    hub_with_cdn.redirects[PLACE] = "http://models.example/blob"
    with pytest.raises(PullError, match=r"sends to http://models\.example/blob, which is not http"):
        fetch_hub(SPEC, tmp_path, progress, HubAccess(hub_with_cdn.url))


def test_token_of_the_settings_is_sent_to_the_hub(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    fetch_hub(SPEC, tmp_path, progress, HubAccess(hub.url, Secret("hf_of_the_settings")))
    sent = {headers.get("authorization") for _, path, headers in hub.requests if path == PLACE}
    assert sent == {"Bearer hf_of_the_settings"}
