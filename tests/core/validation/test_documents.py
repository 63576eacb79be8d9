from antiphon.core.validation.request import pdf_paths
from antiphon.core.validation.spots import spots_of
from antiphon.wire.content import (
    Base64PdfSource,
    DocumentParam,
    PlainTextSource,
    TextParam,
    ToolResultParam,
)
from antiphon.wire.messages import MessageParam
from support.requests import prompt, user

PDF = DocumentParam(source=Base64PdfSource(media_type="application/pdf", data="JVBERg=="))
TEXT = DocumentParam(source=PlainTextSource(media_type="text/plain", data="x"))


def test_pdfs_are_named_by_their_place_in_the_request() -> None:
    result = ToolResultParam(tool_use_id="a", content=[TextParam(text="x"), PDF])
    plain = ToolResultParam(tool_use_id="b", content="x")
    messages = [
        MessageParam(role="user", content="Hi"),
        MessageParam(role="user", content=[TEXT, PDF]),
        MessageParam(role="user", content=[plain, result]),
    ]
    assert pdf_paths(spots_of(messages)) == (
        "messages.1.content.1.pdf.source.base64.data",
        "messages.2.content.1.tool_result.content.1.pdf.source.base64.data",
    )


def test_prompt_says_where_its_pdfs_stand() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    asked = prompt(user([{"type": "document", "source": pdf}]))
    assert asked.pdf_paths == ("messages.0.content.0.pdf.source.base64.data",)
