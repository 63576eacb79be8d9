"""Makes small PDFs, good and bad ones, as base64."""

import zlib
from base64 import b64encode
from collections.abc import Sequence
from hashlib import md5

FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
PAGE = (
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
    "/Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R {} >>"
)
ID = b"0123456789abcdef"


def shown(text: str) -> bytes:
    """The content of a page that shows a text."""
    return f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()


def stream(content: bytes, entries: str = "") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (
        len(content),
        entries.encode(),
        content,
    )


def flated(content: bytes) -> bytes:
    return stream(zlib.compress(content), "/Filter /FlateDecode")


def pdf(texts: Sequence[str]) -> str:
    """A PDF of one text a page."""
    return pages_pdf([stream(shown(text)) for text in texts])


def pages_pdf(
    contents: Sequence[bytes],
    *others: str | bytes,
    catalog: str = "",
    page: str = "",
    trailer: str = "",
) -> str:
    """A PDF of one stream a page, with more objects, the first of which is `4 + 2 * pages`.

    `catalog`, `page` and `trailer` are more entries of these dictionaries.
    """
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(contents)))
    objects: list[str | bytes] = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>",
        FONT,
    ]
    for index, content in enumerate(contents):
        objects += [PAGE.format(5 + 2 * index, page), content]
    return objects_pdf([*objects, *others], trailer)


def objects_pdf(objects: Sequence[str | bytes], trailer: str = "") -> str:
    """A PDF of these objects, numbered from 1. The first is the catalog."""
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        told = content.encode() if isinstance(content, str) else content
        body += b"%d 0 obj\n%s\nendobj\n" % (number, told)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    body += (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF"
    ).encode()
    return b64encode(body).decode()


def encrypted(text: str, password: str = "") -> str:
    """A PDF of one page in RC4, which this password opens; anybody may open it without one."""
    padding = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
    user = (password.encode() + padding)[:32]
    owner = _rc4(_md5((b"owner" + padding)[:32])[:5], user)
    key = _md5(user + owner + b"\xfc\xff\xff\xff" + ID)[:5]
    # The stream of the only page is object 5.
    content = _rc4(_md5(key + b"\x05\x00\x00\x00\x00")[:10], shown(text))
    lock = (
        f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> "
        f"/U <{_rc4(key, padding).hex()}> >>"
    )
    return pages_pdf([stream(content)], lock, trailer=_encrypt(6))


def locked(entries: str) -> str:
    """A PDF whose encryption has these entries."""
    return pages_pdf([stream(shown("x"))], f"<< {entries} >>", trailer=_encrypt(6))


def endless(depth: int = 30) -> str:
    """A PDF of two kilobytes whose page draws a form, which draws one ten times, and so on."""
    first = 6
    forms = [
        stream(
            b"/X Do " * 10 if index < depth else shown("x"),
            "/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /Font << /F1 3 0 R >> "
            f"/XObject << /X {first + 1 + index} 0 R >> >>",
        )
        for index in range(depth + 1)
    ]
    page = f"/Resources << /XObject << /X {first} 0 R >> >>"
    return pages_pdf([stream(b"/X Do")], *forms, page=page)


def slow() -> str:
    """A PDF of a few kilobytes that keeps a reader busy for minutes, in little memory."""
    packed = zlib.compress(zlib.compress(b"q Q " * 5_000_000, 9), 9)
    content = stream(packed, "/Filter [/FlateDecode /FlateDecode]")
    page = PAGE.format(4, "")
    kids = " ".join(f"{5 + index} 0 R" for index in range(100))
    return objects_pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [{kids}] /Count 100 >>",
            FONT,
            content,
            *[page] * 100,
        ]
    )


def bomb(megabytes: int) -> str:
    """A PDF of a few kilobytes whose only page has this much text."""
    line = b"(" + b"x" * 1000 + b") Tj T* "
    content = b"BT /F1 12 Tf 72 720 Td 14 TL " + line * (megabytes * 1000) + b" ET"
    packed = zlib.compress(zlib.compress(content, 9), 9)
    return pages_pdf([stream(packed, "/Filter [/FlateDecode /FlateDecode]")])


def _encrypt(number: int) -> str:
    return f"/Encrypt {number} 0 R /ID [<{ID.hex()}> <{ID.hex()}>]"


def _md5(content: bytes) -> bytes:
    return md5(content, usedforsecurity=False).digest()


def _rc4(key: bytes, content: bytes) -> bytes:
    state = list(range(256))
    other = 0
    for index in range(256):
        other = (other + state[index] + key[index % len(key)]) % 256
        state[index], state[other] = state[other], state[index]
    written = bytearray()
    index = other = 0
    for byte in content:
        index = (index + 1) % 256
        other = (other + state[index]) % 256
        state[index], state[other] = state[other], state[index]
        written.append(byte ^ state[(state[index] + state[other]) % 256])
    return bytes(written)
