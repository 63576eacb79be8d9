import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from antiphon.weights.model_store import verify
from antiphon.weights.pull import ensure_model, list_models, open_model_store, pull, remove_model
from antiphon.weights.source import PullError
from antiphon.weights.spec import SpecError, UrlSpec
from tests.weights.conftest import Recorder, Served, WebServer


@pytest.fixture
def url(web: WebServer, model: Served) -> str:
    assert model.content
    return f"{web.url}/tiny.gguf"


def start_process(url: str, data_dir: Path) -> "subprocess.Popen[bytes]":
    code = "import sys, pathlib; from antiphon.weights.pull import ensure_model as e;"
    code += "e(sys.argv[1], pathlib.Path(sys.argv[2]))"
    return subprocess.Popen([sys.executable, "-c", code, url, str(data_dir)])


def wait_for(path: Path, pattern: str, size: int) -> None:
    deadline = time.monotonic() + 20
    while not any(file.stat().st_size >= size for file in path.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_model_is_pulled_once(url: str, web: WebServer, model: Served, tmp_path: Path) -> None:
    path = ensure_model(url, tmp_path)
    assert path.read_bytes() == model.content
    assert path.is_relative_to(tmp_path / "models")
    assert ensure_model(url, tmp_path) == path
    assert len(web.requests) == 1
    (listed,) = list_models(tmp_path)
    assert listed.path == path
    assert verify(listed)
    assert {file.name for file in path.parent.iterdir()} == {"tiny.gguf", "model.json"}


def test_two_pulls_at_once_download_once(
    url: str, web: WebServer, tmp_path: Path, progress: Recorder, second_progress: Recorder
) -> None:
    web.go_on.clear()
    web.cuts = [1000]
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ensure_model, url, tmp_path, progress)
        wait_for(tmp_path, "models/*/*.partial", 1000)
        second = threads.submit(ensure_model, url, tmp_path, second_progress)
        assert second_progress.noted.wait(20)
        web.go_on.set()
        assert first.result() == second.result()
    assert web.gets() == [None, "bytes=1000-"]
    assert not second_progress.starts


def test_two_processes_at_once_download_once(url: str, web: WebServer, tmp_path: Path) -> None:
    web.go_on.clear()
    processes = [start_process(url, tmp_path) for _ in range(2)]
    threading.Timer(1, web.go_on.set).start()
    assert [process.wait(30) for process in processes] == [0, 0]
    assert web.gets() == [None]
    assert len(list_models(tmp_path)) == 1


def test_killed_pull_leaves_no_model_and_resumes(
    url: str, web: WebServer, model: Served, tmp_path: Path
) -> None:
    web.go_on.clear()
    web.cuts = [300_000]
    process = start_process(url, tmp_path)
    wait_for(tmp_path, "models/*/*.partial", 300_000)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    web.go_on.set()
    assert list_models(tmp_path) == []
    assert ensure_model(url, tmp_path).read_bytes() == model.content
    assert web.gets() == [None, "bytes=300000-"]


def test_interrupted_pull_leaves_no_model_and_resumes(
    url: str, web: WebServer, model: Served, tmp_path: Path
) -> None:
    class Interrupting(Recorder):
        def advanced(self, count: int) -> None:
            raise KeyboardInterrupt(count)

    web.cuts = [100_000]
    stopped = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        ensure_model(url, tmp_path, stopped)
    assert stopped.finishes == 1
    assert list_models(tmp_path) == []
    assert ensure_model(url, tmp_path).read_bytes() == model.content
    assert web.gets()[1] is not None


def test_a_wrong_checksum_is_an_error_and_nothing_is_kept(
    url: str, web: WebServer, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(PullError, match="expected abab"):
            ensure_model(f"{url}#sha256={'ab' * 32}", tmp_path)
    assert web.gets() == [None, None]
    assert not list(tmp_path.glob("models/*/*"))


def test_a_page_instead_of_a_model_is_an_error(url: str, model: Served, tmp_path: Path) -> None:
    model.content = b"<html>Please log in</html>"
    with pytest.raises(PullError, match="not a GGUF file"):
        ensure_model(url, tmp_path)
    assert list_models(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no disk that is always full")
def test_a_full_disk_is_an_error(url: str, tmp_path: Path) -> None:
    folder = open_model_store(tmp_path).folder(UrlSpec(url))
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.partial").symlink_to("/dev/full")
    with pytest.raises(PullError, match="No space left on device"):
        ensure_model(url, tmp_path)


def test_file_as_data_folder_is_an_error(url: str, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    with pytest.raises(PullError, match=f"{occupied}.*: Not a directory"):
        ensure_model(url, occupied)


def test_a_removed_model_is_pulled_again(url: str, web: WebServer, tmp_path: Path) -> None:
    path = ensure_model(url, tmp_path)
    size = path.stat().st_size
    removed = remove_model(url, tmp_path)
    assert (removed.spec, removed.size > size) == (url, True)
    assert not path.exists()
    with pytest.raises(PullError, match=r"there is no model .*; models that are there: none"):
        remove_model(url, tmp_path)
    assert ensure_model(url, tmp_path) == path
    assert len(web.requests) == 2


def test_a_failed_pull_leaves_no_folder(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(PullError):
        ensure_model(f"{web.url}/none.gguf", tmp_path)
    assert {file.suffix for file in (tmp_path / "models").iterdir()} == {".lock"}


def test_a_pull_that_waited_for_a_removal_begins_anew(
    url: str, tmp_path: Path, progress: Recorder
) -> None:
    store, spec = open_model_store(tmp_path), UrlSpec(url)
    with ThreadPoolExecutor(1) as threads:
        with store.claim(spec, progress) as folder:
            waiting = threads.submit(ensure_model, url, tmp_path, progress)
            assert progress.noted.wait(20)
            folder.rmdir()
        assert waiting.result().exists()


def test_a_local_file_is_used_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: Recorder
) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF and more")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (str(file), "mine.gguf", "~/mine.gguf"):
        assert ensure_model(text, tmp_path / "data", progress) == file
    assert not (tmp_path / "data").exists()
    assert list_models(tmp_path / "data") == []
    with pytest.raises(PullError, match="was not pulled, so it is not removed"):
        remove_model(str(file), tmp_path / "data")
    assert file.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("missing.gguf", "There is no file"),
        (".", "is not a file"),
        ("page.gguf", "not a GGUF file"),
        ("empty.gguf", "not a GGUF file"),
        ("owner/repo", r"There is no file .* A model on the hub is hf:owner/repo\."),
        ("~antiphon-no-such-user/m.gguf", "home"),
        ("a" * 300, "too long"),
    ],
)
def test_path_that_is_not_a_model_is_an_error(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    (tmp_path / "empty.gguf").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PullError, match=reason):
        ensure_model(text, tmp_path)


def test_text_that_names_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        ensure_model("s3://bucket/m.gguf", tmp_path)


def test_progress_ends_after_a_failure(web: WebServer, tmp_path: Path, progress: Recorder) -> None:
    with pytest.raises(PullError, match="404"):
        pull(UrlSpec(f"{web.url}/none.gguf"), open_model_store(tmp_path), progress)
    assert progress.finishes == 1
