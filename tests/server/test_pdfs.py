"""PDFs over HTTP: what callers get, and what is left of one that hangs up."""

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any

import psutil
import pytest

from antiphon.server.app import build_app
from antiphon.service.content.file_reader import CHILD
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import ModelSettings, Settings
from support.asgi import HELLO, KEY, Client
from support.pdf import encrypted, pages_pdf, pdf, shown, slow, stream

pytestmark = pytest.mark.anyio

PATH = "messages.0.content.0.pdf.source.base64.data"


def document(data: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {"type": "document", "source": source}


def asked(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": "user", "content": list(blocks)}]}


def readers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if CHILD in one.cmdline()]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encrypted("x", "secret"), "The PDF specified is password protected."),
        (b64encode(b"%PDF-1.4 cut").decode(), "The PDF specified was not valid."),
        (pdf(["x"] * 101), "A maximum of 100 PDF pages may be provided."),
    ],
)
async def test_unreadable_pdf_is_refused_with_the_path_of_the_api(client, data, said) -> None:
    caller = await client()
    answer = await caller.post("/v1/messages", asked(document(data)))
    assert answer.error == (400, "invalid_request_error", f"{PATH}: {said}")
    counted = {key: value for key, value in asked(document(data)).items() if key != "max_tokens"}
    answer = await caller.post("/v1/messages/count_tokens", counted)
    assert answer.error == (400, "invalid_request_error", f"{PATH}: {said}")


async def test_answer_states_how_many_pages_have_no_text(client) -> None:
    caller = await client()
    scan = pages_pdf([stream(shown("Read me")), stream(b""), stream(b"")])
    answer = await caller.post("/v1/messages", asked(document(scan), document(pdf(["x"]))))
    assert answer.status == 200
    assert answer.headers["x-antiphon-pdf-pages-without-text"] == "2"
    answer = await caller.post("/v1/messages", asked(document(pdf(["x"]))))
    assert "x-antiphon-pdf-pages-without-text" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_caller_that_hangs_up_ends_the_reading_of_its_pdf(client, path) -> None:
    caller = await client()
    body = asked(document(slow()))
    if path.endswith("count_tokens"):
        del body["max_tokens"]
    call = caller.start("POST", path, body)
    async with asyncio.timeout(30):
        while not any(one.cpu_times().user > 0.3 for one in readers()):  # noqa: ASYNC110 - a process gives no event
            await asyncio.sleep(0.01)
        call.hang_up()
        await call.task
    assert readers() == []


async def test_server_that_stops_ends_its_idle_children(tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": tmp_path, "api_key": KEY}, environ={})
    model = ModelSettings(id="scripted", engine="scripted", aliases=("claude-*",))
    async with build_platform(settings, [ModelSource(model)]) as platform:
        await platform.models.open()
        caller = Client(build_app(platform))
        assert (await caller.post("/v1/messages", asked(document(pdf(["x"]))))).status == 200
        assert len(readers()) == 1
    assert readers() == []
