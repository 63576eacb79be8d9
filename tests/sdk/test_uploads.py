"""Files on their way up and down: what is in memory, and what is left of half of one."""

import asyncio
import io
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.sdk.environment import Environment
from antiphon.sdk.files import upload_file
from antiphon.sdk.uploads import PIECE
from antiphon.transport.base import ConnectionLost, HttpRequest, whole
from support.sdk import AsyncScriptedTransport, Reply, ScriptedTransport


def client_with(*replies: Any) -> tuple[antiphon.Client, ScriptedTransport]:
    transport = ScriptedTransport(*replies)
    client = antiphon.Client(
        api_key="k", transport=transport, sleep=lambda _: None, environment=Environment()
    )
    return client, transport


def content_of(file: Any) -> bytes:
    """Return what is between the head of the file's part and the end of the form."""
    form = upload_file(file=file).upload
    assert form is not None
    sent = whole(form)
    assert len(sent) == len(form)
    boundary = sent.split(b"\r\n", 1)[0]
    return sent.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n" + boundary + b"--\r\n")


@pytest.mark.parametrize("size", [0, 1, PIECE, 2 * PIECE + 1])
def test_every_kind_of_a_file_has_its_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    for file in (path, str(path), content, bytearray(content), memoryview(content)):
        assert content_of(file) == content
    with path.open("rb") as opened:
        assert content_of(opened) == content
        opened.seek(min(1, size))
        assert content_of(opened) == content[1:]
    assert content_of(io.BytesIO(content)) == content


def test_pipe_is_read_once_and_sent_as_often_as_needed() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        form = upload_file(file=("p.txt", pipe)).upload
    assert form is not None
    assert whole(form) == whole(form)
    assert b"from a pipe" in whole(form)


def test_call_that_is_repeated_sends_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 10)
    for file in (path, path.open("rb"), io.BytesIO(b"x" * 10)):
        sent: list[bytes] = []

        class Reading(ScriptedTransport):
            def open(self, request: HttpRequest, **bounds: Any) -> Any:
                sent.append(whole(request.body))  # noqa: B023 - used within the turn
                return super().open(request, **bounds)

        transport = Reading(
            ConnectionLost("lost"), Reply(529, json={}), Reply(json={"id": "file_1"})
        )
        client = antiphon.Client(
            api_key="k", transport=transport, sleep=lambda _: None, environment=Environment()
        )
        assert client.files.upload(file=file).id == "file_1"
        assert len(sent) == 3
        assert len(set(sent)) == 1
        assert b"x" * 10 in sent[0]
        if not isinstance(file, Path):
            file.close()


def test_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * PIECE)
    tracemalloc.start()
    try:
        form = upload_file(file=path).upload
        assert form is not None
        assert sum(map(len, form)) == len(form) > 64 * PIECE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * PIECE


def test_bytes_are_not_copied_as_a_whole() -> None:
    content = bytes(32 * PIECE)
    tracemalloc.start()
    try:
        form = upload_file(file=content).upload
        assert form is not None
        assert sum(map(len, form)) > 32 * PIECE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * PIECE


def test_file_that_changes_its_length_is_not_sent_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"ten bytes.")
    form = upload_file(file=path).upload
    assert form is not None
    with path.open("ab") as file:
        file.write(b"and more")
    assert b"ten bytes.\r\n--" in whole(form)
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="5 bytes shorter"):
        whole(form)


@pytest.mark.parametrize(
    ("file", "fault", "told"),
    [
        (Path("/nowhere/a"), OSError, "nowhere"),
        ("/nowhere/a", OSError, "nowhere"),
        (Path("/"), OSError, "directory"),
        (io.StringIO("text"), TypeError, "opened for reading bytes"),
        (3, TypeError, "a path, an open file or bytes, not int"),
        (("a.txt", b"", "text/plain\r\nx: y"), ValueError, "is no type of a file"),
    ],
)
def test_what_cannot_be_uploaded_is_told_at_once(
    file: Any, fault: type[Exception], told: str
) -> None:
    client, transport = client_with()
    with pytest.raises(fault, match=told):
        client.files.upload(file=file)
    assert not transport.requests


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_name_that_is_no_text_is_replaced(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b'caf\xe9 \n".txt')  # noqa: PTH118 - bytes
    with open(path, "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")
    with open(path, "rb") as file:  # noqa: PTH123
        for given in (os.fsdecode(path), file):
            form = upload_file(file=given).upload
            assert form is not None
            assert b'filename="caf? %0A%22.txt"' in whole(form)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_download_leaves_no_half_of_a_file(tmp_path: Path, asynchronous: bool) -> None:
    path = tmp_path / ("long" * 60)  # no name may have the bytes of a `.part` besides
    path.write_bytes(b"as it was")

    def download(reply: Reply, **more: Any) -> int:
        if not asynchronous:
            client, _ = client_with(reply)
            return client.files.download_to("file_1", path, **more)

        async def run() -> int:
            client = antiphon.AsyncClient(
                api_key="k", transport=AsyncScriptedTransport(reply), environment=Environment()
            )
            return await client.files.download_to("file_1", path, **more)

        return asyncio.run(run())

    with pytest.raises(antiphon.APIConnectionError):
        download(Reply(chunks=[b"half", ConnectionLost("lost")]))
    long = Reply(chunks=[b"half", b"and more"])
    with pytest.raises(OSError, match="more than 7 bytes"):
        download(long, most_bytes=7)
    assert long.closed
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]
    assert download(Reply(chunks=[b"half", b"!"]), most_bytes=5, workspace_id="w") == 5
    assert path.read_bytes() == b"half!"
    assert list(tmp_path.iterdir()) == [path]
