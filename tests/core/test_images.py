import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.images import (
    GIF,
    JPEG,
    MOST_SEGMENTS,
    PNG,
    WEBP,
    ImageHead,
    UnreadableImageError,
    is_turned,
    media_type_of,
    read_base64,
    read_head,
)
from support import images

SIZES = st.integers(1, 0x3FFF)
STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8L",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"",
)


@pytest.mark.parametrize(
    ("image", "head"),
    [
        (images.png(30, 20), ImageHead(PNG, 30, 20)),
        (images.JPEG, ImageHead(JPEG, 1, 1)),
        (images.GIF, ImageHead(GIF, 1, 1)),
        (images.WEBP, ImageHead(WEBP, 1, 1)),
    ],
)
def test_head_of_a_whole_image_has_type_and_size(image: bytes, head: ImageHead) -> None:
    assert read_head(image) == head
    assert head.longest_side == max(head.width, head.height)


@pytest.mark.parametrize(
    "webp", [images.lossy_webp_head, images.lossless_webp_head, images.extended_webp_head]
)
def test_size_stands_in_the_head_of_each_kind_of_webp(webp: Callable[[int, int], bytes]) -> None:
    assert read_head(webp(300, 16_000)) == ImageHead(WEBP, 300, 16_000)


@given(SIZES, SIZES, st.sampled_from([0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCF]))
def test_size_stands_in_the_head_of_every_format(width: int, height: int, frame: int) -> None:
    assert read_head(images.png_head(width, height)) == ImageHead(PNG, width, height)
    assert read_head(images.gif_head(width, height)) == ImageHead(GIF, width, height)
    assert read_head(images.jpeg_head(width, height, frame=frame)).width == width
    assert read_head(images.jpeg_head(width, height, frame=frame)).height == height
    for webp in (
        images.lossy_webp_head,
        images.lossless_webp_head,
        images.extended_webp_head,
    ):
        assert read_head(webp(width, height)) == ImageHead(WEBP, width, height)


@pytest.mark.parametrize(
    "before",
    [
        b"\xff\xff\xff",  # fill bytes
        b"\xff\x01\xff\xd0",  # markers without a length
        b"\xff\xc4\x00\x03a",  # a table is no frame
        b"\xff\xe1\x00\x00",  # a length that does not even hold itself
        b"\xff\xe1\x00\x06\xff\xc0\xff\xc0",  # what looks like a frame inside of a segment
    ],
)
def test_frame_of_a_jpeg_is_found_behind_other_segments(before: bytes) -> None:
    assert read_head(images.jpeg_head(7, 5, before=before)) == ImageHead(JPEG, 7, 5)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "not a PNG, JPEG, GIF or WebP"),
        (b"BM" + bytes(60), "not a PNG, JPEG, GIF or WebP"),
        (b"RIFF\0\0\0\0WAVE", "not a PNG, JPEG, GIF or WebP"),
        (images.png_head(1, 1)[:20], "cut off"),
        (images.png()[:12] + b"tEXt" + bytes(9), "does not begin with its header"),
        (images.gif_head(1, 1)[:7], "cut off"),
        (images.gif_head(0, 1), "no pixels"),
        (images.png_head(1, 0), "no pixels"),
        (images.JPEG[:30], "cut off"),
        (b"\xff\xd8", "cut off"),
        (b"\xff\xd8\xff\xe0\x00\x02ab", "cut off"),
        (b"\xff\xd8" + b"\xff\x00" * 9, "cut off"),
        (b"\xff\xd8" + b"\xff" * 9, "cut off"),
        (b"\xff\xd8\xff\xda\x00\x02", "no frame"),
        (b"\xff\xd8\xff\xd9", "no frame"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * MOST_SEGMENTS, "too many segments"),
        (images.WEBP[:12] + b"VP8?", "no image"),
        (images.WEBP[:20] + b"\0\0\0\0\0", "no image"),
        (images.lossy_webp_head(1, 1)[:23] + b"\0\0\0\0\0\0\0", "no image"),
        (images.lossy_webp_head(1, 1)[:28], "cut off"),
    ],
)
def test_unreadable_image_raises_with_the_reason(image: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read_head(image)


@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_any_bytes_are_an_image_or_unreadable(start: bytes, rest: bytes) -> None:
    try:
        head = read_head(start + rest)
    except UnreadableImageError:
        return
    assert head.media_type == media_type_of(start + rest)
    assert head.width > 0
    assert head.height > 0


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 255))
def test_any_broken_byte_leaves_an_image_or_an_error(rest: bytes, place: int, byte: int) -> None:
    for whole in (images.png(), images.JPEG, images.GIF, images.WEBP):
        broken = bytearray(whole + rest)
        broken[place % len(whole)] = byte
        try:
            assert read_head(bytes(broken)).longest_side > 0
        except UnreadableImageError:
            continue


def test_only_strict_base64_is_decoded() -> None:
    assert read_base64("aGk=") == b"hi"
    for text in ("aGk", "aGk=\n", "a Gk=", "aGk=aGk=", "ä", "!!!!", "data:image/png;base64,aGk="):
        with pytest.raises(ValueError, match="not base64"):
            read_base64(text)


@pytest.mark.parametrize(
    "junk",
    [b"a", b"\x00" * 300, b"\xff\x00", b"\xff\xff\xff", b"\n\xff\x00\n\xff\xff", b"x" * 100_000],
    ids=lambda junk: str(len(junk)),
)
@pytest.mark.parametrize(
    "segment", [b"", b"\xff\xe1\x00\x04\xff\xc0", b"\xff\xee\x00\x02", b"\xff\x01"]
)
def test_bytes_between_segments_of_a_jpeg_are_passed_over(segment: bytes, junk: bytes) -> None:
    for before in (junk + segment, segment + junk, segment + junk + segment):
        assert read_head(images.jpeg_head(7, 5, before=before)) == ImageHead(JPEG, 7, 5)


def test_junk_does_not_hide_the_pixels_before_a_frame() -> None:
    with pytest.raises(UnreadableImageError, match="no frame"):
        read_head(b"\xff\xd8junk\xff\xda" + images.jpeg_head(7, 5)[2:])


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x00", b"\x00", b"\xff\xd0", b"\xff\xff\x00"])
def test_long_junk_is_read_once(filler: bytes) -> None:
    """The search begins where the last one ended, so no byte is looked at more than twice."""
    image = Counted(b"\xff\xd8" + filler * 200_000)
    with pytest.raises(UnreadableImageError):
        read_head(image)
    assert image.read <= 4 * MOST_SEGMENTS


class Counted(bytes):
    """Counts the single bytes that Python reads; the search for markers is the library's."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        self.read += 1
        return super().__getitem__(key)


def exif(orientation: int | None, *, order: str = "<", before: int = 0) -> bytes:
    """Return the segment of a JPEG that says how its camera was held, behind other entries."""
    entries = [(0x010F, 2, 4, 0)] * before
    if orientation is not None:
        value = orientation if order == "<" else orientation << 16
        entries.append((0x0112, 3, 1, value))
    table = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    body = b"Exif\0\0" + start + struct.pack(f"{order}H", len(entries)) + table
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("before", [0, 3])
def test_jpeg_says_that_it_is_turned(order: str, before: int) -> None:
    turned = [
        is_turned(images.jpeg_head(4, 3, before=exif(number, order=order, before=before)))
        for number in range(11)
    ]
    assert turned == [False, False, *[True] * 7, False, False]


@pytest.mark.parametrize(
    "image",
    [
        images.jpeg_head(4, 3),
        images.jpeg_head(4, 3, before=exif(None, before=2)),
        # Behind the frame, or without one.
        images.jpeg_head(4, 3)[:-8] + b"\xff\xda" + exif(6),
        images.jpeg_head(4, 3) + exif(6),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8",
        # Another block of the same kind, and one that is cut off.
        images.jpeg_head(4, 3, before=b"\xff\xe1\x00\x08http:/"),
        b"\xff\xd8" + exif(6)[:-6],
        b"\xff\xd8" + exif(6)[:16],
        b"\xff\xd8" + b"\xff\x01" * 5000 + exif(6),
        images.png(),
        images.GIF,
        b"",
    ],
)
def test_image_that_says_nothing_of_it_is_not_turned(image: bytes) -> None:
    assert not is_turned(image)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_nothing_that_is_read_of_a_jpeg_fails(one: bytes, other: bytes) -> None:
    is_turned(b"\xff\xd8\xff\xe1" + one + b"Exif\0\0" + other)
    is_turned(images.jpeg_head(4, 3, before=exif(6)[:-10] + one))
