"""What a reader of PDFs gets of good, odd and broken files, through a real child process."""

import zlib
from base64 import a85encode, b64encode
from collections.abc import Awaitable, Callable

import pytest

from antiphon.service.content.file_protocol import MOST_CHARACTERS, MOST_PAGES
from antiphon.service.content.file_reader import INVALID, FileRefusedError
from support.pdf import (
    FONT,
    PAGE,
    encrypted,
    flated,
    locked,
    objects_pdf,
    pages_pdf,
    pdf,
    shown,
    stream,
)

pytestmark = pytest.mark.anyio

LOCKED = "The PDF specified is password protected."
TEXT = shown("Hello")
ENTRY = "7f" * 32
WIDGET = "/Type /Annot /Subtype /Widget /Rect [0 0 9 9]"


@pytest.fixture
def read(file_reader) -> Callable[[str], Awaitable[tuple[str | None, ...]]]:
    async def pages(data: str) -> tuple[str | None, ...]:
        async with file_reader.borrow() as child:
            return await child.text(data)

    return pages


def annotated(*annotations: str, catalog: str = "") -> str:
    """A PDF of one page, whose annotations are the objects from 6 on."""
    numbers = " ".join(f"{6 + index} 0 R" for index in range(len(annotations)))
    page = f"/Annots [{numbers}]"
    return pages_pdf([stream(shown("Form"))], *annotations, page=page, catalog=catalog)


def form(*fields: str) -> str:
    """A PDF of one page with these fields of a form."""
    numbers = " ".join(f"{6 + index} 0 R" for index in range(len(fields)))
    widgets = [f"<< {WIDGET} {field} >>" for field in fields]
    return annotated(*widgets, catalog=f"/AcroForm << /Fields [{numbers}] >>")


@pytest.mark.parametrize(
    ("names", "content"),
    [
        ("/FlateDecode", zlib.compress(TEXT)),
        ("/Fl", zlib.compress(TEXT)),
        ("[/Fl]", zlib.compress(TEXT)),
        ("/ASCIIHexDecode", TEXT.hex().encode() + b">"),
        ("/AHx", TEXT.hex().encode() + b">"),
        ("/ASCII85Decode", a85encode(TEXT) + b"~>"),
        ("/A85", a85encode(TEXT) + b"~>"),
        ("[/A85 /Fl]", a85encode(zlib.compress(TEXT)) + b"~>"),
        ("/RunLengthDecode", bytes([len(TEXT) - 1]) + TEXT + b"\x80"),
        ("/RL", bytes([len(TEXT) - 1]) + TEXT + b"\x80"),
    ],
)
async def test_filter_of_a_page_may_have_its_short_name(names, content, read) -> None:
    assert await read(pages_pdf([stream(content, f"/Filter {names}")])) == ("Hello",)


@pytest.mark.parametrize(
    "name", ["LZWDecode", "LZW", "CCF", "DCT", "JBIG2Decode", "JPXDecode", "Crypt", "Bogus"]
)
async def test_page_in_a_filter_of_images_or_none_is_no_fault(name, read) -> None:
    (text,) = await read(pages_pdf([stream(TEXT, f"/Filter /{name}")]))
    assert text in {"", "Hello"}


@pytest.mark.parametrize(
    "operators",
    [
        b"BT /F1 12 Tf 72 720 Td [(Hel) Tj (lo)] TJ ET",
        b"BT /F1 12 Tf 72 720 Td (Hello) Tj /Nothing Do 1 2 3 nonsense << ] ET",
        b"( [ < {" + TEXT,
        b"Q Q Q ET ET " + TEXT,
        b"[" * 100_000 + b"]" * 100_000 + b" " + TEXT,
        b"<< /A " * 100_000 + b" " + TEXT,
    ],
)
async def test_bad_operator_does_not_lose_the_document(operators, read) -> None:
    pages = await read(pages_pdf([stream(operators), stream(shown("Next"))]))
    assert pages[0] is not None
    assert pages[1] == "Next"


async def test_broken_page_is_read_by_itself(read) -> None:
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [4 0 R 9 0 R 4 0 R] /Count 3 >>",
        FONT,
        PAGE.format(5, ""),
        stream(TEXT),
    ]
    assert await read(objects_pdf(objects)) == ("Hello", None, "Hello")


@pytest.mark.parametrize("depth", [1_000, 200_000])
async def test_nested_arrays_are_read_or_refused(depth, read) -> None:
    data = pages_pdf([stream(TEXT)], catalog=f"/Deep {'[' * depth}{']' * depth}")
    try:
        assert len(await read(data)) == 1
    except FileRefusedError as error:
        assert str(error) == INVALID  # noqa: PT017 - either is right


async def test_tree_of_pages_that_holds_itself_is_read_or_refused(read) -> None:
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"]
    try:
        assert await read(objects_pdf(objects)) == (None,)
    except FileRefusedError as error:
        assert str(error) == INVALID  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("%%%", "invalid base64 data"),
        ("JVBERg=", "invalid base64 data"),
        ("JVBE\nRg==", "invalid base64 data"),
        ("é" * 8, "invalid base64 data"),
        ("", INVALID),
        (b64encode(b"no PDF at all").decode(), INVALID),
        (b64encode(b"<html></html>").decode(), INVALID),
        (b64encode(b"%PDF-1.4\ncut off").decode(), INVALID),
        (objects_pdf(["<< /Type /Catalog >>"]), INVALID),
        (pdf([]), INVALID),
        (pdf(["x"] * (MOST_PAGES + 1)), "A maximum of 100 PDF pages may be provided."),
        (encrypted("x", "secret"), LOCKED),
        (locked("/Filter /Adobe.PubSec /SubFilter /adbe.pkcs7.s5 /V 4"), LOCKED),
        (
            locked(
                "/Filter /Standard /V 4 /R 4 /Length 128 /P -4 /StmF /StdCF /StrF /StdCF "
                "/CF << /StdCF << /CFM /AESV2 /Length 16 >> >> "
                f"/O <{ENTRY}> /U <{ENTRY}>"
            ),
            LOCKED,
        ),
        (
            locked(
                "/Filter /Standard /V 5 /R 6 /Length 256 /P -4 /StmF /StdCF /StrF /StdCF "
                "/CF << /StdCF << /CFM /AESV3 /Length 32 >> >> "
                f"/O <{'7f' * 48}> /U <{'7f' * 48}> /OE <{ENTRY}> /UE <{ENTRY}> "
                f"/Perms <{'7f' * 16}>"
            ),
            LOCKED,
        ),
    ],
)
async def test_unreadable_pdf_is_refused_in_the_words_of_the_api(data, said, read) -> None:
    with pytest.raises(FileRefusedError) as refused:
        await read(data)
    assert str(refused.value) == said


@pytest.mark.soak
async def test_pdf_with_more_text_than_any_model_reads_is_refused(read) -> None:
    lines = b"(%b) Tj T* " % (b"x" * 1000) * (MOST_CHARACTERS // MOST_PAGES // 1000 + 1)
    page = flated(b"BT /F1 12 Tf 72 720 Td 14 TL %b ET" % lines)
    with pytest.raises(FileRefusedError, match=r"^the PDF has too much text$"):
        await read(pages_pdf([page] * MOST_PAGES))


async def test_largest_allowed_number_of_pages_is_read(read) -> None:
    assert await read(pdf(["x"] * MOST_PAGES)) == ("x",) * MOST_PAGES


async def test_encrypted_pdf_without_a_password_is_read(read) -> None:
    assert await read(encrypted("Open to all")) == ("Open to all",)


async def test_values_of_form_fields_stand_behind_the_text(read) -> None:
    data = form(
        "/FT /Tx /T (name) /V (Ada)",
        "/FT /Tx /T (city) /TU (City of birth) /V (London)",
        "/FT /Tx /T (empty)",
        "/FT /Tx /T (pin) /Ff 8192 /V (1234)",
        "/FT /Ch /Ff 131072 /T (colour) /Opt [(red) (green)] /V (green)",
        "/FT /Ch /Ff 2097152 /T (tools) /Opt [(saw) (axe) (file)] /V [(saw) (file)]",
        "/FT /Btn /T (agree) /V /Yes /AS /Yes /AP << /N << /Yes 5 0 R /Off 5 0 R >> >>",
        "/FT /Btn /T (refuse) /V /Off /AS /Off /AP << /N << /Yes 5 0 R /Off 5 0 R >> >>",
        "/FT /Btn /Ff 65536 /T (push) /V (pushed)",
        "/FT /Sig /T (signed) /V << /Contents (x) >>",
        "/FT /Tx /T (hidden) /F 2 /V (unseen)",
    )
    assert await read(data) == (
        "Form\nname: Ada\nCity of birth: London\ncolour: green\ntools: saw, file\nagree: Yes",
    )


async def test_value_that_several_widgets_show_is_told_once(read) -> None:
    widget = f"<< {WIDGET} /Parent 8 0 R >>"
    field = "<< /FT /Tx /T (name) /V (Ada) /Kids [6 0 R 7 0 R] >>"
    page = "/Annots [6 0 R 7 0 R]"
    catalog = "/AcroForm << /Fields [8 0 R] >>"
    data = pages_pdf([stream(TEXT)], widget, widget, field, page=page, catalog=catalog)
    assert await read(data) == ("Hello\nname: Ada",)


@pytest.mark.parametrize("catalog", ["", "/AcroForm << /Fields [] >>"])
async def test_text_field_that_no_form_lists_is_told(catalog, read) -> None:
    data = annotated(
        f"<< {WIDGET} /FT /Tx /T (name) /V (Ada) >>",
        f"<< {WIDGET} /FT /Tx /T (pin) /Ff 8192 /V (1234) >>",
        f"<< {WIDGET} /FT /Tx /T (empty) >>",
        f"<< {WIDGET} /FT /Btn /T (agree) /V /Off >>",
        f"<< {WIDGET} /FT /Tx /T (odd) /Ff {'9' * 60}.0 /V (Odd) >>",
        f"<< {WIDGET} /FT 7 /T 8 /Ff (text) /V [9] >>",
        catalog=catalog,
    )
    assert await read(data) == ("Form\nname: Ada\nodd: Odd",)


async def test_free_text_is_told_and_hidden_or_closed_comments_are_not(read) -> None:
    data = annotated(
        "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /Contents (Approved) /DA (/F1 9 Tf) >>",
        "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /F 2 /Contents (Hidden) >>",
        "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /F 32 /Contents (Not viewed) >>",
        "<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (Behind an icon) >>",
        "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /Contents <feff00640065d83dde00> >>",
        "null",
    )
    assert await read(data) == ("Form\nApproved\nde\N{GRINNING FACE}",)


async def test_free_text_on_a_page_without_text_is_its_text(read) -> None:
    note = "<< /Type /Annot /Subtype /FreeText /Rect [0 0 9 9] /Contents (Note) >>"
    assert await read(pages_pdf([stream(b"")], note, page="/Annots [6 0 R]")) == ("Note",)


async def test_page_without_text_is_empty(read) -> None:
    image = "/Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray"
    scan = pages_pdf(
        [stream(b"/I Do")],
        stream(b"x", image),
        page="/Resources << /XObject << /I 6 0 R >> >>",
    )
    assert await read(scan) == ("",)


async def test_text_of_every_script_is_told_without_control_characters(read) -> None:
    written = "Grüße, 標準 \N{GRINNING FACE}\0\x07"
    codes = "".join(
        f"<{index:04x}> <{character.encode('utf-16-be').hex()}>\n"
        for index, character in enumerate(written, 1)
    )
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def "
        "1 begincodespacerange <0000> <ffff> endcodespacerange "
        f"{len(written)} beginbfchar\n{codes}endbfchar endcmap end end"
    )
    shown_codes = "".join(f"{index:04x}" for index in range(1, len(written) + 1))
    data = pages_pdf(
        [stream(f"BT /F2 12 Tf 72 720 Td <{shown_codes}> Tj ET".encode())],
        "<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H "
        "/DescendantFonts [7 0 R] /ToUnicode 8 0 R >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /DW 1000 /CIDSystemInfo "
        "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        stream(cmap.encode()),
        page="/Resources << /Font << /F2 6 0 R >> >>",
    )
    assert await read(data) == ("Grüße, 標準 \N{GRINNING FACE}",)


async def test_lines_and_hyphens_stay_as_they_are_on_the_page(read) -> None:
    content = b"BT /F1 12 Tf 14 TL 72 720 Td (a read-) Tj T* (able line) Tj T* (the next) Tj ET"
    assert await read(pages_pdf([flated(content)])) == ("a read-\nable line\nthe next",)
