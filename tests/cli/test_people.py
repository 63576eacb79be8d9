import pytest

from cli.conftest import Shell


def test_a_person_is_invited_and_becomes_a_user(shell: Shell) -> None:
    assert "There are no invites" in shell("invites list")
    assert "No mail was sent" in shell("invites create Ada@example.org")
    assert "pending" in shell("invites list")
    user = shell.json("invites accept ada@example.org Ada")
    assert (user["email"], user["role"]) == ("ada@example.org", "developer")
    assert shell.json("users list") == [user]
    assert [invite["status"] for invite in shell.json("invites list")] == ["accepted"]


def test_invite_is_deleted_by_its_address(shell: Shell) -> None:
    shell("invites create ada@example.org")
    assert shell.json("invites delete ada@example.org")["type"] == "invite_deleted"
    assert shell.json("invites list") == []


def test_empty_list_of_users_tells_of_the_console_where_it_is_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = shell("users list")
    assert "`antiphon console open` prints a link" in said
    assert max(map(len, said.splitlines())) <= 80
    monkeypatch.setenv("ANTIPHON_CONSOLE_ENABLED", "false")
    assert "console open" not in shell("users list")


def test_command_line_makes_and_removes_admins(shell: Shell) -> None:
    assert "no users yet" in shell("users list")
    assert shell.json("users add ada@example.org Ada --role admin")["role"] == "admin"
    assert "ada@example.org  Ada   admin" in shell("users list")
    assert shell.json("users role ada@example.org user")["role"] == "user"
    assert shell.json("users role ada@example.org admin")["role"] == "admin"
    assert "no longer a user" in shell("users remove ADA@example.org")
    assert shell.json("users list") == []


def test_member_is_added_changed_and_removed(shell: Shell) -> None:
    shell("workspaces create research")
    shell("users add ada@example.org Ada")
    assert "no members" in shell("workspaces members research")
    shell("workspaces add research ada@example.org")
    shell("workspaces add research ada@example.org --role admin")
    (member,) = shell.json("workspaces members research")
    assert member["workspace_role"] == "workspace_admin"
    assert "ada@example.org  admin" in shell("workspaces members research")
    shell("workspaces remove research ada@example.org")
    assert shell.json("workspaces members research") == []


def test_a_workspace_is_renamed_and_archived_with_its_keys(shell: Shell) -> None:
    made = shell.json("workspaces create research")
    shell("keys create lab --workspace research")
    assert shell.json("workspaces rename research archive")["name"] == "archive"
    assert [one["name"] for one in shell.json("workspaces list")] == ["archive", "Default"]
    assert "its keys are revoked" in shell("workspaces archive archive")
    assert [one["name"] for one in shell.json("workspaces list")] == ["Default"]
    archived = shell.json("workspaces list --all")[0]
    assert (archived["id"], bool(archived["archived_at"])) == (made["id"], True)
    assert shell.json("keys list") == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("users add nobody Ada", "EMAIL: value is not a valid email address"),
        ("users remove x@y.z", "there is no user 'x@y.z'; `antiphon users list` shows them"),
        ("invites delete x@y.z", "there is no invite 'x@y.z'; `antiphon invites list` shows them"),
        ("workspaces archive Default", "The Default workspace cannot be archived."),
        (
            "workspaces rename Default other",
            "NEW_NAME: the Default workspace cannot be renamed",
        ),
    ],
)
def test_impossible_commands_say_why_in_one_line(shell: Shell, line: str, complaint: str) -> None:
    assert shell.complaint(line) == complaint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("users add nobody Ada", "EMAIL: value is not a valid email address"),
        ("invites create nobody", "EMAIL: value is not a valid email address"),
        ("users add ada@example.com Ada", "EMAIL: this person is a member already"),
        ("workspaces rename Default x", "NEW_NAME: the Default workspace cannot be renamed"),
        ("keys create x --workspace old", "--workspace: this workspace is archived"),
        ("limits set --workspace old --spend 5/day", "--workspace: this workspace is archived"),
        (f"keys create {'x' * 501}", "NAME: String should have at most 100 characters"),
    ],
)
def test_error_of_a_field_names_the_argument(shell: Shell, line: str, said: str) -> None:
    shell("users add ada@example.com Ada")
    shell("workspaces create old")
    shell("workspaces archive old --yes")
    assert shell.complaint(line) == said
