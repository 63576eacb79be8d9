import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.citations.sources import INSTRUCTION, Sources
from antiphon.core.documents import Pages
from antiphon.core.files import StoredPdfSource, StoredTextSource
from antiphon.wire.citations import (
    CharLocation,
    ContentBlockLocation,
    PageLocation,
    SearchResultLocation,
)
from antiphon.wire.content import CitationsParam, DocumentParam, PlainTextSource, TextParam
from support.sources import (
    DOCUMENTS,
    IMAGE,
    ON,
    Citable,
    matches_source,
    of_blocks,
    paged,
    plain,
    search_result,
    sources_of,
)

COLOURS = "The grass is green. The sky is blue.\n"


@pytest.mark.covers("blocks of an answer: citations", "effect")
@given(DOCUMENTS, st.lists(st.integers(-1, 20), max_size=6))
def test_citation_holds_the_text_of_its_location(
    documents: list[Citable], numbers: list[int]
) -> None:
    sources = sources_of(documents)
    citations = sources.cite(numbers)
    assert all(matches_source(citation, documents) for citation in citations)
    known = {number for number in numbers if 0 < number <= len(sources.pieces)}
    assert len(citations) <= len(known)
    assert bool(citations) == bool(known)


@given(DOCUMENTS)
def test_every_piece_can_be_cited_alone(documents: list[Citable]) -> None:
    sources = sources_of(documents)
    for number, piece in enumerate(sources.pieces, 1):
        (citation,) = sources.cite([number])
        assert citation.cited_text == piece.text
        assert matches_source(citation, documents)


def test_a_plain_text_is_cited_by_its_characters() -> None:
    sources = Sources()
    text = sources.document(plain(COLOURS, "Colours"), COLOURS)
    assert text == (
        f"{INSTRUCTION}<document>\n<title>Colours</title>\n"
        "The grass is green. [source 1] The sky is blue. [source 2]\n\n</document>"
    )
    assert sources.cite([2]) == (
        CharLocation(
            cited_text="The sky is blue.",
            document_index=0,
            document_title="Colours",
            start_char_index=20,
            end_char_index=36,
        ),
    )


def test_a_pdf_is_cited_by_its_pages() -> None:
    sources = Sources()
    text = sources.document(paged("Colours"), Pages(("The grass is green.", "", "Sky. Blue.")))
    assert '<page number="3">\nSky. [source 2] Blue. [source 3]\n</page>' in text
    said = {"document_index": 0, "document_title": "Colours"}
    assert sources.cite([1, 2, 3]) == (
        PageLocation(
            cited_text="The grass is green.", start_page_number=1, end_page_number=2, **said
        ),
        PageLocation(cited_text="Sky. Blue.", start_page_number=3, end_page_number=4, **said),
    )


def test_note_about_a_page_without_text_is_no_source() -> None:
    sources = Sources()
    text = sources.document(paged("Scans"), Pages(("", None, "Sky.")))
    assert "\n[page 1 has no text: it may be a scan]\n" in text
    assert "\n[page 2 cannot be read]\n" in text
    assert "\nSky. [source 1]\n" in text
    assert len(sources.pieces) == 1


def test_blocks_are_cited_whole_and_images_among_them_count() -> None:
    sources = Sources()
    blocks = [IMAGE, TextParam(text="One. Two."), TextParam(text=" "), TextParam(text="Three.")]
    text = sources.document(of_blocks(blocks), blocks)
    assert "<document>\nOne. Two. [source 1]\n \nThree. [source 2]\n</document>" in text
    assert sources.cite([1, 2]) == (
        ContentBlockLocation(
            cited_text="One. Two.",
            document_index=0,
            document_title=None,
            start_block_index=1,
            end_block_index=2,
        ),
        ContentBlockLocation(
            cited_text="Three.",
            document_index=0,
            document_title=None,
            start_block_index=3,
            end_block_index=4,
        ),
    )


def test_images_stay_among_the_blocks_that_are_cited() -> None:
    sources = Sources()
    blocks = [TextParam(text="One."), IMAGE, TextParam(text="Two.")]
    (first,) = sources.document_pieces(of_blocks(blocks), blocks)
    result = search_result("Three.")
    (second,) = sources.search_result_pieces(replace(result, content=[*result.content, IMAGE]))
    assert [block for block in first if isinstance(block, TextParam)] == [
        TextParam(text=f"{INSTRUCTION}<document>\nOne. [source 1]"),
        TextParam(text="Two. [source 2]\n</document>"),
    ]
    assert first[1] is second[1] is IMAGE
    assert sources.cite([2])[0].start_block_index == 2  # type: ignore[union-attr]
    assert sources.cite([3])[0].search_result_index == 0  # type: ignore[union-attr]


def test_images_stay_in_documents_that_are_not_cited() -> None:
    sources = Sources()
    blocks = [TextParam(text="One."), IMAGE]
    plain_document = replace(of_blocks(blocks), citations=None)
    plain_result = replace(search_result("Two."), content=blocks, citations=None)
    told = [
        *sources.document_pieces(plain_document, blocks)[0],
        *sources.search_result_pieces(plain_result)[0],
    ]
    assert [block for block in told if not isinstance(block, TextParam)] == [IMAGE, IMAGE]
    assert sources.pieces == []


def test_search_results_and_documents_are_counted_apart() -> None:
    sources = Sources()
    sources.document(plain("One."), "One.")
    text = sources.search_result(search_result("Two.", source="https://example.com", title="T"))
    sources.search_result(search_result("Three."))
    sources.document(plain("Four."), "Four.")
    assert text == (
        "<search_result>\n<source>https://example.com</source>\n<title>T</title>\n"
        "Two. [source 2]\n</search_result>"
    )
    assert sources.cite([2]) == (
        SearchResultLocation(
            cited_text="Two.",
            source="https://example.com",
            title="T",
            search_result_index=0,
            start_block_index=0,
            end_block_index=1,
        ),
    )
    (third,), (fourth,) = sources.cite([3]), sources.cite([4])
    assert isinstance(third, SearchResultLocation)
    assert third.search_result_index == 1
    assert isinstance(fourth, CharLocation)
    assert fourth.document_index == 1


def test_adjacent_pieces_are_one_citation() -> None:
    text = "One.  Two. Three. Four."
    sources = Sources()
    sources.document(plain(text), text)
    said = [citation.cited_text for citation in sources.cite([4, 2, 1, 2, 99, 0])]
    assert said == ["One.  Two.", "Four."]


def test_the_model_is_told_once_how_to_cite() -> None:
    sources = Sources()
    texts = [sources.document(plain("One."), "One.") for _ in range(2)]
    assert [INSTRUCTION in text for text in texts] == [True, False]
    first = Sources()
    assert first.search_result(search_result("One.")).startswith(INSTRUCTION)


def test_document_without_citations_counts_and_has_no_numbers() -> None:
    sources = Sources()
    silent = replace(plain("One."), citations=CitationsParam(enabled=False))
    assert sources.document(silent, "One.") == "<document>\nOne.\n</document>"
    result = replace(search_result("Two."), citations=None)
    assert "[source" not in sources.search_result(result)
    sources.document(plain("Three."), "Three.")
    sources.search_result(search_result("Four."))
    (third, fourth) = sources.cite([1, 2])
    assert isinstance(third, CharLocation)
    assert isinstance(fourth, SearchResultLocation)
    assert (third.document_index, fourth.search_result_index) == (1, 1)


@pytest.mark.parametrize(
    "source",
    [
        StoredTextSource(media_type="text/plain", data="One.", file_id="file_1"),
        StoredPdfSource(media_type="application/pdf", data="", file_id="file_1"),
    ],
)
def test_a_file_is_cited_by_its_id(source: StoredPdfSource | StoredTextSource) -> None:
    sources = Sources()
    sources.document(DocumentParam(source=source, citations=ON), "One.")
    (citation,) = sources.cite([1])
    assert isinstance(citation, CharLocation)
    assert citation.file_id == "file_1"


def test_what_finds_quotes_grows_with_the_pieces() -> None:
    sources = Sources()
    first = sources.quotes()
    assert first.find("It rains in Oslo today.") is None
    cited = CitationsParam(enabled=True)
    for text in ("It rains in Oslo today.", "It snows in Bergen now."):
        source = PlainTextSource(media_type="text/plain", data=text)
        sources.document(DocumentParam(source=source, citations=cited), text)
    assert sources.quotes() is first
    assert (first.find("It rains in Oslo today."), first.find("It snows in Bergen now.")) == (1, 2)
    before = first.steps
    assert sources.quotes().steps == before
