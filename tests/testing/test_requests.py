import json
from collections.abc import Iterator

import pytest

from antiphon import testing
from antiphon.testing import Server
from antiphon.testing.requests import RequestList, differences
from support.in_process import HELLO, create, get, opened, request, said


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with testing.server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server of the module, as new."""
    running.reset()
    return running


def test_request_is_recorded_with_its_answer_and_without_its_key(server: Server) -> None:
    sent = request(server, "/v1/messages?beta=true", HELLO, anthropic_beta="one")
    stream = server.transport().open(sent, connect_timeout=None, timeout=10)
    body = json.loads(stream.read(10))
    last = server.requests.last
    assert (last.method, last.path, last.query) == ("POST", "/v1/messages", "beta=true")
    assert (last.body, last.text, last.status) == (HELLO, "Hi", 200)
    assert (last.headers["anthropic-beta"], last.headers["x-api-key"]) == ("one", "…")
    assert (last.answer, last.usage) == (body, body["usage"])
    assert last.request_id == stream.headers["request-id"]
    assert server.key not in repr(vars(last))
    assert repr(last) == "<POST /v1/messages → 200>"


def test_stream_is_recorded_event_by_event(server: Server) -> None:
    opened(server, stream=True).read(10)
    last = server.requests.last
    assert [one["type"] for one in last.events][-1] == "message_stop"
    assert last.answer == last.events
    assert last.usage["output_tokens"] == 2
    assert last.usage["input_tokens"] > 0


def test_requests_are_found_by_their_path(server: Server) -> None:
    said(server)
    get(server, "/v1/models")
    assert [one.path for one in server.requests] == ["/v1/messages", "/v1/models"]
    assert len(server.requests.to("/v1/models", "GET")) == 1
    assert server.requests.to("/v1/models", "POST") == []
    assert server.requests[0].text == "Hi"
    assert [one.status for one in server.requests[1:]] == [200]
    server.requests.assert_count(2)
    server.requests.assert_count(1, "/v1/models")
    with pytest.raises(
        AssertionError, match=r"requests: 1 expected, 2 came:\n  <POST /v1/messages → 200>"
    ):
        server.requests.assert_count(1)


def test_expected_values_are_looked_for_and_what_is_there_is_told(server: Server) -> None:
    create(server, max_tokens=5, metadata={"user_id": "one"})
    create(server, max_tokens=9, system="Be brief", metadata={"user_id": "two"})
    found = server.requests.assert_sent(max_tokens=5, metadata={"user_id": "one"})
    assert found.body["max_tokens"] == 5
    with pytest.raises(AssertionError) as told:
        server.requests.assert_sent(system="Be brief", metadata={"user_id": "one"}, top_k=1)
    assert str(told.value).splitlines()[1:] == [
        "  metadata.user_id: 'one' expected, 'two' there",
        "  top_k is missing",
    ]
    with pytest.raises(AssertionError, match="no request to /v1/files came"):
        server.requests.assert_sent("/v1/files")


def test_no_request_is_told_as_well() -> None:
    requests = RequestList()
    with pytest.raises(AssertionError, match="got no request"):
        _ = requests.last
    with pytest.raises(AssertionError, match="none at all"):
        requests.assert_sent(model="x")
    with pytest.raises(TimeoutError, match="1 requests were awaited"):
        requests.wait_for(1, timeout=0)


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}], "d": 4}, []),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["a[1].b: 2 expected, 3 there"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: 1 expected, 2 there"]),
        ({"a": {"b": 1}}, {"a": None}, ["a: {'b': 1} expected, None there"]),
        (
            {"a": "1" + "x" * 300},
            {"a": "2" + "x" * 300},
            [f"a: '1{'x' * 300}' expected, '2{'x' * 300}' there"],
        ),
        ({"a": "x" * 9000 + "1" + "y" * 9000}, {"a": "x" * 9000 + "2"}, None),
    ],
)
def test_differences_have_their_path(wanted: object, found: object, told: list[str] | None) -> None:
    faults = differences(wanted, found)
    if told is None:  # long texts, which differ in the middle
        assert faults[0].startswith(f"a[8980:]: '{'x' * 20}1yyy")
        assert faults[0].endswith(f", '{'x' * 20}2' there")
    else:
        assert faults == told


def test_body_that_is_no_json_stays_bytes(server: Server) -> None:
    sent = request(server)
    stream = server.transport().open(
        type(sent)(method="POST", url=sent.url, headers=sent.headers, body=b"{\xff"),
        connect_timeout=None,
        timeout=10,
    )
    assert stream.status == 400
    assert server.requests.last.body == b"{\xff"
    assert server.requests.last.text == ""
