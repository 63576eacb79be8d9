"""Every model has a name that Claude Code keeps, and no wait is longer than it bears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.claude_code import bearable_wait, claude_name, description, is_claude_code


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("qwen3.6-27b", "claude-local/qwen3.6-27b"),
        ("my-claude", "my-claude"),
        ("anthropic/x", "anthropic/x"),
        ("Claude", "claude-local/Claude"),
    ],
)
def test_name_for_claude_code_holds_claude(model: str, name: str) -> None:
    assert claude_name(model) == name


@given(st.text(), st.text())
def test_two_models_have_two_names(one: str, other: str) -> None:
    assert (claude_name(one) == claude_name(other)) == (one == other) or "claude" in one + other


@pytest.mark.parametrize(
    ("agent", "known"),
    [
        ("claude-cli/2.1.330 (external, cli)", True),
        ("claude-code/2.1.330", True),
        ("Anthropic/Python 2.12.0", False),
        ("not claude-cli/1", False),
        (None, False),
    ],
)
def test_claude_code_is_known_by_what_it_calls_itself(agent: str | None, *, known: bool) -> None:
    assert is_claude_code(agent) is known


@pytest.mark.parametrize(
    ("agent", "told"), [("claude-cli/2.1.330", "60"), ("Anthropic/Python 2", "61"), (None, "61")]
)
def test_claude_code_is_told_no_wait_for_which_it_gives_up(agent: str | None, told: str) -> None:
    assert bearable_wait("61", agent) == told
    assert bearable_wait("60", agent) == "60"


@pytest.mark.parametrize(
    ("size", "context", "speed", "is_local", "line"),
    [
        (17_100_000_000, 131_072, 31.2, True, "17 GB, 131k context, 31 tokens/s on this machine"),
        (1_250_000_000, 8192, 9.96, True, "1.2 GB, 8k context, 10 tokens/s on this machine"),
        (98_400_000, 512, 0.25, True, "98 MB, 512 context, 0.2 tokens/s on this machine"),
        (None, 32_768, None, False, "32k context"),
        (400, None, None, True, "0 MB on this machine"),
        (None, None, None, True, "On this machine"),
        (None, None, None, False, ""),
    ],
)
def test_description_tells_what_is_known(
    size: int | None, context: int | None, speed: float | None, *, is_local: bool, line: str
) -> None:
    assert description(size=size, context=context, speed=speed, is_local=is_local) == line
