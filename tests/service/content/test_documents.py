from base64 import b64encode

import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt, Turn
from antiphon.service.content.documents import MOST_PAGES, read_documents
from antiphon.wire.content import (
    Base64PdfSource,
    ContentParam,
    ContentSource,
    DocumentParam,
    FileSource,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolReferenceParam,
    ToolResultParam,
)
from support.pdf import encrypted, encrypted_with_aes, pdf

pytestmark = pytest.mark.anyio


async def read(*blocks: ContentParam) -> tuple[ContentParam, ...]:
    prompt = Prompt(turns=(Turn("user", blocks),), max_tokens=7)
    result, _ = await read_documents(prompt)
    assert result.max_tokens == 7
    return result.turns[0].content


def pdf_document(data: str) -> DocumentParam:
    return DocumentParam(source=Base64PdfSource(media_type="application/pdf", data=data))


async def test_prompt_of_text_is_not_changed() -> None:
    prompt = Prompt(turns=(Turn("user", (TextParam(text="Hi"),)),), max_tokens=1)
    assert await read_documents(prompt) == (prompt, None)


@pytest.mark.covers("blocks of a request: document: PDF", "effect")
async def test_a_pdf_is_read_page_by_page() -> None:
    (block,) = await read(pdf_document(pdf(["First page", "Second page"])))
    assert isinstance(block, TextParam)
    assert '<page number="1">\nFirst page\n</page>' in block.text
    assert '<page number="2">\nSecond page\n</page>' in block.text


@pytest.mark.covers("blocks of a request: document: text", "effect")
@pytest.mark.covers("blocks of a request: document: content", "effect")
@pytest.mark.covers("blocks of a request: search_result", "effect")
async def test_documents_keep_their_place_among_the_blocks() -> None:
    plain = DocumentParam(source=PlainTextSource(media_type="text/plain", data="Plain"))
    parts = DocumentParam(source=ContentSource(content=[TextParam(text="Part")]))
    found = SearchResultParam(source="s", title="t", content=[TextParam(text="Found")])
    before, after = TextParam(text="before"), TextParam(text="after")
    blocks = await read(before, plain, parts, found, after)
    assert (blocks[0], blocks[-1]) == (before, after)
    for block, text in zip(blocks[1:-1], ("Plain", "Part", "Found"), strict=True):
        assert isinstance(block, TextParam)
        assert text in block.text


async def test_documents_in_the_result_of_a_tool_are_read_as_well() -> None:
    inner = DocumentParam(source=PlainTextSource(media_type="text/plain", data="Inner"))
    result = ToolResultParam(tool_use_id="toolu_1", content=[inner])
    (block,) = await read(result)
    assert isinstance(block, ToolResultParam)
    assert block.content == [TextParam(text="<document>\nInner\n</document>")]
    plain = ToolResultParam(tool_use_id="toolu_1", content="as it is")
    assert await read(plain) == (plain,)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("%%%", "invalid base64 data"),
        (b64encode(b"no PDF at all").decode(), "Could not process PDF"),
        (b64encode(b"%PDF-1.4\ncut off").decode(), "Could not process PDF"),
        (encrypted(pdf(["x"])), "Could not process PDF: it is encrypted"),
        (encrypted_with_aes(pdf(["x"])), "Could not process PDF: it is encrypted"),
        (pdf(["x"] * (MOST_PAGES + 1)), "A maximum of 100 PDF pages may be provided."),
    ],
)
@pytest.mark.filterwarnings("ignore")
async def test_a_pdf_that_cannot_be_read_is_refused(data: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await read(pdf_document(data))


@pytest.mark.filterwarnings("ignore")
async def test_a_pdf_that_cannot_be_read_is_named_by_its_place() -> None:
    good, bad = pdf_document(pdf(["x"])), pdf_document(b64encode(b"no PDF").decode())
    said = ToolResultParam(tool_use_id="a", content=[TextParam(text="x"), bad])
    turns = (Turn("user", (good,)), Turn("user", (said,)))
    prompt = Prompt(turns=turns, max_tokens=1, pdf_paths=("first", "second"))
    with pytest.raises(InvalidRequestError, match=r"^second: Could not process PDF$"):
        await read_documents(prompt)


@pytest.mark.covers("blocks of a request: document: file", "refused")
async def test_file_source_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="sources of type 'file'"):
        await read(DocumentParam(source=FileSource(file_id="file_1")))


@pytest.mark.covers("blocks of a request: tool_reference", "effect")
async def test_tool_reference_is_read_as_the_name_of_its_tool() -> None:
    found = ToolResultParam(tool_use_id="a", content=[ToolReferenceParam(tool_name="get_weather")])
    assert await read(found) == (
        ToolResultParam(tool_use_id="a", content=[TextParam(text="Tool: get_weather")]),
    )
