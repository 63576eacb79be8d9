import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import antiphon
from antiphon.sdk.environment import Environment
from antiphon.sdk.log import set_up, shown
from antiphon.transport.base import ConnectError, Headers
from support.sdk import FakeClock, Reply, ScriptedTransport, events_of, frames, message_json

SECRET = "sk-secret-of-the-program"
ASKED: Any = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "A private question"}],
}
HEADERS = {"request-id": "req_1", "set-cookie": "session=private"}


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("antiphon")
    before = found.level
    yield found
    found.setLevel(before)


def client_of(*replies: Reply | ConnectError) -> antiphon.Client:
    clock = FakeClock()
    transport = ScriptedTransport(*replies, clock=clock)
    return antiphon.Client(
        api_key=SECRET, transport=transport, now=clock, sleep=clock.sleep, environment=Environment()
    )


def without_seconds(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d{3} s", "S", line) for line in lines]


def test_debug_has_each_attempt_and_never_a_text(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.setLevel(logging.DEBUG)
    client = client_of(
        ConnectError("refused"),
        Reply(529, HEADERS, json={"error": {"message": "A private answer"}}),
        Reply(200, HEADERS, json=message_json()),
    )
    client.messages.create(**ASKED)
    headers = "headers: request-id: req_1, set-cookie: <redacted>"
    post = "POST /v1/messages:"
    assert without_seconds(caplog.messages) == [
        f"{post} no answer (ConnectError: refused) in S",
        f"{post} 529 (req_1) in S, attempt 2; {headers}",
        f"{post} 200 (req_1) in S, attempt 3; {headers}",
    ]
    assert "rivate" not in caplog.text
    assert SECRET not in caplog.text


def test_info_has_what_failed(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.setLevel(logging.INFO)
    client = client_of(Reply(529), Reply(json=message_json()))
    client.messages.create(**ASKED)
    assert without_seconds(caplog.messages) == ["POST /v1/messages: 529 in S"]


def test_ends_of_streams_are_logged_once(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.setLevel(logging.DEBUG)
    whole = frames(events_of("a"))
    parts = [[whole], [whole[:-60], whole[-60:]], [whole[:-60]]]
    client = client_of(*(Reply(200, HEADERS, chunks=chunks) for chunks in parts))
    with client.messages.stream(**ASKED) as stream:
        stream.get_final_message()
    with client.messages.stream(**ASKED) as stream:
        next(stream)
    with pytest.raises(antiphon.IncompleteStreamError), client.messages.stream(**ASKED) as stream:
        stream.until_done()
    ends = [line for line in without_seconds(caplog.messages) if "the stream" in line]
    assert ends == [
        "POST /v1/messages: the stream (req_1) ended after S",
        "POST /v1/messages: the stream (req_1) was left after S",
        "POST /v1/messages: the stream (req_1) failed (IncompleteStreamError) after S",
    ]


def test_names_of_secret_headers_are_shown() -> None:
    assert shown(Headers([("X-API-Key", "k"), ("a", "1")])) == "x-api-key: <redacted>, a: 1"


def test_variable_shows_the_log() -> None:
    program = """
import antiphon
client = antiphon.Client(base_url="http://127.0.0.1:9", api_key="k", max_retries=0)
try:
    client.models.retrieve("m")
except antiphon.APIConnectionError:
    pass
"""
    shown_by: dict[str | None, str] = {}
    for level in ("info", "other", None):
        variables = {"PYTHONPATH": ":".join(sys.path)} | ({"ANTHROPIC_LOG": level} if level else {})
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        )
        shown_by[level] = ran.stderr
    assert "antiphon - INFO] GET /v1/models/m: no answer (ConnectError" in shown_by["info"]
    assert shown_by["other"] == shown_by[None] == ""


def test_level_that_is_none_changes_nothing(logger: logging.Logger) -> None:
    before = logger.level
    set_up("warn")
    set_up(None)
    assert logger.level == before


def test_log_controls_no_terminal(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.setLevel(logging.DEBUG)
    hostile = "a\x9b2J\x1b[2J\nb"
    headers = {"request-id": hostile, "server": hostile}
    chunks = (frames(events_of("Hi")),)
    client = client_of(Reply(200, headers, json=message_json()), Reply(200, headers, chunks=chunks))
    client.messages.create(**ASKED)
    with client.messages.stream(**ASKED) as stream:
        stream.until_done()
    assert len(caplog.messages) == 3
    for message in caplog.messages:
        assert message.isprintable()
        assert r"a\x9b2J\x1b[2J\nb" in message
