"""`antiphon console open`: a link to the setup, or to sign in."""

import webbrowser

import pytest

from antiphon.store.database.instance_lock import lock_data_dir
from cli.conftest import Shell


def test_setup_is_offered_while_nobody_can_sign_in(shell: Shell) -> None:
    shell("users add ada@example.org Ada --role admin")
    link = shell("console open").strip()
    assert link.startswith("http://127.0.0.1:8000/console/setup#token=")
    assert "makes the first administrator" in shell.both("console open")
    assert shell.json("console open")["link"] != link


def test_user_is_signed_in_by_a_link(shell: Shell) -> None:
    shell("users add ada@example.org Ada --role admin")
    link = shell("console open --user ADA@example.org").strip()
    assert link.startswith("http://127.0.0.1:8000/console/sign-in#token=")
    assert "signs ada@example.org in" in shell.both("console open --user ada@example.org")
    changes = shell.json("audit --object ada@example.org")
    assert [one["action"] for one in changes] == ["link.create", "link.create", "user.create"]
    assert link.partition("=")[2] not in str(changes)


def test_link_has_the_address_that_is_given(shell: Shell) -> None:
    shell("users add ada@example.org Ada")
    link = shell("console open --url https://claude.example.org/")
    assert link.startswith("https://claude.example.org/console/setup#token=")
    said = shell.complaint("console open --url claude.example.org")
    assert "--url: an address begins with http" in said


def test_unknown_user_is_named(shell: Shell) -> None:
    shell("users add ada@example.org Ada")
    assert "there is no user 'bob'" in shell.complaint("console open --user bob")


def test_console_that_is_switched_off_has_no_link(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_CONSOLE_ENABLED", "false")
    assert "console.enabled = false" in shell.complaint("console open")


@pytest.mark.parametrize("there_is_one", [True, False])
def test_browser_is_opened_on_request(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, *, there_is_one: bool
) -> None:
    opened: list[str] = []

    def open_browser(link: str) -> bool:
        opened.append(link)
        return there_is_one

    monkeypatch.setattr(webbrowser, "open", open_browser)
    shell("users add ada@example.org Ada")
    shell("console open")
    assert opened == []
    if there_is_one:
        assert shell("console open --browser").strip() == opened[0]


def test_invite_of_the_command_line_has_a_link(shell: Shell) -> None:
    said = shell("invites create ada@example.org")
    assert "http://127.0.0.1:8000/console/invite#token=" in said
    assert "link" not in shell.json("invites list")[0]


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("127.0.0.1:9351", "http://127.0.0.1:9351"),
        ("0.0.0.0:9351", "http://127.0.0.1:9351"),
        ("[::1]:9351", "http://[::1]:9351"),
    ],
)
def test_links_have_the_address_of_the_server_that_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, address: str, base: str
) -> None:
    with lock_data_dir(shell.data_dir, address):
        said = shell("invites create ada@example.org")
        assert f"{base}/console/invite#token=" in said
        shell("users add bob@example.org Bob")
        assert shell("console open").startswith(f"{base}/console/setup#token=")
        monkeypatch.setenv("ANTIPHON_CONSOLE_URL", "https://claude.example.org")
        assert shell("console open").startswith("https://claude.example.org/console/")
    monkeypatch.delenv("ANTIPHON_CONSOLE_URL")
    assert shell("console open").startswith("http://127.0.0.1:8000/console/")
