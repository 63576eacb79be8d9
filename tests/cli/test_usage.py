import pytest

from cli.conftest import Shell


def test_usage_without_requests_is_empty(shell: Shell) -> None:
    assert "Nothing was used" in shell("usage")
    assert shell.json("usage --since 2026-11-01 --by key,model") == []
    header = "model,requests,input_tokens,cache_write_5m_tokens,cache_write_1h_tokens,"
    assert shell("usage --by model --csv").startswith(header)


def test_until_before_since_is_refused(shell: Shell) -> None:
    complaint = shell.complaint("usage --since 2026-11-02 --until 2026-11-01")
    assert complaint == "--until should be after --since"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("usage --by hour", "argument --by: 'hour' is none of day, model, key, workspace, tier"),
    ],
)
def test_invalid_usage_arguments_are_refused(shell: Shell, line: str, error: str) -> None:
    assert shell.misunderstood(line) == error


def test_empty_usage_tells_the_filters(shell: Shell) -> None:
    shell("keys create ci")
    told = shell("usage --model claude-x --key ci --workspace Default --since 2026-11-01")
    assert told.startswith(
        "Nothing was used of model 'claude-x' by key 'ci' in workspace 'Default' from "
        "2026-11-01 00:00 to 20"
    )
    assert shell("usage --since 2026-11-01").startswith("Nothing was used from 2026-11-01 00:00")


def test_two_forms_at_once_are_refused(shell: Shell) -> None:
    assert shell.misunderstood("usage --csv --json") == "--csv and --json: choose one of them"
