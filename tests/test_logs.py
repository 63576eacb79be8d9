import io
import json
import sys

import pytest
import structlog

from antiphon.logs import MOST_LINES, LineWriter, frames_only, set_up_logs


def test_line_is_json_without_a_terminal(monkeypatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", "auto")
    structlog.get_logger().info("request", status=200)
    structlog.get_logger().debug("not said")
    structlog.reset_defaults()
    (line,) = stream.buffer.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["status"], said["level"]) == ("request", 200, "info")
    assert said["timestamp"].endswith("Z")


def test_a_traceback_says_where_and_not_what() -> None:
    try:
        raise ValueError("what the caller sent")  # noqa: TRY301 - it is the example
    except ValueError as error:
        event = frames_only(None, "error", {"exc_info": error})
    assert event["exception"] == "ValueError"
    assert "test_a_traceback" in event["frames"][-1]
    assert "what the caller sent" not in repr(event)


@pytest.mark.anyio
async def test_lines_of_a_moment_are_written_together_and_errors_at_once() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream)
    writer.info(b"one")
    writer.info(b"two")
    assert stream.getvalue() == b""
    writer.error(b"three")
    assert stream.getvalue() == b"one\ntwo\nthree\n"
    writer.info(b"four")
    writer.flush()
    assert stream.getvalue().endswith(b"four\n")
    for _ in range(MOST_LINES):
        writer.info(b"many")
    assert stream.getvalue().count(b"many") == MOST_LINES


def test_line_without_an_event_loop_is_written_at_once() -> None:
    stream = io.BytesIO()
    LineWriter(stream).info(b"one")
    assert stream.getvalue() == b"one\n"
