from antiphon.core.documents import (
    Pages,
    body_text,
    content_text,
    document_pieces,
    document_text,
    pages_text,
    search_result_pieces,
    search_result_text,
)
from antiphon.wire.content import (
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    UrlSource,
)

IMAGE = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
SOURCE = PlainTextSource(media_type="text/plain", data="Body")


def test_document_text_begins_with_title_and_context() -> None:
    document = DocumentParam(source=SOURCE, title="A title", context="From last year")
    assert document_text(document, "Body") == (
        "<document>\n<title>A title</title>\n<context>From last year</context>\nBody\n</document>"
    )


def test_a_document_without_a_title_is_its_body() -> None:
    assert document_text(DocumentParam(source=SOURCE), "Body") == "<document>\nBody\n</document>"


def test_pages_are_numbered_from_one() -> None:
    assert pages_text(["a", "b"]) == (
        '<page number="1">\na\n</page>\n<page number="2">\nb\n</page>'
    )


def test_page_without_text_says_so() -> None:
    assert pages_text(["a", "", None]) == (
        '<page number="1">\na\n</page>\n'
        '<page number="2">\n[page 2 has no text: it may be a scan]\n</page>\n'
        '<page number="3">\n[page 3 cannot be read]\n</page>'
    )


def test_a_document_of_blocks_is_the_text_of_its_text_blocks() -> None:
    image = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
    assert content_text([TextParam(text="a"), image, TextParam(text="b")]) == "a\nb"


def test_search_result_text_names_its_source() -> None:
    result = SearchResultParam(
        source="https://example.com", title="T", content=[TextParam(text="found")]
    )
    assert search_result_text(result, "found") == (
        "<search_result>\n<source>https://example.com</source>\n<title>T</title>\nfound\n"
        "</search_result>"
    )


def test_body_of_each_kind_becomes_text() -> None:
    assert body_text("as it is") == "as it is"
    assert body_text(Pages(("a", "b"))) == pages_text(["a", "b"])
    assert body_text([TextParam(text="a"), TextParam(text="b")]) == "a\nb"


def test_images_stay_in_their_places_in_a_document() -> None:
    document = DocumentParam(source=SOURCE)
    blocks = [TextParam(text="a"), IMAGE, IMAGE, TextParam(text="b"), TextParam(text="c"), IMAGE]
    (piece,) = document_pieces(document, blocks, "Lead. ")
    assert piece == [
        TextParam(text="Lead. <document>\na"),
        IMAGE,
        IMAGE,
        TextParam(text="b\nc"),
        IMAGE,
        TextParam(text="\n</document>"),
    ]


def test_a_document_of_blocks_without_images_is_one_text() -> None:
    document, blocks = DocumentParam(source=SOURCE), [TextParam(text="a"), TextParam(text="b")]
    text = document_text(document, content_text(blocks))
    (piece,) = document_pieces(document, blocks, "")
    assert piece == [TextParam(text=text)]


def test_images_stay_in_their_places_in_a_search_result() -> None:
    found = [TextParam(text="found"), IMAGE]
    result = SearchResultParam(source="https://example.com", title="T", content=found)
    head = "<search_result>\n<source>https://example.com</source>\n<title>T</title>\nfound"
    (piece,) = search_result_pieces(result, found, "")
    assert piece == [
        TextParam(text=head),
        IMAGE,
        TextParam(text="\n</search_result>"),
    ]


def test_a_document_is_cut_behind_the_marked_blocks() -> None:
    document = DocumentParam(source=SOURCE)
    blocks = [TextParam(text="a"), IMAGE, TextParam(text="b")]
    first, last = TextParam(text="<document>\na"), TextParam(text="b\n</document>")
    assert document_pieces(document, blocks, "", [0]) == [[first], [IMAGE, last]]
    assert document_pieces(document, blocks, "", [1]) == [[first, IMAGE], [last]]
    assert document_pieces(document, blocks, "", [2]) == [
        [first, IMAGE, TextParam(text="b")],
        [TextParam(text="</document>")],
    ]
