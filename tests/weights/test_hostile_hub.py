"""Hubs and servers that answer what none should: each answer is refused, in time, with a reason."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from antiphon.weights.download import RemoteFile, download
from antiphon.weights.file_names import parts_of
from antiphon.weights.hub_access import HubAccess
from antiphon.weights.hub_listing import list_files, resolve_repository
from antiphon.weights.hub_names import RepositorySpec
from antiphon.weights.progress import SilentProgress
from antiphon.weights.pull import ensure_model
from antiphon.weights.repository import ListedFile, models_of
from antiphon.weights.source import PullError
from antiphon.weights.space import LEAST_FREE
from tests.weights.conftest import Recorder, Served, WebServer

REPO = RepositorySpec("o", "r")
TREE = "/api/models/o/r/tree/main?recursive=true"


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the token of this machine nor its mode."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.parametrize(
    "content",
    [
        b'[{"type": "file", "path": "\xff.gguf"}]',
        b'[{"type": "file", "path": "m.gguf", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        b'[{"type": "file", "path": "m.gguf", "size": ' + b"9" * 5000 + b"}]",
        b'[{"type": "file", "path": "\\ud800.gguf"}]',
    ],
    ids=["no UTF-8", "deep", "large number", "half of a pair"],
)
def test_listing_that_cannot_be_read_is_refused(web: WebServer, content: bytes) -> None:
    web.files[TREE] = Served(content)
    with pytest.raises(PullError, match="does not answer as a hub does"):
        list_files(REPO, HubAccess(web.url))


@pytest.mark.parametrize("link", ["https://[1", "http://127.0.0.1:x/", "/é", "/a b", "//"])
def test_next_page_that_is_no_address_is_refused(web: WebServer, link: str) -> None:
    web.files[TREE] = Served(b"[]", headers={"Link": f'<{link}>; rel="next"'})
    with pytest.raises(PullError):
        list_files(REPO, HubAccess(web.url))


def test_listing_of_more_files_than_any_has_is_refused(web: WebServer) -> None:
    entries = [{"type": "file", "path": f"{number}.gguf"} for number in range(20_001)]
    web.files[TREE] = Served(json.dumps(entries).encode())
    with pytest.raises(PullError, match="more than 20,000 files"):
        list_files(REPO, HubAccess(web.url))


def test_counts_of_parts_that_lie_cost_nothing(web: WebServer) -> None:
    entries = [
        {"type": "file", "path": f"m{number}-Q4_K_M-00001-of-01000.gguf"}
        for number in range(20_000)
    ]
    web.files[TREE] = Served(json.dumps(entries).encode())
    with pytest.raises(PullError, match=r"(?s)may be several models.*and 19,976 more"):
        resolve_repository(REPO, HubAccess(web.url))


@pytest.mark.parametrize(
    "location", ["https://[1", "http://127.0.0.1:x/m.gguf", "file:///m.gguf", "//"]
)
def test_redirect_to_what_is_no_address_is_refused(
    web: WebServer, tmp_path: Path, location: str
) -> None:
    web.redirects[TREE] = location
    with pytest.raises(PullError):
        list_files(REPO, HubAccess(web.url))
    web.redirects["/m.gguf"] = location
    with pytest.raises(PullError):
        ensure_model(f"{web.url}/m.gguf", tmp_path)
    web.redirects["/o/r/resolve/main/m.gguf"] = location
    with pytest.raises(PullError):
        ensure_model("hf:o/r/m.gguf", tmp_path, hub=HubAccess(web.url))


def test_file_without_an_end_does_not_fill_the_disk(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = LEAST_FREE + 1

    def used(_: Path) -> Usage:
        Usage.free -= 1
        return Usage()

    monkeypatch.setattr("shutil.disk_usage", used)
    monkeypatch.setattr("antiphon.weights.download.LOOK_EVERY", 100_000)
    web.sends_length = False
    web.files["/m.gguf"] = Served(b"GGUF" + bytes(5_000_000))
    said = r"the disk of .* has 268\.4 MB free, 268\.4 MB are needed"
    with pytest.raises(PullError, match=said):
        ensure_model(f"{web.url}/m.gguf", tmp_path)
    left = [path.suffix for path in (tmp_path / "models").rglob("*") if path.is_file()]
    assert left in ([], [".lock"])


def test_disk_that_others_fill_meanwhile_keeps_room_for_the_database(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"GGUF" + bytes(5_000_000)

    class Usage:
        free = LEAST_FREE + len(content)

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    monkeypatch.setattr("antiphon.weights.download.LOOK_EVERY", 100_000)
    web.files["/m.gguf"] = Served(content)

    class Others(SilentProgress):
        def advanced(self, count: int) -> None:
            assert count
            Usage.free = LEAST_FREE - 1

    with pytest.raises(PullError, match=r"are needed. Free some space"):
        ensure_model(f"{web.url}/m.gguf", tmp_path, Others())
    # What came is kept, and fetched no second time.
    (partial,) = (tmp_path / "models").rglob("*.partial")
    assert 100_000 <= partial.stat().st_size < len(content)
    Usage.free = LEAST_FREE + len(content)
    assert ensure_model(f"{web.url}/m.gguf", tmp_path).read_bytes() == content


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 400, "9" * 30])
def test_length_that_no_file_has_is_refused(web: WebServer, tmp_path: Path, length: str) -> None:
    web.sends_length = False
    headers = {"Content-Length": length, "X-Repo-Commit": "1" * 40}
    served = Served(b"GGUF" + bytes(100), headers=headers)
    web.files |= {"/m.gguf": served, "/o/r/resolve/main/m.gguf": served}
    with pytest.raises(PullError, match="states a size that no file has"):
        ensure_model(f"{web.url}/m.gguf", tmp_path)
    with pytest.raises(PullError):
        ensure_model("hf:o/r/m.gguf", tmp_path, hub=HubAccess(web.url))


def test_series_with_a_wrong_number_or_foreign_digits_is_none() -> None:
    files = [ListedFile("m-00007-of-00002.gguf", 1), ListedFile("m-00001-of-00002.gguf", 1)]
    (model,) = models_of(files)
    assert (model.size, model.missing) == (1, "m-00002-of-00002.gguf")
    # Digits of another script are letters of a name.
    name = "m-\u0660\u0660\u0660\u0660\u0661-of-\u0660\u0660\u0660\u0660\u0661.gguf"
    assert parts_of(name) == (name,)


ESCAPE = "\x1b]0;own\x07\x1b[2J"


def test_what_a_server_writes_moves_no_cursor(web: WebServer, tmp_path: Path) -> None:
    """The reason of a refusal, and an address to go to, stand in messages on a terminal."""
    web.reason = ESCAPE
    said = list[str]()
    for status in (418, 404, 503):
        recorder = Recorder()
        web.statuses += [status] * 8
        with pytest.raises(PullError) as caught:
            download(
                RemoteFile(f"{web.url}/m.gguf", "x"), tmp_path / "m.partial", recorder, no_sleep
            )
        said += [str(caught.value), *recorder.notes]
        web.statuses.clear()
    web.redirects["/m.gguf"] = f"http://models.example/{ESCAPE}"
    with pytest.raises(PullError) as caught:
        ensure_model(f"{web.url}/m.gguf", tmp_path)
    said.append(str(caught.value))
    web.redirects["/o/r/resolve/main/m.gguf"] = web.redirects["/m.gguf"]
    with pytest.raises(PullError) as caught:
        ensure_model("hf:o/r/m.gguf", tmp_path, hub=HubAccess(web.url))
    said.append(str(caught.value))
    assert len(said) == 8
    assert [text for text in said if not text.replace("\n", "").isprintable()] == []


def no_sleep(_: float) -> None:
    pass
