"""A model in several files: fetched, checked and resumed file by file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import constants

from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.model_store import verify
from antiphon.weights.parts import fetch_parts
from antiphon.weights.pull import check_local, ensure_model, list_models, located
from antiphon.weights.source import PullError
from antiphon.weights.spec import UrlSpec, parse_spec
from tests.weights.conftest import Recorder, Served, WebServer

COMMIT = "c0ffee" * 6 + "1234"
NAMES = [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
SPEC = HubSpec("o", "r", NAMES[0])


def no_sleep(_: float) -> None: ...


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def parts(gguf: bytes) -> Mapping[str, bytes]:
    return {name: gguf[: 300_000 - 1000 * n] for n, name in enumerate(NAMES)}


@pytest.fixture
def hub(web: WebServer, parts: Mapping[str, bytes]) -> WebServer:
    """A hub with the three files, of which the later ones are asked for by their commit."""
    for name, content in parts.items():
        revision = "main" if name == NAMES[0] else COMMIT
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        web.files[f"/o/r/resolve/{revision}/{name}"] = Served(
            content, etag, headers={"X-Repo-Commit": COMMIT}
        )
    return web


@pytest.fixture
def site(web: WebServer, parts: Mapping[str, bytes]) -> WebServer:
    for name, content in parts.items():
        web.files[f"/{name}"] = Served(content)
    return web


def test_parts_of_one_commit_are_fetched_and_checked(
    hub: WebServer, parts: Mapping[str, bytes], tmp_path: Path, progress: Recorder
) -> None:
    fetched = fetch_parts(SPEC, tmp_path, progress, HubAccess(hub.url), no_sleep)
    assert [one.name for one in fetched] == NAMES
    for one in fetched:
        assert one.partial.read_bytes() == parts[one.name]
        assert one.sha256 == hashlib.sha256(parts[one.name]).hexdigest()
        assert one.source["revision"] == COMMIT
    whole = sum(map(len, parts.values()))
    assert progress.done == whole
    assert {total for total, _ in progress.starts} == {whole}


def test_missing_part_of_the_hub_is_named_before_anything_is_fetched(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    del hub.files[f"/o/r/resolve/{COMMIT}/{NAMES[1]}"]
    with pytest.raises(PullError, match=NAMES[1]):
        fetch_parts(SPEC, tmp_path, progress, HubAccess(hub.url), no_sleep)
    assert not list(tmp_path.iterdir())


def test_part_that_is_not_as_stated_is_deleted_and_others_stay(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    second = hub.files[f"/o/r/resolve/{COMMIT}/{NAMES[1]}"]
    second.content = second.content[:-1] + b"?"
    with pytest.raises(PullError, match=rf"{NAMES[1]} has SHA-256"):
        fetch_parts(SPEC, tmp_path, progress, HubAccess(hub.url), no_sleep)
    assert (tmp_path / f"{NAMES[0]}.partial").exists()
    assert not (tmp_path / f"{NAMES[1]}.partial").exists()


def test_interrupted_parts_are_resumed_where_they_broke(
    site: WebServer, parts: Mapping[str, bytes], tmp_path: Path, progress: Recorder
) -> None:
    url = f"{site.url}/{NAMES[0]}"
    # Three looks at the sizes; then the first is whole, and the second breaks off for good.
    site.cuts = [0, 0, 0, len(parts[NAMES[0]]), 1000, 0, 0, 0]
    with pytest.raises(PullError, match="1,000 bytes are kept"):
        fetch_parts(UrlSpec(url), tmp_path, progress, USUAL_HUB, no_sleep)
    site.requests.clear()
    site.cuts = [0, 0, 0]
    fetch_parts(UrlSpec(url), tmp_path, progress, USUAL_HUB, no_sleep)
    # The server may note a request of the fetch before only now.
    ranges = [(path, headers.get("range")) for _, path, headers in site.requests[-2:]]
    assert ranges == [(f"/{NAMES[1]}", "bytes=1000-"), (f"/{NAMES[2]}", None)]


def test_split_model_is_kept_and_loaded_by_its_first_file(
    site: WebServer, parts: Mapping[str, bytes], tmp_path: Path
) -> None:
    url = f"{site.url}/{NAMES[2]}"
    path = ensure_model(url, tmp_path)
    assert path.name == NAMES[0]
    (model,) = list_models(tmp_path)
    assert (model.path, model.size) == (path, sum(map(len, parts.values())))
    assert verify(model)
    assert {one.name for one in path.parent.iterdir()} == {*NAMES, "model.json"}
    asked = len(site.requests)
    assert ensure_model(f"{site.url}/{NAMES[0]}", tmp_path) == path
    assert len(site.requests) == asked
    (path.parent / NAMES[1]).write_bytes(b"GGUF")
    assert not verify(model)
    assert located(parse_spec(url), tmp_path) is None


def test_crash_before_the_manifest_costs_no_second_download(
    site: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    spec = UrlSpec(f"{site.url}/{NAMES[0]}")
    for one in fetch_parts(spec, tmp_path, progress, USUAL_HUB, no_sleep)[:2]:
        one.partial.replace(tmp_path / one.name)
    site.requests.clear()
    fetch_parts(spec, tmp_path, progress, USUAL_HUB, no_sleep)
    assert len(site.requests) == len(NAMES)  # the looks at their sizes


def test_part_that_is_missing_on_the_disk_is_named(tmp_path: Path) -> None:
    for name in NAMES[:2]:
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(PullError, match=rf"several files, and {NAMES[2]} is missing"):
        check_local(tmp_path / NAMES[1], "m")
    (tmp_path / NAMES[2]).write_bytes(b"GGUF")
    assert check_local(tmp_path / NAMES[1], "m") == tmp_path / NAMES[0]


def test_file_that_no_disk_can_hold_is_refused_before_it_is_fetched(
    hub: WebServer, tmp_path: Path, progress: Recorder
) -> None:
    for served in hub.files.values():
        served.headers["X-Linked-Size"] = str(1 << 60)
    with pytest.raises(PullError, match="are needed"):
        fetch_parts(SPEC, tmp_path, progress, HubAccess(hub.url), no_sleep)
    assert hub.gets() == []
