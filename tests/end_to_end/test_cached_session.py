"""A recorded session of an agent on the tiny model: each turn finds the one before it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from support.processes import KEY, PATIENCE_S, Program, serving
from support.tool_changes import addition, definition, removal

HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
EPHEMERAL = {"type": "ephemeral"}
SYSTEM = "You are a careful assistant for a small library. " * 8
TOOLS: list[dict[str, Any]] = [
    {
        "name": name,
        "description": f"{does} Use it only when it is needed.",
        "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
    }
    for name, does in (
        ("find_book", "Finds a book by its title."),
        ("find_tool", "Finds another tool."),
        ("lend", "Lends a book."),
        ("reserve", "Reserves a book."),
    )
]
# Not in the prompt before a result refers to them, or a system message adds them.
for one in TOOLS[2:]:
    one["defer_loading"] = True


def called(number: int, name: str, query: str) -> dict[str, Any]:
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {"query": query}}
    return {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use]}


def result(number: int, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}],
    }


# Each turn ends where the model is asked: with a question, a result, or a directive behind it.
TURNS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Is there a copy of Moby-Dick?"}],
    [called(1, "find_book", "Moby-Dick"), result(1, "Two copies, one of them lent until May.")],
    [
        {"role": "assistant", "content": "Yes, one copy is free."},
        {"role": "user", "content": "I take it, please."},
        {"role": "system", "content": "The library closes in ten minutes: be brief."},
    ],
    [
        called(2, "find_tool", "lend a book"),
        result(2, [{"type": "tool_reference", "tool_name": "lend"}]),
    ],
    [called(3, "lend", "Moby-Dick, copy 2"), result(3, "Lent until the first of June.")],
    [
        {"role": "assistant", "content": "It is yours until June."},
        {"role": "user", "content": "Thank you. And do you have Typee?"},
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "No more books are lent today."},
                removal("lend"),
                addition("reserve"),
                definition("call_clerk", "Calls a clerk to the desk."),
            ],
        },
    ],
    [called(4, "reserve", "Typee"), result(4, "Reserved.")],
    [
        {"role": "assistant", "content": "I have reserved it for you."},
        {"role": "user", "content": "Can I lend Omoo tomorrow?"},
        {"role": "system", "content": [addition("lend"), removal("call_clerk")]},
    ],
    [called(5, "lend", "Omoo"), result(5, "Lent from tomorrow on.")],
]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("cached")
    with started(folder, tiny_model) as program:
        yield program


def started(folder: Path, weights: Path) -> Any:
    config = folder / "antiphon.toml"
    config.write_text(
        f"""
        [[models]]
        id = "claude-local"
        source = "{weights}"
        cache_minimum_tokens = 64
        options = {{threads = 1, context = 2048, slots = 2}}
        """,
        encoding="utf-8",
    )
    return serving(folder, environ={"ANTIPHON_API_KEY": KEY})


def ask(program: Program, turns: int, **more: Any) -> dict[str, Any]:
    """Ask with the first turns of the session, and return the usage."""
    body = {
        "model": "claude-local",
        "max_tokens": 4,
        "temperature": 0,
        "cache_control": EPHEMERAL,
        "system": SYSTEM,
        "tools": TOOLS,
        "messages": [message for turn in TURNS[:turns] for message in turn],
        **more,
    }
    answer = httpx2.post(
        f"{program.url}/v1/messages", json=body, headers=HEADERS, timeout=PATIENCE_S
    )
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    assert isinstance(usage, dict)
    return usage


@pytest.mark.alone  # a slot that is not free again yet is not waited for
def test_each_turn_reads_all_of_the_turn_before_it(cached: Program) -> None:
    before = 0
    for turns in range(1, len(TURNS) + 1):
        usage = ask(cached, turns)
        assert usage["cache_read_input_tokens"] == before
        assert usage["cache_creation_input_tokens"] > 0
        # What the template writes behind the last block.
        assert usage["input_tokens"] < 16
        before += usage["cache_creation_input_tokens"]


def test_session_goes_on_after_server_and_engine_were_killed(
    tmp_path: Path, tiny_model: Path
) -> None:
    with started(tmp_path, tiny_model) as program:
        first = ask(program, 3)
        written = first["cache_creation_input_tokens"]
        # Meanwhile what is written in the background is on the disk.
        assert ask(program, 3)["cache_read_input_tokens"] == written
        server = psutil.Process(program.process.pid)
        children = server.children(recursive=True)
        for process in (*children, server):
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs([*children, server], timeout=PATIENCE_S)
    with started(tmp_path, tiny_model) as program:
        assert ask(program, 3)["cache_read_input_tokens"] == written
        assert ask(program, 4)["cache_read_input_tokens"] == written
