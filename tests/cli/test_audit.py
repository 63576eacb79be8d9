"""`antiphon audit`: which changes it lists, and what a line tells."""

import re
from typing import Any

import pytest

from cli.conftest import Shell


def actions(entries: list[Any]) -> list[str]:
    return [entry["action"] for entry in entries]


def cells(shell: Shell, line: str) -> list[list[str]]:
    """The lines of the table, without the time of a change."""
    rows = shell(line).splitlines()[1:]
    return [re.split(" {2,}", row.strip())[1:] for row in rows]


def test_every_change_is_listed_with_what_it_changed(shell: Shell) -> None:
    assert shell("audit") == "Nothing was changed yet.\n"
    made = shell.json("workspaces create research")
    shell("workspaces rename research lab")
    key = shell.json("keys create laptop --expires 9d")
    entries = shell.json("audit")
    assert actions(entries) == ["api_key.create", "workspace.update", "workspace.create"]
    assert entries[0]["actor"] == {"type": "command_line", "id": None}
    assert entries[0]["scope"] is None
    assert cells(shell, "audit") == [
        ["command line", "api_key.create", "key laptop", "-", key["id"]],
        [
            "command line",
            "workspace.update",
            "workspace lab",
            "name: research → lab",
            made["id"],
        ],
        ["command line", "workspace.create", "workspace research", "-", made["id"]],
    ]
    assert actions(shell.json(f"audit --object {made['id']} --limit 1")) == ["workspace.update"]
    error = shell.misunderstood("audit --limit 0")
    assert error == "argument --limit: '0' is no number from 1 to 1000"


def test_line_of_a_limit_tells_its_owner_and_both_amounts(shell: Shell) -> None:
    shell("workspaces create research")
    shell("keys create laptop")
    shell("limits set --workspace research --spend 100/month --requests 60")
    shell("limits set --workspace research --spend 50.5/month --requests 30 --output-tokens 9")
    shell("limits clear --workspace research --all")
    shell("limits set --key laptop --counts 7")
    shell("limits set --organization --requests 500")
    tokens = (("requests", 30), ("output tokens", 9))
    told = [row[2:4] for row in cells(shell, "audit") if "limit" in row[1]]
    assert told == [
        ["organization", "requests a minute of scripted: 1,000,000 → 500"],
        ["key laptop", "counts a minute: none → 7"],
        ["workspace research", "spending a month: $50.50 → none"],
        [
            "workspace research",
            ", ".join(f"{what} a minute of scripted: {old} → none" for what, old in tokens),
        ],
        ["workspace research", "spending a month: $100.00 → $50.50"],
        [
            "workspace research",
            "requests a minute of scripted: 60 → 30, output tokens a minute of scripted: none → 9",
        ],
        ["workspace research", "spending a month: none → $100.00"],
        ["workspace research", "requests a minute of scripted: none → 60"],
    ]


def test_json_of_a_limit_has_its_owner_and_both_amounts(shell: Shell) -> None:
    workspace = shell.json("workspaces create research")["id"]
    key = shell.json("keys create laptop")["id"]
    shell("limits set --key laptop --requests 5")
    shell("limits set --workspace research --spend 100/month")
    shell("limits set --workspace research --spend 50/month")
    shell("limits set --organization --requests 500")
    entries = [one for one in shell.json("audit") if "limit" in one["action"]]
    assert [one["scope"] for one in entries] == [
        {"type": "organization"},
        {"type": "workspace", "workspace_id": workspace},
        {"type": "workspace", "workspace_id": workspace},
        {"type": "api_key", "api_key_id": key},
    ]
    assert [entries[1][when]["amount"] for when in ("before", "after")] == ["10000", "5000"]
    assert entries[0]["before"]["limits"][0]["value"] == 1_000_000
    assert entries[0]["after"]["limits"][0]["value"] == 500


def test_changes_of_an_object_are_found_by_its_name_or_its_id(shell: Shell) -> None:
    key = shell.json("keys create ci")["id"]
    workspace = shell.json("workspaces create research")["id"]
    user = shell.json("users add ada@example.org Ada")["id"]
    shell("invites create bob@example.org")
    shell("workspaces add research ada@example.org")
    shell("limits set --key ci --requests 5 --spend 1/day")
    shell("limits set --organization --requests 500")
    of_key = ["spend_limit.create", "rate_limit.update", "api_key.create"]
    for name in ("ci", key):
        assert actions(shell.json(f"audit --object {name}")) == of_key
    for name in ("research", workspace):
        found = actions(shell.json(f"audit --object {name}"))
        assert found == ["workspace_member.create", "workspace.create"]
    for name in ("Ada", "ADA@example.org", user):
        found = actions(shell.json(f"audit --object {name}"))
        assert found == ["workspace_member.create", "user.create"]
    assert actions(shell.json("audit --object bob@example.org")) == ["invite.create"]
    for model in ("scripted", "claude-local", "rl_scripted"):
        found = actions(shell.json(f"audit --object {model}"))
        assert found == ["rate_limit.update", "rate_limit.update"]
    assert actions(shell.json("audit --object organization")) == ["rate_limit.update"]


def test_changes_of_an_object_are_found_by_an_earlier_name(shell: Shell) -> None:
    shell("keys create ci")
    shell("limits set --key ci --requests 5")
    shell("keys rename ci laptop")
    shell("users add ada@example.org Ada")
    shell("workspaces create research")
    shell("workspaces add research ada@example.org")
    shell("users remove ada@example.org")
    for name in ("ci", "laptop"):
        found = actions(shell.json(f"audit --object {name}"))
        assert found == ["api_key.update", "rate_limit.update", "api_key.create"]
    removed = actions(shell.json("audit --object ada@example.org"))
    assert sorted(removed) == [
        "user.create",
        "user.delete",
        "workspace_member.create",
        "workspace_member.delete",
    ]


@pytest.mark.parametrize("flags", ["", " --json", " --since 1s"])
def test_unknown_object_is_named(shell: Shell, flags: str) -> None:
    shell("keys create laptop")
    # The models of these settings answer to `claude-*`.
    assert shell.complaint(f"audit --object nobody{flags}") == (
        "there is no key, workspace, user, invite or model 'nobody', and there was none"
    )


def test_empty_result_tells_the_filters(shell: Shell) -> None:
    shell("keys create laptop")
    now = "2999-01-01"
    assert shell.complaint(f"audit --since {now}").startswith("--since: 2999")
    assert re.fullmatch(
        r"Nothing was changed of 'laptop' since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.\n",
        shell("audit --object laptop --since 0"),
    )
    assert shell("audit --since 0").startswith("Nothing was changed since 20")
    assert shell("audit --object scripted") == "Nothing was changed of 'scripted'.\n"
    assert shell.json("audit --object laptop --since 0") == []


def test_since_leaves_out_earlier_changes(shell: Shell) -> None:
    shell("keys create laptop")
    assert len(shell.json("audit --since 1h")) == 1
    assert len(shell.json("audit --since 2020-01-01")) == 1
