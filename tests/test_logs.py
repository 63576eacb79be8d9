import errno
import fcntl
import io
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.log_lines import LOST, MOST_LINES, LineWriter
from antiphon.logs import (
    MOST_CAUSES,
    ConsoleLines,
    EventLog,
    EventRecord,
    frames_only,
    json_line,
    request_line,
    set_up_logs,
)
from support.logs import reset_logs


def test_line_is_json_without_a_terminal(monkeypatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", "auto")
    EventLog("antiphon.tests").info("request", status=200)
    EventLog("antiphon.tests").debug("not said")
    reset_logs()
    (line,) = stream.buffer.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["status"], said["level"]) == ("request", 200, "info")
    assert said["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["json", "console"])
def test_line_of_a_library_has_the_form_of_all_others(monkeypatch, form: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", form)
    library = logging.getLogger("uvicorn.error")
    try:
        library.info("not said")
        library.warning("slow %s", "x" * 2000)
        try:
            raise ValueError("what the caller sent")  # noqa: TRY301 - it is the example
        except ValueError:
            library.exception("failed")
    finally:
        reset_logs()
    written = stream.buffer.getvalue().decode()
    assert "what the caller sent" not in written
    assert "not said" not in written
    slow, failed = written.splitlines()[:2]
    assert len(slow) < 1300
    if form == "json":
        assert json.loads(slow)["level"] == "warning"
        said = json.loads(failed)
        assert (said["event"], said["level"], said["logger"], said["message"]) == (
            "library",
            "error",
            "uvicorn.error",
            "failed",
        )
        assert said["exception"] == "ValueError"


@pytest.mark.parametrize(
    "odd", ["\x9b31m", "\u202e", "\x1b[2J", "\n", "\r", "\u2028", "\x00", "\ud800"]
)
@pytest.mark.parametrize("event", ["request", "another"])
def test_console_escapes_what_a_terminal_would_obey(monkeypatch, event: str, odd: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", "console")
    fields = {"request_id": "req_1", "method": "GET", "duration_ms": 1.0}
    EventLog("antiphon.tests").info(event, path=f"/a{odd}b", model="模型 é", **fields)
    reset_logs()
    written = stream.buffer.getvalue().decode()
    assert "模型 é" in written
    assert odd not in written.replace("\x1b[0m", "").removesuffix("\n")


def test_record_of_an_event_has_all_that_a_formatter_may_ask_for() -> None:
    ordinary = logging.LogRecord("x", logging.INFO, "x.py", 1, "ready", (), None)
    record = EventRecord("antiphon.tests", logging.INFO, "ready", {"key_id": "k"})
    assert ordinary.__dict__.keys() <= record.__dict__.keys()
    words = "%(asctime)s %(levelname)s %(name)s:%(filename)s:%(lineno)d %(threadName)s %(message)s"
    assert "INFO antiphon.tests::0 None ready" in logging.Formatter(words).format(record)


def test_a_traceback_says_where_and_not_what() -> None:
    try:
        raise ValueError("what the caller sent")  # noqa: TRY301 - it is the example
    except ValueError as error:
        event = frames_only({"exc_info": error})
    assert event["exception"] == "ValueError"
    assert "test_a_traceback" in event["frames"][-1]
    assert "what the caller sent" not in repr(event)


def test_group_tells_where_its_causes_were_raised() -> None:
    def fail(number: int) -> ValueError:
        try:
            raise ValueError(f"what caller {number} sent")  # noqa: TRY301 - it is the example
        except ValueError as error:
            return error

    inner = ExceptionGroup("what the caller sent", [fail(1), fail(2)])
    event = frames_only({"exc_info": ExceptionGroup("more", [inner, *map(fail, range(9))])})
    assert event["exception"] == "ExceptionGroup"
    assert [cause["exception"] for cause in event["causes"]] == ["ValueError"] * MOST_CAUSES
    assert all("fail" in cause["frames"][-1] for cause in event["causes"])
    assert "caller" not in repr(event).replace(__file__, "")


@pytest.mark.anyio
async def test_lines_of_a_moment_are_written_together_and_errors_at_once() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream, json_line)
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
    LineWriter(stream, json_line).info(b"one")
    assert stream.getvalue() == b"one\n"


class Disk:
    """A file on a disk with room for some bytes; with `stutters`, a write takes a half of it."""

    def __init__(self, room: int = 0, *, stutters: bool = False) -> None:
        self.room = room
        self.written = b""
        self._stutters = stutters

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        most = (self.room + 1) // 2 if self._stutters else self.room
        taken = bytes(data[:most])
        self.room -= len(taken)
        self.written += taken
        return len(taken)


def test_lost_lines_are_counted_and_told_once_there_is_room() -> None:
    disk = Disk(room=6)
    writer = LineWriter(disk, json_line)
    for line in (b"one", b"two", b"three"):
        writer.error(line)
    assert disk.written == b"one\ntw"
    disk.room = 1000
    writer.error(b"four")
    writer.error(b"five")
    one, cut, told, *others = disk.written.splitlines()
    assert (one, cut, others) == (b"one", b"tw", [b"four", b"five"])
    said = json.loads(told)
    assert (said["event"], said["level"], said["lines"]) == (LOST, "warning", 2)


@pytest.mark.parametrize("fault", [ValueError("closed"), BrokenPipeError()])
def test_stream_that_is_gone_costs_lines_only(fault: Exception) -> None:
    class Gone:
        def write(self, _: memoryview) -> int:
            raise fault

    writer = LineWriter(Gone(), json_line)
    writer.info(b"one")
    writer.error(b"two")


@given(
    st.lists(
        st.one_of(st.integers(1, 400), st.lists(st.binary(max_size=30), max_size=4).map(tuple)),
        max_size=20,
    ),
    st.booleans(),
)
def test_each_line_is_written_whole_or_counted_as_lost(
    steps: list[int | tuple[bytes, ...]], stutters: bool
) -> None:
    disk = Disk(stutters=stutters)
    writer = LineWriter(disk, lambda event: b"lost %d" % event["lines"])
    logged = 0
    for step in [*steps, 10_000, (b"last",)]:
        if isinstance(step, int):
            disk.room += step
            continue
        for _ in step:
            logged += 1
            writer.error(b"<%d>" % logged)
    lines = disk.written.splitlines()
    assert lines[-1] == b"<%d>" % logged
    whole = [line for line in lines if line.startswith(b"<") and line.endswith(b">")]
    assert len(set(whole)) == len(whole)
    lost = sum(int(line.split()[1]) for line in lines if line.startswith(b"lost"))
    assert len(whole) + lost == logged


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("closed", [True, False])
def test_log_that_cannot_be_written_does_not_fail_its_caller(
    monkeypatch: pytest.MonkeyPatch, form: Any, *, closed: bool
) -> None:
    stream = open("/dev/full", "w", encoding="utf-8")  # noqa: PTH123, SIM115 - closed below
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", form)
    if closed:
        stream.close()
    EventLog("antiphon.tests").warning("key expires soon", key_id="k")
    logging.getLogger("uvicorn.error").warning("slow")
    reset_logs()
    # Nothing is kept that could fail later.
    stream.close()


class Silent:
    def __str__(self) -> str:
        raise ValueError("what the caller sent")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    ("message", "args", "told"),
    [
        ("%d items", ("x",), "%d items"),
        ("%s %s", ("x",), "%s %s"),
        ("path %s", ("\udcff",), r"path \udcff"),
        ("%s", (Silent(),), "%s"),
        (Silent(), (), "<Silent>"),
    ],
)
def test_record_that_cannot_be_formatted_is_told_in_part(
    monkeypatch: pytest.MonkeyPatch, form: Any, message: Any, args: Any, told: str
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", form)
    logging.getLogger("library").error(message, *args)
    reset_logs()
    written = stream.buffer.getvalue().decode()
    assert (json.loads(written)["message"] if form == "json" else written).find(told) >= 0
    assert "what the caller sent" not in written


@pytest.mark.parametrize("form", ["json", "console"])
def test_event_with_a_value_that_cannot_be_written_tells_the_others(
    monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", form)
    fields = {"key_id": "k", "n": 10**5000, "paths": ["\udcff"], "by": {"a": 2.5}, "no": None}
    EventLog("antiphon.tests").error("ready", one=Silent(), exc_info=ValueError("secret"), **fields)
    reset_logs()
    written = stream.buffer.getvalue().decode()
    assert "secret" not in written
    if form == "json":
        said = json.loads(written)
        assert (said["event"], said["level"], said["fault"]) == ("ready", "error", "ValueError")
        assert (said["one"], said["key_id"], said["n"]) == ("<Silent>", "k", "<int>")
        assert (said["paths"], said["by"], said["no"]) == ([r"\udcff"], {"a": 2.5}, None)
        assert said["exception"] == "ValueError"
    else:
        assert "key_id=k" in written
        assert "one=<Silent>" in written


FORK = """
import logging, os, signal, threading
from antiphon.logs import EventHandler, EventLog

inside, go = threading.Event(), threading.Event()

def write(event):
    if event["event"] == "slow":
        inside.set()
        go.wait()

logging.basicConfig(handlers=[EventHandler(write)])
log = EventLog("antiphon.tests")
thread = threading.Thread(target=log.warning, args=("slow",))
thread.start()
inside.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    log.warning("child")
    os._exit(0)
_, status = os.waitpid(child, 0)
go.set()
thread.join()
raise SystemExit(status)
"""


def test_forked_process_logs_although_a_thread_was_writing() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=False)
    assert done.returncode == 0


REQUEST = {
    "timestamp": datetime(2026, 11, 28, 17, 55, 20, 123456, UTC),
    "level": "info",
    "event": "request",
    "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    "method": "POST",
    "path": "/v1/messages",
    "route": "/v1/messages",
    "status": 200,
    "key_id": "apikey_01KVYBamPFFZ9w9Bnd5ig2vX",
    "model": "claude-local",
    "input_tokens": 1234,
    "output_tokens": 56,
    "ttft_ms": 3.1,
    "duration_ms": 1234.5,
}


def test_line_of_a_request_is_one_line_of_a_terminal_with_the_status_first() -> None:
    line = request_line(REQUEST, 80)
    assert line == (
        "200 POST /v1/messages claude-local 1234+56tok 1.2s req_011CSHoEeqs5C35K2UUqR7Fy"
    )
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"path": "/x", "status": 404, "error_type": "e"},
            "404 POST /x claude-local 12+3tok 7ms e",
        ),
        ({"path": f"/{'x' * 99}", "model": ""}, f"200 POST /{'x' * 28}… 12+3tok 7ms req_"),
        (
            {"cache_read_input_tokens": 9},
            "200 POST /v1/messages claude-local 12(9 cached)+3tok 7ms",
        ),
        ({"cache_read_input_tokens": 0}, "200 POST /v1/messages claude-local 12+3tok 7ms"),
        ({"status": None, "hung_up": True}, "--- POST /v1/messages claude-local 12+3tok 7ms hung"),
    ],
)
def test_line_of_a_request_tells_errors_and_hang_ups(change: dict[str, Any], line: str) -> None:
    event = {**REQUEST, "input_tokens": 12, "output_tokens": 3, "duration_ms": 7.1, **change}
    told = request_line(event, 80)
    assert told.startswith(line)
    assert told.endswith(REQUEST["request_id"])


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("model", ["m", "m" * 256])
@pytest.mark.parametrize("path", ["/", f"/{'p' * 255}"])
def test_long_texts_of_a_caller_leave_one_line_that_ends_with_the_id(
    path: str, model: str, columns: int
) -> None:
    line = request_line({**REQUEST, "path": path, "model": model}, columns)
    assert "\n" not in line
    assert line.startswith("200 POST /")
    assert line.endswith(f" {REQUEST['request_id']}")
    assert len(line) <= max(columns, 86)


def test_text_of_a_caller_cannot_steer_the_terminal() -> None:
    line = request_line({**REQUEST, "path": "/a\nb\x1b[2J\x9b", "model": "\u2028\u202e"}, 200)
    assert line.isprintable()
    assert r"/a\nb\x1b[2J\x9b \u2028\u202e" in line


def test_line_with_room_tells_the_time_of_day() -> None:
    assert "17:55" not in request_line(REQUEST, 88)
    assert request_line(REQUEST, 89).endswith(f" 17:55:20Z {REQUEST['request_id']}")


def test_hint_stands_below_the_line_of_its_request() -> None:
    first, second = request_line({**REQUEST, "hint": "a\nb"}, 80).splitlines()
    assert first.endswith(REQUEST["request_id"])
    assert second == r"    hint: a\nb"


def test_status_is_coloured_on_a_terminal_only() -> None:
    assert request_line({**REQUEST, "status": 500}, 80, colours=True).startswith(
        "\x1b[31m500\x1b[0m"
    )
    assert "\x1b" not in request_line({**REQUEST, "status": 500}, 80)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_line_fits_into_the_terminal_that_it_is_written_to(columns: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(theirs, "w", encoding="utf-8") as terminal:  # noqa: PTH123 - an open file
        lines = ConsoleLines(terminal)
        line = lines.line({**REQUEST, "path": f"/{'p' * 200}"})
        other = lines.line({**REQUEST, "event": "ready"})
    os.close(ours)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert len(shown) == max(columns, 80) or columns == 60
    assert "ready" in other


def test_console_without_a_terminal_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info", "console")
    EventLog("antiphon.tests").info(**REQUEST)
    EventLog("antiphon.tests").warning("key expires soon", key_id="k")
    reset_logs()
    first, second = stream.buffer.getvalue().splitlines()
    assert first.startswith(b"200 POST /v1/messages")
    assert b"key expires soon" in second
    assert b"\x1b" not in first + second
