import io
import json
import sys

import structlog

from antiphon.logs import frames_only, set_up_logs


def test_a_line_is_json_where_no_person_reads(monkeypatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", "auto")
    structlog.get_logger().info("request", status=200)
    structlog.get_logger().debug("not said")
    structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
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
