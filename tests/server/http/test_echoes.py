"""Errors and log lines repeat little of what a caller sent, however long it is."""

import json
from typing import Any

import pytest

from antiphon.core.errors import LONGEST_SENTENCE
from antiphon.server.app import ORGANIZATIONS_PATH, build_app
from antiphon.wire.errors import LONGEST_ECHO, shortened
from support.asgi import HELLO, Client
from support.logs import capture_logs
from support.organization import ADMIN, StartOrganization

pytestmark = pytest.mark.anyio

LONG = "x" * 3_000_000
# As much as the head of a request may hold.
LONG_LINE = "x" * 60_000
TOOL = {"name": "look", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
USER = {"role": "user", "content": "Hi"}


def result(tool_use_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": "a"}


def after_calls(*ids: str) -> list[Any]:
    return [
        USER,
        {"role": "assistant", "content": [{**USE, "id": one} for one in ids]},
        {"role": "user", "content": "Go on"},
    ]


CHANGES: dict[str, dict[str, Any]] = {
    "a model": {"model": LONG},
    "a model for a wildcard": {"model": f"claude-{LONG}"},
    "a key": {LONG: 1},
    "a key inside": {"metadata": {LONG: 1}},
    "a role": {"messages": [{"role": LONG, "content": "Hi"}]},
    "a type": {"messages": [{"role": "user", "content": [{"type": LONG}]}]},
    "a number as a type": {"messages": [{"role": "user", "content": [{"type": 10**4000}]}]},
    "a type of a tool": {"tools": [{"type": LONG, "name": "a"}]},
    "a name of a tool": {"tools": [{**TOOL, "name": LONG}]},
    "a chosen tool": {"tools": [TOOL], "tool_choice": {"type": "tool", "name": LONG}},
    "an id of a result": {"messages": [{"role": "user", "content": [result(LONG)]}]},
    "an id of a call": {"tools": [TOOL], "messages": after_calls(LONG)},
    "many ids of calls": {"tools": [TOOL], "messages": after_calls(*map(str, range(30_000)))},
    "a URL": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "url", "url": f"http://{LONG}"}}],
            }
        ]
    },
    "a schema": {
        "output_config": {
            "format": {"type": "json_schema", "schema": {"type": LONG, LONG: 1, "$ref": LONG}}
        }
    },
    "an effort": {"output_config": {"effort": LONG}},
    "a number": {"temperature": 10**4000},
}


def checked(logs: list[Any], message: str) -> None:
    assert len(message) <= LONGEST_SENTENCE + 3
    assert "x" * (LONGEST_ECHO + 1) not in message
    for line in logs:
        for value in line.values():
            assert len(str(value)) <= LONGEST_SENTENCE + 3
            assert "x" * (LONGEST_ECHO + 1) not in str(value)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_text_of_a_body_is_repeated_shortened(shared_client, change: Any, path: str) -> None:
    with capture_logs() as logs:
        caller = await shared_client()
        body = {**HELLO, **change}
        if "count" in path:
            body.pop("max_tokens")
        answer = await caller.post(path, body)
    assert answer.status in {400, 404}
    checked(logs, answer.error[2])


async def test_shortened_sentence_still_says_what_is_wrong(client) -> None:
    caller = await client()
    short = shortened(LONG)
    assert len(short) == LONGEST_ECHO
    assert (await caller.create(model=LONG)).error == (404, "not_found_error", f"model: {short}")
    found = await caller.create(**{LONG: 1})
    assert found.error[2] == f"{short}: Extra inputs are not permitted"


HEADS: list[tuple[str, str, dict[str, str | None]]] = [
    ("GET", f"/{LONG_LINE}", {}),
    ("GET", f"/v1/models/{LONG_LINE}", {}),
    ("GET", f"{ORGANIZATIONS_PATH}/users?{LONG_LINE}=1", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/users?after_id={LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/users?limit={LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/users/{LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/invites/{LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/workspaces/{LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/api_keys/{LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/spend_limits/{LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/rate_limits?model={LONG_LINE}", {"x-api-key": ADMIN}),
    ("GET", f"{ORGANIZATIONS_PATH}/rate_limits?page=page_{'0' * 5000}", {"x-api-key": ADMIN}),
    ("POST", f"{ORGANIZATIONS_PATH}/rate_limits/{LONG_LINE}", {"x-api-key": ADMIN}),
    (
        "GET",
        f"{ORGANIZATIONS_PATH}/spend_limits/effective?user_ids[]={LONG_LINE}",
        {"x-api-key": ADMIN},
    ),
    ("GET", f"{ORGANIZATIONS_PATH}/users?{'a&' * 30_000}", {"x-api-key": ADMIN}),
    ("POST", "/v1/messages", {"anthropic-version": LONG_LINE}),
    ("POST", "/v1/messages", {"anthropic-beta": f"/{LONG_LINE}"}),
    ("POST", "/v1/messages", {"anthropic-beta": ",".join(["/"] * 30_000)}),
    ("POST", "/v1/messages", {"content-encoding": LONG_LINE}),
    ("POST", "/v1/messages", {"content-type": f"a/b; charset={LONG_LINE}"}),
    ("POST", "/v1/messages", {"x-api-key": LONG_LINE}),
    ("POST", "/v1/messages", {"authorization": f"Bearer {LONG_LINE}", "x-api-key": None}),
    ("POST", "/v1/messages", {"anthropic-workspace-id": LONG_LINE}),
]


async def test_text_of_a_head_is_repeated_shortened(organization: StartOrganization) -> None:
    caller = Client(build_app((await organization()).platform))
    for method, path, headers in HEADS:
        with capture_logs() as logs:
            body = b"" if method == "GET" else json.dumps({**HELLO}).encode()
            answer = await caller.start(method, path, body, headers).task
        if answer.status != 200:
            checked(logs, answer.error[2])
        assert answer.status < 500, path[:40]
