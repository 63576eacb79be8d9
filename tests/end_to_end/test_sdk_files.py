"""`client.beta.files` and `client.files` of the official Python SDK against a running server."""

import io
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import psutil
import pytest

from support.forms import FORM, upload_form
from support.images import png
from support.pdf import pdf
from support.processes import KEY, Program, serving

MB = 1024 * 1024
MODEL = "claude-opus-5-5"
SCRIPT = """
engine = "scripted"
scripted.echo = true
scripted.images = true
file_downloads = {downloads}
max_file_bytes = 209715200
request_timeout_s = 5
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("files")
    Path(folder, "antiphon.toml").write_text(SCRIPT.format(downloads="false"), encoding="utf-8")
    with serving(folder, environ={"ANTIPHON_API_KEY": KEY}) as running:
        yield running


@pytest.fixture
def sdk(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def ask(sdk: anthropic.Anthropic, *blocks: dict[str, Any], **more: Any) -> Any:
    content: Any = [*blocks, {"type": "text", "text": "What is it?"}]
    messages: Any = [{"role": "user", "content": content}]
    return sdk.messages.create(model=MODEL, max_tokens=4000, messages=messages, **more)


def source(kind: str, file_id: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "file", "file_id": file_id}}


@pytest.mark.parametrize("of", ["files", "beta.files"])
def test_sdk_uploads_lists_names_and_deletes_files(sdk: anthropic.Anthropic, of: str) -> None:
    files: Any = sdk.files if of == "files" else sdk.beta.files
    paper = files.upload(file=("paper.pdf", b64decode(pdf(["Costs rose."])), "application/pdf"))
    raw = files.upload(file=b"Only text.")
    brief = files.upload(file=("a.png", io.BytesIO(png()), "image/png"), expires_in_seconds=3600)
    assert (paper.filename, paper.mime_type, paper.downloadable) == (
        "paper.pdf",
        "application/pdf",
        False,
    )
    assert raw.size_bytes == len(b"Only text.")
    assert (brief.expires_at - brief.created_at).total_seconds() == 3600
    assert files.retrieve_metadata(paper.id) == paper
    mine = {paper.id, raw.id, brief.id}
    walked = [one.id for one in files.list(limit=1) if one.id in mine]
    assert walked == [brief.id, raw.id, paper.id]
    assert [one.id for one in files.list(ids=[paper.id, "file_unknown"])] == [paper.id]
    answer = ask(sdk, source("document", paper.id), source("image", brief.id))
    assert "Costs rose." in answer.content[0].text
    with pytest.raises(anthropic.BadRequestError) as refused:
        files.download(paper.id)
    assert refused.value.body["error"]["details"]["error_code"] == "file_not_downloadable"
    assert files.delete(paper.id).type == "file_deleted"
    for call in (
        lambda: files.retrieve_metadata(paper.id),
        lambda: files.delete(paper.id),
        lambda: ask(sdk, source("document", paper.id)),
    ):
        with pytest.raises(anthropic.NotFoundError):
            call()


def test_client_of_the_beta_gets_the_older_shapes(sdk: anthropic.Anthropic) -> None:
    betas: Any = ["files-api-2025-04-14"]
    raw = sdk.beta.files.with_raw_response
    told = raw.upload(file=("a.txt", b"x", "text/plain"), betas=betas).http_response.json()
    assert sorted(told) == [
        "created_at",
        "downloadable",
        "filename",
        "id",
        "mime_type",
        "size_bytes",
        "type",
    ]
    listed = raw.list(betas=betas).http_response.json()
    assert sorted(listed) == ["data", "first_id", "has_more", "last_id"]


def test_operator_may_permit_the_sdk_to_download(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(SCRIPT.format(downloads="true"), encoding="utf-8")
    content = bytes(range(256)) * 20_000
    with (
        serving(tmp_path, environ={"ANTIPHON_API_KEY": KEY}) as running,
        anthropic.Anthropic(base_url=running.url, api_key=KEY) as sdk,
    ):
        file = sdk.beta.files.upload(file=("a.bin", content, "application/octet-stream"))
        assert sdk.beta.files.download(file.id).read() == content


def test_large_upload_takes_little_memory(program: Program) -> None:
    server = psutil.Process(program.process.pid)
    size = 100 * MB
    body = upload_form(b"", "large.bin", "application/x-large")
    before, after = body.split(b"\r\n\r\n", 1)

    def pieces() -> Iterator[bytes]:
        yield before + b"\r\n\r\n"
        for _ in range(size // MB):
            yield b"\0" * MB
            sizes.append(server.memory_info().rss)
        yield after

    headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21", "content-type": FORM}
    sizes: list[int] = []
    rests = server.memory_info().rss
    with httpx2.Client(timeout=120) as client:
        answer = client.post(f"{program.url}/v1/files", content=pieces(), headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["size_bytes"] == size
        client.delete(f"{program.url}/v1/files/{answer.json()['id']}", headers=headers)
    assert max(sizes) - rests < 48 * MB


def test_upload_that_stalls_is_ended_and_leaves_nothing(program: Program) -> None:
    headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21", "content-type": FORM}
    body = upload_form(b"x" * (5 * MB), "stalls.bin")

    def pieces() -> Iterator[bytes]:
        yield body[: 4 * MB + 1000]
        time.sleep(7)
        yield body[4 * MB + 1000 :]

    with httpx2.Client(timeout=60) as client:
        try:
            answer = client.post(f"{program.url}/v1/files", content=pieces(), headers=headers)
        except httpx2.TransportError:
            pass
        else:
            assert answer.status_code == 400
            assert answer.json()["error"]["details"]["error_code"] == "request_body_timeout"
        listed = client.get(f"{program.url}/v1/files", headers=headers).json()["data"]
    assert "stalls.bin" not in {one["filename"] for one in listed}
