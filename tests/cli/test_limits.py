import re
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.store.directory import read_limit_directory
from cli.conftest import Shell

TWO_MODELS = """
[[models]]
id = "small"
engine = "scripted"
[[models]]
id = "large"
engine = "scripted"
aliases = ["big"]
"""


def rates(found: Any) -> dict[str, int]:
    return {
        f"{one['group']['id']} {limit['type']}": limit["value"]
        for one in found["rate_limits"]
        for limit in one["limits"]
    }


def spends(found: Any) -> dict[str, str]:
    return {limit["period"]: limit["amount"] for limit in found["spend_limits"]}


def test_limits_of_a_workspace_are_set_and_cleared(shell: Shell) -> None:
    shell("workspaces create research")
    set_ = "limits set --workspace research --requests 60 --output-tokens 500 --spend 100/month"
    found = shell.json(f"{set_} --spend 2.50/day")
    assert rates(found) == {
        "scripted requests_per_minute": 60,
        "scripted output_tokens_per_minute": 500,
    }
    assert spends(found) == {"monthly": "10000", "daily": "250"}
    assert found == shell.json("limits list --workspace research")
    kept = shell.json("limits clear --workspace research --requests --spend day")
    assert rates(kept) == {"scripted output_tokens_per_minute": 500}
    assert spends(kept) == {"monthly": "10000"}
    assert "No limit of its own is set for research" in shell(
        "limits clear --workspace research --all"
    )


def test_limits_of_a_key_and_of_calls_are_set(shell: Shell) -> None:
    shell("keys create laptop")
    found = shell.json(
        "limits set --key laptop --counts 10 --batch-calls 15 --input-tokens 20 --spend 1/week"
    )
    assert rates(found) == {
        "scripted input_tokens_per_minute_cache_aware": 20,
        "token_count requests_per_minute": 10,
        "batch requests_per_minute": 15,
    }
    assert spends(found) == {"weekly": "100"}
    table = shell("limits list --key laptop")
    assert "counts a minute" in table
    assert "batch calls a minute" in table
    assert shell.complaint("limits set --key laptop --batch-calls 4001").startswith("--batch-calls")
    assert "$1.00" in table


def test_limits_of_the_organization_are_for_every_model_or_one(
    configured: Callable[[str], Shell],
) -> None:
    shell = configured(TWO_MODELS)
    shell("limits set --organization --requests 9")
    found = shell.json("limits set --organization --requests 5 --model big")
    assert rates(found)["small requests_per_minute"] == 9
    assert rates(found)["large requests_per_minute"] == 5
    shell("limits clear --organization --all")
    cleared = shell.json("limits list --organization")
    assert rates(cleared)["large requests_per_minute"] == 1_000_000
    assert shell.complaint("limits set --key x --requests 5 --model huge").startswith("there is no")
    assert shell.complaint("limits set --organization --requests 5 --model x") == (
        "no model answers to 'x'; the names are small, large, big"
    )


def test_balances_show_what_remains(shell: Shell) -> None:
    shell("workspaces create research")
    shell("limits set --workspace research --spend 100/month")
    table = shell.both("limits balance --workspace research")
    assert "$100.00" in table
    assert "running now is not in it" in table
    (balance,) = shell.json("limits balance --workspace research")
    assert (balance["spent"], balance["remaining"]) == ("0", "10000")
    assert {one["scope"]["type"] for one in shell.json("limits balance")} == {
        "organization",
        "workspace",
    }


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("limits set --organization", "say which limits; --help lists them"),
        (
            "limits set --organization --spend 1/day --model scripted",
            "--model goes with --requests, --input-tokens or --output-tokens",
        ),
        (
            "limits set --workspace Default --requests 5",
            "The Default workspace cannot have limits of its own.",
        ),
    ],
)
def test_impossible_commands_say_why_in_one_line(shell: Shell, line: str, complaint: str) -> None:
    assert shell.complaint(line) == complaint


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "limits set --requests 5",
            "one of the arguments --organization --workspace --key is required",
        ),
        (
            "limits set --organization --spend 100",
            "argument --spend: '100' is without a period: 100/day, 100/week or 100/month",
        ),
        (
            "limits set --organization --spend 9999999999/day",
            "argument --spend: '9999999999/day' is more than 9,000,000 US dollars",
        ),
        (
            "limits set --organization --spend 9000000.000000001/day",
            "argument --spend: '9000000.000000001/day' is more than 9,000,000 US dollars",
        ),
        (
            "limits set --organization --spend 1e3/day",
            "argument --spend: '1e3/day' is not like 100/month, 20/week or 2.50/day",
        ),
        (
            "limits set --organization --spend 0.0000000001/day",
            "argument --spend: '0.0000000001/day' is not like 100/month, 20/week or 2.50/day",
        ),
        (
            "limits set --organization --requests 0",
            "argument --requests: '0' is no number from 1 to 10,000,000,000",
        ),
    ],
)
def test_invalid_limit_arguments_are_refused(shell: Shell, line: str, error: str) -> None:
    assert shell.misunderstood(line) == error


def test_command_that_changes_no_limit_says_so(shell: Shell) -> None:
    shell("workspaces create research")
    for line in ("clear --organization --all", "clear --workspace research --spend day --counts"):
        assert "are as they were" in shell(f"limits {line}")
    for line in (
        "set --workspace research --requests 5 --spend 1/day",
        "clear --workspace research --all",
    ):
        assert "are changed" in shell(f"limits {line}")
        assert "are as they were" in shell(f"limits {line}")
    assert len(shell.json("audit")) == 5


def test_limit_above_another_is_told_with_its_flag(configured: Callable[[str], Shell]) -> None:
    shell = configured('engine = "scripted"\n[limits]\nmonthly_spend = "5"\n')
    shell("workspaces create research")
    shell("limits set --organization --output-tokens 10 --counts 20")
    for given, said in (
        ("--input-tokens 5 --output-tokens 11", "--output-tokens: 11 is above the organization's"),
        ("--counts 21", "--counts: 21 is above the organization's limit of 20"),
        ("--spend 6.50/month", "--spend: $6.50 is above the cap of this server, $5.00"),
    ):
        assert shell.complaint(f"limits set --workspace research {given}").startswith(said)


def test_limits_of_one_command_are_set_together_or_not_at_all(
    configured: Callable[[str], Shell],
) -> None:
    shell = configured('engine = "scripted"\n[limits]\nmonthly_spend = "5"\n')
    key = shell.json("keys create laptop")["id"]
    before = shell.json("audit")
    change = "limits set --key laptop --requests 5 --spend 1/day"
    complaint = shell.complaint(f"{change} --spend 6/month")
    assert complaint == "--spend: $6.00 is above the cap of this server, $5.00"
    assert shell.json("limits list --key laptop") == {"rate_limits": [], "spend_limits": []}
    assert shell.json("audit") == before
    shell(change)
    done = [entry["action"] for entry in shell.json("audit") if entry not in before]
    assert sorted(done) == ["rate_limit.update", "spend_limit.create"]
    assert shell.json("limits list --key laptop")["rate_limits"][0]["api_key_id"] == key


OLD_AND_NEW = """
[[models]]
id = "small"
engine = "scripted"
[limits]
monthly_spend = "500"
"""
SMALLER = """
[[models]]
id = "other"
engine = "scripted"
aliases = ["claude-*"]
"""


def listed(shell: Shell) -> set[tuple[str, ...]]:
    """The lines of the table of all limits, as words."""
    return {tuple(re.split(" {2,}", line.strip())) for line in shell("limits list").splitlines()}


def test_every_limit_that_is_set_is_listed(configured: Callable[[str], Shell]) -> None:
    shell = configured(OLD_AND_NEW)
    shell("workspaces create research")
    shell("keys create laptop")
    shell("keys create gone")
    for owner in ("--organization", "--workspace research", "--key laptop", "--key gone"):
        shell(f"limits set {owner} --requests 7 --model small")
        shell(f"limits set {owner} --output-tokens 8 --counts 9 --spend 2/week")
    shell("keys revoke gone")
    owners = ("organization", "workspace research", "key laptop", "key gone (archived)")
    lines = listed(shell)
    for owner in owners:
        assert (owner, "small", "requests a minute", "7") in lines
        assert (owner, "small", "output tokens a minute", "8") in lines
        assert any(line[0] == owner and line[-2:] == ("counts a minute", "9") for line in lines)
        assert any(line[0] == owner and line[-2:] == ("spending a week", "$2.00") for line in lines)
    assert any(line[-1] == "$500.00" and "monthly_spend" in line[-2] for line in lines)
    found = shell.json("limits list")
    # The organization has limits of calls about batches and about files by default.
    assert len(found["rate_limits"]) == 2 * len(owners) + 2
    assert [one["scope"]["type"] for one in found["spend_limits"]].count("usage_tier") == 1


def test_limit_of_a_model_that_is_not_served_any_more_is_listed_and_cleared(
    configured: Callable[[str], Shell],
) -> None:
    shell = configured(OLD_AND_NEW)
    shell("keys create laptop")
    for owner in ("--organization", "--key laptop"):
        shell(f"limits set {owner} --requests 7 --model small")
    configured(SMALLER)
    assert {
        (owner, "small (not served)", "requests a minute", "7")
        for owner in ("organization", "key laptop")
    } <= listed(shell)
    assert shell.complaint("limits set --key laptop --requests 5 --model small") == (
        "no model answers to 'small' any more; `antiphon limits clear --model` removes its limits"
    )
    # Without --model only the limits of models that are served are set.
    assert rates(shell.json("limits set --key laptop --requests 5")) == {
        "other requests_per_minute": 5,
        "small requests_per_minute": 7,
    }
    assert shell.complaint("limits set --key laptop --requests 5 --model huge") == (
        "no model answers to 'huge'; the names are other, claude-*, small"
    )
    shell("limits clear --key laptop --requests --model small")
    shell("limits clear --organization --all")
    assert not any("small" in word for line in listed(shell) for word in line)


def test_name_that_a_served_model_answers_to_means_that_model(
    configured: Callable[[str], Shell],
) -> None:
    shell = configured('[[models]]\nid = "claude-old"\nengine = "scripted"\n')
    shell("limits set --organization --requests 7 --model claude-old")
    configured(SMALLER)
    found = shell.json("limits set --organization --requests 5 --model claude-old")
    assert rates(found)["other requests_per_minute"] == 5
    assert rates(found)["claude-old requests_per_minute"] == 7


def test_limits_of_many_keys_are_listed_by_one_read(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        shell(f"keys create k{number}")
    reads: list[None] = []

    async def counted(connection: Any) -> Any:
        reads.append(None)
        return await read_limit_directory(connection)

    monkeypatch.setattr("antiphon.service.admin.rate_limits.read_limit_directory", counted)
    shell("limits list")
    assert len(reads) == 1
