import http.client
from pathlib import Path

import pytest

from antiphon.weights.download import PAUSES_S, RemoteFile, download, fetch_url
from antiphon.weights.source import PullError, sidecar_path
from antiphon.weights.spec import UrlSpec
from tests.weights.conftest import Recorder, Served, WebServer


class Interrupting:
    """Presses Ctrl-C when `limit` bytes are there."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.done = 0

    def started(self, total: int | None, done: int) -> None: ...

    def advanced(self, count: int) -> None:
        self.done += count
        if self.done >= self.limit:
            raise KeyboardInterrupt

    def note(self, text: str) -> None: ...

    def finished(self) -> None: ...


def remote(web: WebServer) -> RemoteFile:
    return RemoteFile(f"{web.url}/tiny.gguf", origin="tiny")


def no_sleep(_: float) -> None: ...


def interrupt(web: WebServer, partial: Path, limit: int = 1) -> int:
    web.cuts.append(200_000)
    with pytest.raises(KeyboardInterrupt):
        download(remote(web), partial, Interrupting(limit))
    web.cuts.clear()
    return partial.stat().st_size


def test_a_file_arrives_whole(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    source = download(remote(web), partial, progress)
    assert partial.read_bytes() == model.content
    assert source == {"etag": '"one"'}
    assert progress.starts == [(len(model.content), 0)]
    assert progress.done == len(model.content)


def test_cut_connection_resumes_at_the_last_byte(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    web.cuts = [100_000, 50_000]
    download(remote(web), partial, progress, no_sleep)
    assert partial.read_bytes() == model.content
    assert web.gets() == [None, "bytes=100000-", "bytes=150000-"]
    assert progress.starts[1:] == [(len(model.content), 100_000), (len(model.content), 150_000)]
    assert progress.done == len(model.content)
    assert len(progress.notes) == 2


def test_resumed_pull_requests_only_the_missing_bytes(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    kept = interrupt(web, partial)
    download(remote(web), partial, progress)
    assert web.gets() == [None, f"bytes={kept}-"]
    assert web.gets("if-range") == [None, '"one"']
    assert progress.starts == [(len(model.content), kept)]
    assert partial.read_bytes() == model.content


def test_last_modified_stands_in_for_a_weak_etag(
    web: WebServer, model: Served, partial: Path, progress: Recorder, yesterday: str
) -> None:
    model.etag, model.last_modified = 'W/"one"', yesterday
    kept = interrupt(web, partial)
    download(remote(web), partial, progress)
    assert web.gets("if-range") == [None, yesterday]
    assert web.gets() == [None, f"bytes={kept}-"]
    assert partial.read_bytes() == model.content


def test_download_without_a_validator_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    model.etag = None
    interrupt(web, partial)
    download(remote(web), partial, progress)
    assert web.gets() == [None, None]
    assert partial.read_bytes() == model.content


def test_a_changed_file_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    interrupt(web, partial)
    model.content, model.etag = model.content[::-1], '"two"'
    source = download(remote(web), partial, progress)
    assert partial.read_bytes() == model.content
    assert source == {"etag": '"two"'}


def test_a_changed_file_begins_anew_where_if_range_is_ignored(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    interrupt(web, partial)
    web.knows_if_range = False
    model.content, model.etag = model.content[::-1], '"two"'
    download(remote(web), partial, progress, no_sleep)
    assert partial.read_bytes() == model.content
    assert web.gets()[2] is None


def test_a_shorter_file_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    interrupt(web, partial)
    web.knows_if_range = False
    model.content = model.content[:9]
    download(remote(web), partial, progress, no_sleep)
    assert partial.read_bytes() == model.content


def test_a_server_that_ignores_range_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    interrupt(web, partial)
    web.knows_range = False
    download(remote(web), partial, progress)
    assert web.gets()[1] is not None
    assert partial.read_bytes() == model.content


def test_a_partial_file_of_another_origin_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    interrupt(web, partial)
    download(RemoteFile(f"{web.url}/tiny.gguf", origin="other"), partial, progress)
    assert web.gets() == [None, None]
    assert partial.read_bytes() == model.content


@pytest.mark.parametrize("sidecar", [b"{", b'{"origin": "\xff"}'])
def test_a_damaged_sidecar_begins_anew(
    web: WebServer, model: Served, partial: Path, progress: Recorder, sidecar: bytes
) -> None:
    interrupt(web, partial)
    sidecar_path(partial).write_bytes(sidecar)
    download(remote(web), partial, progress)
    assert web.gets() == [None, None]
    assert partial.read_bytes() == model.content


@pytest.mark.usefixtures("model")
def test_complete_partial_file_needs_no_request(
    web: WebServer, partial: Path, progress: Recorder
) -> None:
    source = download(remote(web), partial, progress)
    assert download(remote(web), partial, progress) == source
    assert len(web.requests) == 1


@pytest.mark.usefixtures("model")
def test_a_server_that_promises_too_much_is_an_error(
    web: WebServer, partial: Path, progress: Recorder
) -> None:
    web.extra_length = 7
    pauses: list[float] = []
    with pytest.raises(PullError, match=r"7 bytes before the end|not the one"):
        download(remote(web), partial, progress, pauses.append)
    assert len(web.requests) < 10
    assert pauses[-len(PAUSES_S) :] == list(PAUSES_S)


def test_download_without_a_stated_length_is_kept(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    web.sends_length = False
    download(remote(web), partial, progress)
    assert progress.starts == [(None, 0)]
    assert partial.read_bytes() == model.content


def test_download_from_a_busy_server_is_retried(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    web.statuses = [503, 429]
    pauses: list[float] = []
    download(remote(web), partial, progress, pauses.append)
    assert partial.read_bytes() == model.content
    assert pauses == list(PAUSES_S[:2])


def test_a_refusal_is_an_error_at_once(web: WebServer, partial: Path, progress: Recorder) -> None:
    with pytest.raises(PullError, match=r"404 Not Found\. Check the address"):
        download(remote(web), partial, progress)
    assert len(web.requests) == 1


def test_a_host_that_does_not_answer_is_an_error(
    web: WebServer, partial: Path, progress: Recorder, unused_port: int
) -> None:
    gone = RemoteFile(f"http://127.0.0.1:{unused_port}/tiny.gguf", "tiny")
    with pytest.raises(
        PullError,
        match=r"No connection to 127.*: Connection refused .*nothing came\)\. Offline, .*--model",
    ):
        download(gone, partial, progress, no_sleep)
    assert not web.requests


@pytest.mark.usefixtures("model")
def test_answer_that_is_not_http_is_an_error(
    web: WebServer, partial: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbled(*_: object) -> None:
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr(http.client.HTTPResponse, "read1", garbled)
    with pytest.raises(PullError, match="The connection broke"):
        download(remote(web), partial, progress, no_sleep)


def test_more_than_the_disk_holds_is_an_error(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    web.extra_length = 1 << 60
    with pytest.raises(PullError, match=r"the disk of .* has .* free, 1.* are needed"):
        download(remote(web), partial, progress)
    assert len(model.content) > partial.stat().st_size == 0


def test_a_redirect_is_followed_without_the_authorization(
    web: WebServer, model: Served, partial: Path, progress: Recorder
) -> None:
    web.redirects["/moved.gguf"] = f"{web.url}/tiny.gguf"
    moved = RemoteFile(f"{web.url}/moved.gguf", "tiny", authorization="Bearer secret")
    download(moved, partial, progress)
    assert partial.read_bytes() == model.content
    assert web.gets("authorization") == ["Bearer secret", None]


def test_a_redirect_to_open_http_is_refused(
    web: WebServer, partial: Path, progress: Recorder
) -> None:
    web.redirects["/tiny.gguf"] = "http://192.0.2.1/tiny.gguf"
    with pytest.raises(PullError, match="not https"):
        download(remote(web), partial, progress)


def test_the_file_of_a_url_lies_under_its_own_name(
    web: WebServer, model: Served, tmp_path: Path, progress: Recorder
) -> None:
    web.files["/tiny.gguf?a=b"] = model
    fetched = fetch_url(UrlSpec(f"{web.url}/tiny.gguf?a=b", "ab" * 32), tmp_path, progress)
    assert fetched.name == "tiny.gguf"
    assert fetched.sha256 == "ab" * 32
    assert fetched.partial == tmp_path / "tiny.gguf.partial"


def test_a_host_that_does_not_exist_is_an_error(partial: Path, progress: Recorder) -> None:
    with pytest.raises(
        PullError, match=r"No connection to models\.invalid: [^\[]+Offline, .*--model"
    ):
        download(RemoteFile("https://models.invalid/m.gguf", "tiny"), partial, progress, no_sleep)
