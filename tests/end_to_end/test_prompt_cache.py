"""The prompt cache of a running server, by the official SDK, and what commands say of it."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from antiphon.store.database.database import sqlite_url
from support.cached_requests import FIVE_MINUTES, ONE_HOUR, system, tools, turn
from support.processes import KEY, Program, run_json, serving
from support.servers import configure, environ, recorded

pytestmark = pytest.mark.anyio

SLOW = """
[[scripted.replies]]
when = "be slow"
text = "one two three four five six seven eight nine ten"
delay_s = 0.5
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Path]]:
    folder = tmp_path_factory.mktemp("cached")
    configure(folder, more=SLOW)
    with serving(folder, environ=environ()) as program:
        yield program, folder


@pytest.fixture
def sdk(server: tuple[Program, Path]) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server[0].url, api_key=KEY, max_retries=0) as client:
        yield client


def asked(word: str, **more: Any) -> dict[str, Any]:
    """Return a request whose tools and system prompt are 1300 tokens; `word` makes it one's own."""
    return {
        "model": "claude-opus-5-5",
        "max_tokens": 16,
        "tools": tools(300),
        "system": system(1000, word=word, mark=FIVE_MINUTES),
        "messages": [turn(50)],
        **more,
    }


def used(message: Any) -> tuple[int, int, int, int]:
    """Return input, read, written for minutes, written for an hour."""
    usage = message.usage
    written = usage.cache_creation
    minutes, hour = written.ephemeral_5m_input_tokens, written.ephemeral_1h_input_tokens
    assert usage.cache_creation_input_tokens == minutes + hour
    return usage.input_tokens, usage.cache_read_input_tokens, minutes, hour


def test_marked_prefix_is_written_once_and_then_read(sdk: anthropic.Anthropic) -> None:
    assert used(sdk.messages.create(**asked("a"))) == (50, 0, 1300, 0)
    other = asked("a", messages=[turn(70, word="b")])
    assert used(sdk.messages.create(**other)) == (70, 1300, 0, 0)
    with sdk.messages.stream(**other) as stream:
        assert used(stream.get_final_message()) == (70, 1300, 0, 0)


def test_conversation_reads_its_turns_with_the_automatic_breakpoint(
    sdk: anthropic.Anthropic,
) -> None:
    messages = [turn(900, word="c")]
    request = {"model": "claude-x", "max_tokens": 16, "cache_control": {"type": "ephemeral"}}
    assert used(sdk.messages.create(**request, messages=messages)) == (0, 0, 900, 0)
    for length in (900, 1040, 1180):
        messages += [turn(100, "assistant"), turn(40)]
        assert used(sdk.messages.create(**request, messages=messages)) == (0, length, 140, 0)


def test_lifetimes_are_told_apart(sdk: anthropic.Anthropic) -> None:
    request = asked("d", system=system(1000, word="d", mark=ONE_HOUR))
    request["messages"] = [turn(500, mark=FIVE_MINUTES)]
    assert used(sdk.messages.create(**request)) == (0, 0, 500, 1300)
    assert used(sdk.messages.create(**request)) == (0, 1800, 0, 0)


def test_cache_is_filled_without_an_answer(sdk: anthropic.Anthropic) -> None:
    message = sdk.messages.create(**asked("e", max_tokens=0))
    assert used(message) == (50, 0, 1300, 0)
    assert message.content == []
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 0)
    assert used(sdk.messages.create(**asked("e"))) == (50, 1300, 0, 0)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: must be greater than 0 when"):
        sdk.messages.create(**asked("e", max_tokens=0), stream=True)


def test_requests_that_start_together_all_write(sdk: anthropic.Anthropic) -> None:
    request = asked("f", messages=[{"role": "user", "content": "be slow"}])
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(sdk.messages.create, **request) for _ in range(2)]
    assert [used(one.result())[1:] for one in both] == [(0, 1300, 0)] * 2
    assert used(sdk.messages.create(**request))[1:] == (1300, 0, 0)


def test_header_says_what_was_read(sdk: anthropic.Anthropic) -> None:
    answers = [sdk.messages.with_raw_response.create(**asked("g")) for _ in range(2)]
    assert [one.headers["x-antiphon-cache"] for one in answers] == [
        "read=0; written=1300; input=50; reason=no-entry",
        "read=1300; from=memory; written=0; input=50",
    ]


def test_diagnostics_name_the_change(sdk: anthropic.Anthropic) -> None:
    first = sdk.messages.create(**asked("h"), diagnostics={"previous_message_id": None})
    assert first.diagnostics is None
    named: Any = {"previous_message_id": first.id}
    assert sdk.messages.create(**asked("h"), diagnostics=named).diagnostics is None
    with sdk.messages.stream(**asked("i"), diagnostics=named) as stream:
        told = stream.get_final_message().diagnostics
    assert told is not None
    assert told.cache_miss_reason is not None
    assert told.cache_miss_reason.type == "system_changed"
    assert 1000 < told.cache_miss_reason.cache_missed_input_tokens < 1350


def test_workspaces_share_nothing(server: tuple[Program, Path], sdk: anthropic.Anthropic) -> None:
    program, folder = server
    run_json(folder, "workspaces", "create", "apart")
    made = run_json(folder, "keys", "create", "apart", "--workspace", "apart")
    assert used(sdk.messages.create(**asked("j"))) == (50, 0, 1300, 0)
    with anthropic.Anthropic(base_url=program.url, api_key=made["secret"]) as other:
        assert used(other.messages.create(**asked("j"))) == (50, 0, 1300, 0)
        assert used(other.messages.create(**asked("j"))) == (50, 1300, 0, 0)


def test_usage_command_has_what_was_told(tmp_path: Path) -> None:
    configure(tmp_path)
    with (
        serving(tmp_path, environ=environ()) as program,
        anthropic.Anthropic(base_url=program.url, api_key=KEY) as client,
    ):
        told = [client.messages.create(**asked("a")) for _ in range(3)]
    # A server that has ended has written its ledger.
    (line,) = run_json(tmp_path, "usage")
    sums = [sum(one) for one in zip(*map(used, told), strict=True)]
    names = (
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
    )
    assert [line[name] for name in names] == sums == [150, 2600, 1300, 0]
    dollars = (150 * 3 + 2600 * 0.3 + 1300 * 3.75 + 3 * 4 * 15) / 1e6
    assert float(line["cost_usd"]) == pytest.approx(dollars)


async def test_killed_answer_is_billed_by_its_claim(tmp_path: Path) -> None:
    configure(tmp_path, "one two three " * 100, speed=20)
    database = sqlite_url(tmp_path / "antiphon.db")
    with serving(tmp_path, environ=environ()) as program:
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        url = f"{program.url}/v1/messages"
        httpx2.post(url, json=asked("a", max_tokens=1), headers=headers).raise_for_status()
        request = asked("a", max_tokens=200, stream=True)
        with httpx2.stream("POST", url, json=request, headers=headers) as stream:
            lines = stream.iter_lines()
            begin = next(json.loads(one[6:]) for one in lines if one.startswith("data: "))
            next(one for one in lines if "text_delta" in one)
            program.process.send_signal(signal.SIGKILL)
            with pytest.raises(httpx2.TransportError):
                list(lines)
        assert begin["message"]["usage"]["cache_read_input_tokens"] == 1300
        assert program.wait() == -signal.SIGKILL
    with serving(tmp_path, environ=environ()):
        pass
    rows = sorted(await recorded(database), key=lambda row: row["cache_read_tokens"])
    names = ("outcome", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("completed", 50, 0, 1300),
        ("interrupted", 50, 1300, 0),
    ]
