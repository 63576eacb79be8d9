import pytest

from antiphon.wire.plain_frames import plain_frames


@pytest.mark.parametrize(
    ("frames", "names", "data"),
    [
        (b"event: a\ndata: 1", [b"a"], [b"1"]),
        (b"event: a\ndata: 1\n\nevent: b\ndata:  2 ", [b"a", b"b"], [b"1", b" 2 "]),
        (b"event: a\ndata: 1\n", [b"a"], [b"1"]),
        (b"event: a\ndata: \n\nevent: a\ndata: data: 2", [b"a", b"a"], [b"", b"data: 2"]),
        (b"data: 1", [b"message"], [b"1"]),
        (b"data: 1\n\ndata: \n\ndata: event: a", [b"message"] * 3, [b"1", b"", b"event: a"]),
    ],
)
def test_usual_frames_are_taken_apart(frames: bytes, names: list[bytes], data: list[bytes]) -> None:
    assert plain_frames(frames) == (names, data)


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        b"event: a",
        b"event: a\ndata: 1\n\ndata: 2",
        b"data: 1\n\nevent: a\ndata: 2",
        b"data: 1\ndata: 2",
        b"data: 1\n\n\ndata: 2",
        b"event: \ndata: 1",
        b"event:a\ndata: 1",
        b"event: a\ndata:1",
        b"data: 1\n\ndata:2",
        b"data: 1\nevent: a",
        b"event: a\ndata: 1\n\n: x\ndata: 2",
        b"event: a\ndata: 1\nid: 7",
        b"\xef\xbb\xbfdata: 1",
    ],
)
def test_other_frames_are_left_to_who_reads_line_by_line(frames: bytes) -> None:
    assert plain_frames(frames) is None
