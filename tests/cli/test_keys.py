import io
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from antiphon.cli import main
from cli.conftest import Shell


def test_a_key_is_called_by_its_id_or_its_name(shell: Shell) -> None:
    made = shell.json("keys create laptop")
    assert re.fullmatch(r"sk-antiphon-[\w-]{43}", made.pop("secret"))
    assert shell.json("keys list") == [made]
    assert shell.json(f"keys rename {made['id']} desk")["name"] == "desk"
    assert shell.json("keys disable desk")["status"] == "inactive"
    assert shell.json("keys enable desk")["status"] == "active"
    assert "is revoked" in shell("keys revoke desk")
    assert shell.json("keys list") == []
    assert [key["status"] for key in shell.json("keys list --all")] == ["archived"]


def test_key_is_made_for_a_workspace_the_organization_or_administration(shell: Shell) -> None:
    workspace = shell.json("workspaces create research")
    mine = {"type": "workspace", "workspace_id": workspace["id"]}
    assert shell.json("keys create one --workspace research")["scope"] == mine
    assert shell.json("keys create two --organization")["scope"] == {"type": "organization"}
    admin = shell.json("keys create three --admin")
    assert admin["scope"] == {"type": "admin"}
    assert admin["secret"].startswith("sk-antiphon-admin-")
    assert [key["name"] for key in shell.json("keys list --workspace research")] == ["one"]
    table = shell("keys list")
    for word in ("research", "(all)", "(admin)"):
        assert word in table


def test_secret_is_shown_once(shell: Shell) -> None:
    said = shell.both("keys create laptop")
    secret = said.split()[0]
    assert "shown this once" in said
    assert secret not in shell("keys list") + shell("keys list --json") + shell("audit --json")


def test_rotation_keeps_the_key_and_changes_the_secret(shell: Shell) -> None:
    made = shell.json("keys create laptop")
    rotated = shell.json("keys rotate laptop")
    assert rotated["id"] == made["id"]
    assert rotated["secret"] != made["secret"]
    assert "works until" in shell.both("keys rotate laptop --grace 2h")
    assert "has stopped working" in shell.both("keys rotate laptop --grace 0")


def test_keys_that_expire_soon_are_named(shell: Shell) -> None:
    assert "It works until" in shell.both("keys create soon --expires 6d")
    shell("keys create later --expires 8d")
    shell("keys create gone --expires 6d")
    shell("keys revoke gone")
    printed = shell.both("keys list --all").splitlines()
    warnings = [line for line in printed if "in time" in line]
    # Programs read the table alone.
    assert "in time" not in shell("keys list --all")
    assert [line.split()[1] for line in warnings] == ["soon"]


def test_keys_of_one_name_are_told_apart_by_their_ids(shell: Shell) -> None:
    first, second = shell.json("keys create one"), shell.json("keys create two")
    # A key may get the name of another by the Admin API.
    shell("keys rename two twin")
    shell(f"keys rename {first['id']} twin")
    complaint = shell.complaint("keys revoke twin")
    assert first["id"] in complaint
    assert second["id"] in complaint
    shell(f"keys revoke {first['id']}")
    # The one that is left is meant.
    assert shell.json("keys disable twin")["id"] == second["id"]


def test_stdout_of_a_new_key_is_its_secret_alone(shell: Shell) -> None:
    assert re.fullmatch(r"sk-antiphon-[\w-]+\n", shell("keys create laptop"))


@pytest.mark.parametrize("kind", ["keys", "workspaces"])
def test_name_that_is_taken_is_refused_with_its_owner(shell: Shell, kind: str) -> None:
    made = shell.json(f"{kind} create laptop")
    complaint = shell.complaint(f"{kind} create laptop")
    assert complaint == (
        f"there is a {kind[:-1]} 'laptop' already, {made['id']}: choose another name"
    )
    shell(f"{kind} {'revoke' if kind == 'keys' else 'archive'} laptop --yes")
    shell(f"{kind} create laptop")


@pytest.mark.parametrize(("answer", "done"), [("y", True), ("no", False), ("", False)])
def test_revoking_is_asked_on_a_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, done: bool
) -> None:
    shell("keys create laptop")
    asked: list[str] = []

    def reply(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", reply)
    if done:
        shell("keys revoke laptop")
    else:
        assert shell.complaint("keys revoke laptop") == "nothing was changed"
    assert asked == ["Revoke the key laptop for good? [y/N] "]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_end_of_input_at_a_question_changes_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell("keys create laptop")
    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["keys", "revoke", "laptop", "--data-dir", str(shell.data_dir)]) == 1
    told = capsys.readouterr()
    assert told.out.endswith("[y/N] \n")
    assert told.err == "antiphon: nothing was changed\n"
    assert len(shell.json("keys list")) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("keys revoke nobody", "there is no key 'nobody'; `antiphon keys list` shows them"),
        (
            "keys create one --workspace none",
            "there is no workspace 'none'; `antiphon workspaces list` shows them",
        ),
        (f"keys create {'x' * 101}", "NAME: String should have at most 100 characters"),
    ],
)
def test_impossible_commands_say_why_in_one_line(shell: Shell, line: str, complaint: str) -> None:
    assert shell.complaint(line) == complaint


def test_key_is_made_for_a_user(shell: Shell) -> None:
    user = shell.json("users add ada@example.org Ada")["id"]
    key = shell.json("keys create laptop --user ADA@example.org")
    assert key["created_by"] == {"id": user, "type": "user"}
    assert shell.complaint("keys create desk --user bob") == (
        "there is no user 'bob'; `antiphon users list` shows them"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_cannot_be_written_is_said_in_one_line(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("keys create laptop")
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - a flush of it fails
    monkeypatch.setattr("sys.stdout", full)
    assert main(["keys", "list", "--json", "--data-dir", str(shell.data_dir)]) == 1
    assert capsys.readouterr().err == "antiphon: No space left on device\n"
    with suppress(OSError):
        full.close()


def test_empty_list_of_keys_tells_the_filters(shell: Shell) -> None:
    shell("workspaces create research")
    assert shell("keys list --workspace research") == (
        "There are no keys of workspace 'research' that are not revoked: "
        "`antiphon keys create` makes one.\n"
    )
    assert shell("keys list --all").startswith("There are no keys: ")


def test_name_is_printed_to_a_terminal_that_does_not_know_its_characters(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("keys create 東京")
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["keys", "list", "--data-dir", str(shell.data_dir)]) == 0
    sys.stdout.flush()
    assert rb"\u6771\u4eac" in written.getvalue()


def test_renaming_tells_the_old_name_and_the_new_one(shell: Shell) -> None:
    key, workspace = shell.json("keys create laptop"), shell.json("workspaces create research")
    assert shell("keys rename laptop desk") == f"Key {key['id']} (laptop) is called desk now.\n"
    assert shell("workspaces rename research lab") == (
        f"Workspace {workspace['id']} (research) is called lab now.\n"
    )
