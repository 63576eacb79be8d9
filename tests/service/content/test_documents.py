from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from antiphon.core.blocks import inner_blocks
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.service.content.documents import read_documents
from antiphon.service.content.file_protocol import MOST_PAGES
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
from support.pdf import encrypted, pages_pdf, pdf, shown, stream
from support.tool_changes import add, define, remove

pytestmark = pytest.mark.anyio


@pytest.fixture
def read(file_reader) -> Callable[..., Awaitable[tuple[ContentParam, ...]]]:
    async def content(*blocks: ContentParam) -> tuple[ContentParam, ...]:
        prompt = Prompt(turns=(Turn("user", blocks),), max_tokens=7)
        result = (await read_documents(prompt, file_reader)).prompt
        assert result.max_tokens == 7
        return result.turns[0].content

    return content


def pdf_document(data: str) -> DocumentParam:
    return DocumentParam(source=Base64PdfSource(media_type="application/pdf", data=data))


async def test_prompt_of_text_is_not_changed(file_reader) -> None:
    prompt = Prompt(turns=(Turn("user", (TextParam(text="Hi"),)),), max_tokens=1)
    read = await read_documents(prompt, file_reader)
    assert (read.prompt, read.sources, read.textless_pages) == (prompt, None, 0)


@pytest.mark.covers("blocks of a request: document: PDF", "effect")
async def test_a_pdf_is_read_page_by_page(read) -> None:
    (block,) = await read(pdf_document(pdf(["First page", "Second page"])))
    assert isinstance(block, TextParam)
    assert '<page number="1">\nFirst page\n</page>' in block.text
    assert '<page number="2">\nSecond page\n</page>' in block.text


@pytest.mark.covers("blocks of a request: document: text", "effect")
@pytest.mark.covers("blocks of a request: document: content", "effect")
@pytest.mark.covers("blocks of a request: search_result", "effect")
async def test_documents_keep_their_place_among_the_blocks(read) -> None:
    plain = DocumentParam(source=PlainTextSource(media_type="text/plain", data="Plain"))
    parts = DocumentParam(source=ContentSource(content=[TextParam(text="Part")]))
    found = SearchResultParam(source="s", title="t", content=[TextParam(text="Found")])
    before, after = TextParam(text="before"), TextParam(text="after")
    blocks = await read(before, plain, parts, found, after)
    assert (blocks[0], blocks[-1]) == (before, after)
    for block, text in zip(blocks[1:-1], ("Plain", "Part", "Found"), strict=True):
        assert isinstance(block, TextParam)
        assert text in block.text


async def test_documents_in_the_result_of_a_tool_are_read_as_well(read) -> None:
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
        (b64encode(b"no PDF at all").decode(), "The PDF specified was not valid."),
        (encrypted("x", "secret"), "The PDF specified is password protected."),
        (pdf(["x"] * (MOST_PAGES + 1)), "A maximum of 100 PDF pages may be provided."),
    ],
)
async def test_a_pdf_that_cannot_be_read_is_refused(data, said, read) -> None:
    with pytest.raises(InvalidRequestError, match=f"^document: {said}$"):
        await read(pdf_document(data))


async def test_a_pdf_that_cannot_be_read_is_named_by_its_place(file_reader) -> None:
    good, bad = pdf_document(pdf(["x"])), pdf_document(b64encode(b"no PDF").decode())
    said = ToolResultParam(tool_use_id="a", content=[TextParam(text="x"), bad])
    turns = (Turn("user", (good,)), Turn("user", (said,)))
    prompt = Prompt(turns=turns, max_tokens=1, pdf_paths=("first", "second"))
    with pytest.raises(InvalidRequestError, match=r"^second: The PDF specified was not valid\.$"):
        await read_documents(prompt, file_reader)


async def test_pages_without_text_are_named_and_counted(file_reader) -> None:
    scanned = pdf_document(pages_pdf([stream(shown("Read")), stream(b""), stream(b"0 0 9 9 re f")]))
    prompt = Prompt(turns=(Turn("user", (scanned, pdf_document(pdf([""])))),), max_tokens=1)
    read = await read_documents(prompt, file_reader)
    text = "".join(read.prompt.turns[0].texts)
    assert '<page number="1">\nRead\n</page>' in text
    assert '<page number="3">\n[page 3 has no text: it may be a scan]\n</page>' in text
    assert '<page number="1">\n[page 1 has no text: it may be a scan]\n</page>' in text
    assert read.textless_pages == 3


@pytest.mark.covers("blocks of a request: document: file", "refused")
async def test_file_source_is_refused(read) -> None:
    with pytest.raises(InvalidRequestError, match="sources of type 'file'"):
        await read(DocumentParam(source=FileSource(file_id="file_1")))


async def test_reference_to_a_late_tool_is_left_to_the_engine(file_reader) -> None:
    late = Tool(name="late", input_schema={"type": "object"}, deferred=True)
    found = [ToolReferenceParam(tool_name=name) for name in ("late", "here")]
    turns = (Turn("user", (ToolResultParam(tool_use_id="a", content=found),)),)
    tools = (Tool(name="here", input_schema={"type": "object"}), late)
    read = (await read_documents(Prompt(turns, 1, tools=tools), file_reader)).prompt
    (result,) = read.turns[0].content
    assert inner_blocks(result) == [found[0], TextParam(text="Tool: here")]


async def test_changes_of_tools_are_left_to_an_engine_that_loads_tools(file_reader) -> None:
    changes = (define("later", defer_loading=True), remove("here"))
    found = ToolReferenceParam(tool_name="later")
    turns = (
        Turn("user", (ToolResultParam(tool_use_id="a", content=[found]),)),
        Turn("system", changes),
        Turn("user", (ToolResultParam(tool_use_id="b", content=[found]),)),
    )
    tools = (Tool(name="here", input_schema={"type": "object"}),)
    read = (await read_documents(Prompt(turns, 1, tools=tools, offered=()), file_reader)).prompt
    assert read.turns[1].content == changes
    # A reference before the definition is one to a tool that does not come late.
    first, _, second = (inner_blocks(turn.content[0]) for turn in read.turns)
    assert first == [TextParam(text="Tool: later")]
    assert second == [found]


async def test_changes_are_texts_to_an_engine_that_gets_all_tools_in_front(read) -> None:
    assert await read(add("a"), remove("a")) == (
        TextParam(text="You can call this tool: a"),
        TextParam(text="You can no longer call this tool: a"),
    )


@pytest.mark.covers("blocks of a request: tool_reference", "effect")
async def test_tool_reference_is_read_as_the_name_of_its_tool(read) -> None:
    found = ToolResultParam(tool_use_id="a", content=[ToolReferenceParam(tool_name="get_weather")])
    assert await read(found) == (
        ToolResultParam(tool_use_id="a", content=[TextParam(text="Tool: get_weather")]),
    )
