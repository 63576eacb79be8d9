from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.hints import NO_HINTS, Hints, ToolDuration, hints_of

NAMES = [
    "request-class",
    "agent-type",
    "compaction",
    "context-compacted",
    "session-id",
    "agent-id",
    "parent-agent-id",
    "prev-tool-durations",
]


def read(**headers: str) -> Hints:
    """Return the hints in these headers, beside a class that is not known."""
    headers = {"request_class": "unknown", **headers}
    sent = {f"x-claude-code-{name.replace('_', '-')}": value for name, value in headers.items()}
    return hints_of(lambda name: sent.get(name.decode()))


def test_request_without_hints_has_none() -> None:
    assert hints_of(lambda _: None) is NO_HINTS


def test_request_without_a_class_and_a_session_has_no_hints() -> None:
    assert hints_of(lambda name: "1" if name.endswith(b"compaction") else None) is NO_HINTS


def test_all_hints_of_a_request_are_read() -> None:
    assert read(
        request_class="subagent",
        agent_type="fork",
        compaction="1",
        context_compacted="true",
        session_id="5f0c-1",
        agent_id="a1",
        parent_agent_id="a0",
        prev_tool_durations="Bash=742;Read=9;Bash=0",
    ) == Hints(
        request_class="subagent",
        agent_type="fork",
        is_compaction=True,
        was_compacted=True,
        session_id="5f0c-1",
        agent_id="a1",
        parent_agent_id="a0",
        tool_durations=(
            ToolDuration("Bash", 742),
            ToolDuration("Read", 9),
            ToolDuration("Bash", 0),
        ),
    )


@pytest.mark.parametrize("name", ["main", "subagent", "workflow", "compaction", "auxiliary"])
def test_every_class_of_requests_is_known(name: str) -> None:
    assert read(request_class=name).request_class == name


@pytest.mark.parametrize(
    "headers",
    [
        {"request_class": "Main"},
        {"request_class": "main, main"},
        {"request_class": ""},
        {"agent_type": ""},
        {"agent_type": "n" * 65},
        {"agent_type": "ein Ä"},
        {"session_id": "a b"},
        {"session_id": "i" * 129},
        {"agent_id": "\x00"},
        {"parent_agent_id": "\x7f"},
        {"compaction": "0"},
        {"compaction": "False"},
        {"context_compacted": ""},
        {"prev_tool_durations": ""},
        {"prev_tool_durations": "Bash"},
        {"prev_tool_durations": "=5;Bash=;Bash=-1;Bash=1.5;Bash=1e3;Ba sh=1;B=1=2"},
        {"prev_tool_durations": f"Bash={'9' * 10}"},
        {"prev_tool_durations": f"{'n' * 129}=1"},
        {"prev_tool_durations": "A=1;" * 1025},
    ],
)
def test_value_that_is_not_understood_counts_as_absent(headers: dict[str, str]) -> None:
    assert read(**headers) is NO_HINTS


def test_bad_durations_do_not_hide_good_ones() -> None:
    found = read(prev_tool_durations=" mcp__a__b=1 ;oops; Read=2;").tool_durations
    assert found == (ToolDuration("mcp__a__b", 1), ToolDuration("Read", 2))


def test_durations_of_64_calls_are_read_and_no_more() -> None:
    found = read(prev_tool_durations=";".join(f"T{number}={number}" for number in range(200)))
    assert found.tool_durations == tuple(ToolDuration(f"T{one}", one) for one in range(64))


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=5000) | st.from_regex(r"\w*=\d*")))
def test_any_headers_make_small_hints(headers: dict[str, Any]) -> None:
    sent = {f"x-claude-code-{name}": value for name, value in headers.items()}
    hints = hints_of(lambda name: sent.get(name.decode()))
    assert len(msgspec.json.encode(hints)) < 16_000
