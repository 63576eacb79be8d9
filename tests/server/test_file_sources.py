"""Messages, counts and batches that name uploaded files."""

import asyncio
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from antiphon.service.batches.batches import BatchOwner
from support.asgi import HELLO, Answer, Client
from support.forms import remove, upload
from support.images import png, png_head
from support.organization import Organization, StartOrganization
from support.pdf import pdf

pytestmark = pytest.mark.anyio

TEXT = "The first line.\nThe sixth sentence says more. And the last one ends here."
PDF = b64decode(pdf([TEXT]))
PNG = png(56, 30)
EMOJI = "\U0001f600".encode()
BATCHES = "/v1/messages/batches"


def asking(*blocks: dict[str, Any]) -> dict[str, Any]:
    content = [*blocks, {"type": "text", "text": "What is it?"}]
    return {"messages": [{"role": "user", "content": content}]}


def document(file_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "file", "file_id": file_id}, **more}


def image(file_id: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "file", "file_id": file_id}}


def encoded(kind: str, media_type: str, data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": b64encode(data).decode()}
    return {"type": kind, "source": source}


def plain(data: str, **more: Any) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": data}
    return {"type": "document", "source": source, **more}


async def counted(caller: Client, *blocks: dict[str, Any]) -> Any:
    body = {"model": "claude-x", **asking(*blocks)}
    answer = await caller.post("/v1/messages/count_tokens", body)
    assert answer.status == 200, answer.json
    return answer.json["input_tokens"]


async def answered(caller: Client, *blocks: dict[str, Any]) -> Any:
    answer = await caller.create(**asking(*blocks))
    assert answer.status == 200, answer.json
    return answer.json


@pytest.mark.covers("blocks of a request: document: file", "effect")
@pytest.mark.covers("blocks of a request: image", "effect")
async def test_model_reads_a_file_as_it_reads_the_same_bytes_in_the_request(
    organization: StartOrganization,
) -> None:
    org = await organization(echo=True, images=True)
    caller = org.caller
    text = await upload(caller, TEXT.encode(), "a.txt", "text/plain")
    paper = await upload(caller, PDF, "a.pdf", "application/pdf")
    cat = await upload(caller, PNG, "a.png", "image/png")
    pairs = [
        (document(text["id"]), plain(TEXT)),
        (document(paper["id"]), encoded("document", "application/pdf", PDF)),
        (image(cat["id"]), encoded("image", "image/png", PNG)),
    ]
    for by_file, inline in pairs:
        first, second = await answered(caller, by_file), await answered(caller, inline)
        assert first["content"] == second["content"]
        assert first["usage"] == second["usage"]
        assert await counted(caller, by_file) == first["usage"]["input_tokens"]
    in_result = {
        "messages": [
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [document(text["id"])]}
                ],
            },
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    }
    assert (await caller.create(**in_result)).status == 200


async def test_citation_names_the_file(organization: StartOrganization) -> None:
    org = await organization(text="It says so [source 1].")
    file = await upload(org.caller, TEXT.encode(), "a.txt", "text/plain")
    paper = await upload(org.caller, PDF, "a.pdf", "application/pdf")
    for one in (file, paper):
        block = document(one["id"], citations={"enabled": True})
        content = (await answered(org.caller, block))["content"]
        cited = [found for part in content for found in part.get("citations", ())]
        assert [found["file_id"] for found in cited] == [one["id"]]
    inline = (await answered(org.caller, plain(TEXT, citations={"enabled": True})))["content"]
    assert [found["file_id"] for part in inline for found in part["citations"]] == [None]


async def test_prompt_cache_keeps_a_file(organization: StartOrganization) -> None:
    org = await organization()
    text = " ".join(f"Sentence number {number} of many." for number in range(400))
    file = await upload(org.caller, text.encode(), "a.txt", "text/plain")
    block = document(file["id"], cache_control={"type": "ephemeral"})
    first, second = await answered(org.caller, block), await answered(org.caller, block)
    written = first["usage"]["cache_creation_input_tokens"]
    assert written > 1000
    assert second["usage"]["cache_read_input_tokens"] == written
    assert second["usage"]["input_tokens"] == first["usage"]["input_tokens"]


async def test_batch_reads_a_file_when_its_request_runs(organization: StartOrganization) -> None:
    org = await organization(echo=True)
    kept = await upload(org.caller, b"Kept text.", "a.txt", "text/plain")
    lost = await upload(org.caller, b"Lost text.", "b.txt", "text/plain")
    requests = [
        {"custom_id": name, "params": {**HELLO, **asking(document(one["id"]))}}
        for name, one in (("kept", kept), ("lost", lost))
    ]
    await remove(org.caller, lost["id"])
    made = (await org.caller.post(BATCHES, {"requests": requests})).json
    await until_ended(org, made["id"])
    lines = (await org.caller.get(f"{BATCHES}/{made['id']}/results")).body.splitlines()
    results = {line["custom_id"]: line["result"] for line in map(json.loads, lines)}
    assert "Kept text." in results["kept"]["message"]["content"][0]["text"]
    error = results["lost"]["error"]["error"]
    assert error["type"] == "not_found_error"
    assert error["message"] == f"File not found: {lost['id']}"


async def until_ended(org: Organization, batch_id: str) -> None:
    async with asyncio.timeout(20):
        while True:
            batch = await org.platform.batches.show(BatchOwner(None), batch_id)
            if batch.ended_at is not None:
                return
            await asyncio.sleep(0.05)


def said(answer: Answer) -> tuple[int, str]:
    status, _, message = answer.error
    return status, message


async def test_file_that_is_not_there_is_404(organization: StartOrganization) -> None:
    org = await organization()
    guest, _, _ = await org.guest()
    theirs = (await upload(guest))["id"]
    brief = (await upload(org.caller, expires_in_seconds="3600"))["id"]
    org.clock.passes(hours=2)
    for wanted in (theirs, "file_unknown", "x\0y"):
        answer = await org.caller.create(**asking(document(wanted)))
        assert said(answer) == (404, f"File not found: {wanted}")
    answer = await org.caller.create(**asking(document(brief)))
    assert answer.json["error"]["details"]["error_code"] == "file_expired"
    assert answer.status == 404


@pytest.mark.parametrize(
    ("content", "mime_type", "block", "sentence"),
    [
        (b"a,b", "text/csv", document, "document.source.file: File ID is of type text/csv."),
        (PNG, "image/png", document, "document.source.file: File ID is of type image/png."),
        (PDF, "application/pdf", image, "image.source.file: File ID is of type application/pdf."),
        (b"\xff\xfe", "text/plain", document, "document.source.file: The text is not UTF-8."),
        (
            b"<html>",
            "image/png",
            image,
            "image.source.base64.data: The file format is invalid or unsupported",
        ),
        (
            b"<html>",
            "application/pdf",
            document,
            "pdf.source.base64.data: The PDF specified was not valid.",
        ),
        (
            png_head(8001, 1),
            "image/png",
            image,
            "image.source.base64.data: At least one of the image dimensions exceed max",
        ),
    ],
)
async def test_file_that_is_not_what_its_block_takes_is_refused(
    organization: StartOrganization, content: bytes, mime_type: str, block: Any, sentence: str
) -> None:
    org = await organization(images=True)
    file_id = (await upload(org.caller, content, "a", mime_type))["id"]
    status, message = said(await org.caller.create(**asking(block(file_id))))
    assert status == 400
    wanted = f"messages.0.content.0.{sentence.replace('ID', file_id)}"
    assert message.startswith(wanted)


async def test_image_has_the_type_of_its_bytes(organization: StartOrganization) -> None:
    org = await organization(images=True)
    file_id = (await upload(org.caller, PNG, "a.gif", "image/gif"))["id"]
    assert await counted(org.caller, image(file_id)) == await counted(
        org.caller, encoded("image", "image/png", PNG)
    )


async def test_files_of_a_request_are_bounded(organization: StartOrganization) -> None:
    org = await organization({"max_body_bytes": 2048})
    small = (await upload(org.caller, b"x" * 1024, "a.txt", "text/plain"))["id"]
    large = (await upload(org.caller, b"x" * 1025, "b.txt", "text/plain"))["id"]
    assert (await org.caller.create(**asking(document(small), document(small)))).status == 200
    status, message = said(await org.caller.create(**asking(document(small), document(large))))
    assert (status, message.partition(":")[0]) == (400, "messages")
    assert "The files together are too large" in message


async def test_file_counts_as_often_as_it_is_named(organization: StartOrganization) -> None:
    org = await organization({"max_body_bytes": 32 * 1024})
    file = document((await upload(org.caller, b"x" * 1024, "a.txt", "text/plain"))["id"])
    assert (await org.caller.create(**asking(*[file] * 32))).status == 200
    status, message = said(await org.caller.create(**asking(*[file] * 33)))
    assert (status, "too large: 33,792 bytes" in message) == (400, True)


@pytest.mark.parametrize(
    ("content", "statuses"), [(b"x" * 200_000, [200, 200]), (b"x" * 200_000 + EMOJI, [200, 529])]
)
async def test_files_of_all_requests_share_the_budget_of_bodies(
    organization: StartOrganization, content: bytes, statuses: list[int]
) -> None:
    """A text with one wide character needs four times its size in memory."""
    org = await organization({"max_body_bytes": 2**20, "body_budget_bytes": 1_500_000})
    file = document((await upload(org.caller, content, "a.txt", "text/plain"))["id"])
    calls = [org.caller.create(**asking(file)) for _ in statuses]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == statuses
    # What was refused is no permanent loss.
    assert (await org.caller.create(**asking(file))).status == 200


async def test_file_that_is_alone_fits_into_the_budget(organization: StartOrganization) -> None:
    org = await organization({"max_body_bytes": 512 * 1024, "body_budget_bytes": 512 * 1024})
    content = b"x" * 500_000 + EMOJI
    file = document((await upload(org.caller, content, "a.txt", "text/plain"))["id"])
    assert (await org.caller.create(**asking(file))).status == 200
    assert await counted(org.caller, file) > 0
