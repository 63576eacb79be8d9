"""Tables: what fits into a terminal, and what programs read."""

import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from antiphon.cli.tables import TableForm, say_table
from cli.conftest import Shell
from support.processes import start

ID = "apikey_01KVYBamPFFZ9w9Bnd5ig2vX"
NAMES = (
    "laptop",
    "long name " * 9,
    "x" * 100,
    "日本語のとても長い名前のキーです東京オフィス用の鍵",
    "日本語　の 鍵 " * 8,
    "👩‍👩‍👧 family",
)
FORM = TableForm("Nothing.", texts=("name", "of"), least_useful=("hint", "created"))


def rows(*names: str) -> list[dict[str, object]]:
    return [
        {"id": ID, "name": name, "of": f"workspace {name}", "n": 1234, "hint": "h", "created": None}
        for name in names
    ]


def on_terminal(arguments: list[str], columns: int) -> str:
    """Run a command on a pseudo-terminal; return what that shows, without its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = start(arguments, environment, Path.cwd(), (theirs, theirs))
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the end of a pseudo-terminal, on Linux
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0, shown.decode()
    return without_colours(shown.decode().replace("\r\n", "\n"))


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def printed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    table: list[dict[str, object]],
    columns: int | None,
) -> list[str]:
    """The lines of a table: on a terminal of this width, or without one."""
    if columns is not None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))
    say_table(table, FORM)
    return without_colours(capsys.readouterr().out).split("\n")[:-1]


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("name", NAMES)
def test_table_fits_into_a_terminal_without_breaking_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, name: str
) -> None:
    lines = printed(capsys, monkeypatch, rows("laptop", name), columns)
    assert max(map(cell_len, lines)) <= columns
    assert [line.split()[0] for line in lines if ID in line] == [ID, ID]
    whole = {"id", "name", "of", "n", "hint", "created", "workspace", "1,234", "h", "-", ID}
    words = {*whole, "laptop", *name.split()}
    for line in lines:
        for word in line.split():
            cut = word.removesuffix("…")
            assert word in words or any(one.startswith(cut) for one in words), word


def test_least_useful_columns_are_left_out_first_and_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for columns, left_out in ((89, ""), (88, "hint"), (82, "hint, created")):
        monkeypatch.setenv("COLUMNS", str(columns))
        say_table(rows("laptop" * 3), FORM)
        told = capsys.readouterr()
        assert left_out in told.err
        assert bool(told.err) == bool(left_out)
        for name in ("hint", "created"):
            assert (name in told.out.splitlines()[0]) == (name not in left_out)


def test_id_is_whole_even_if_it_does_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert any(ID in line for line in printed(capsys, monkeypatch, rows("x" * 100), 20))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_terminal_each_row_is_a_line_with_all_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    name = name.strip()
    lines = printed(capsys, monkeypatch, rows("laptop", name), None)
    assert len(lines) == 3
    cells = re.split(" {2,}", lines[2])
    assert cells == [ID, name, f"workspace {name}", "1,234", "h", "-"]
    # The columns stand under each other, also behind wide characters.
    ends = {cell_len(line[: re.search(r"1,234|  n(?= )", line).end()]) for line in lines}  # type: ignore[union-attr]
    assert len(ends) == 1


def test_control_character_cannot_leave_its_cell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(capsys, monkeypatch, rows("a\nb\x1b[2J\u2028c\x9b"), None)
    assert len(lines) == 2
    assert r"a\nb\x1b[2J\u2028c\x9b" in lines[1]


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=40), min_size=1))
def test_any_text_is_printed(names: list[str]) -> None:
    say_table(rows(*names), FORM)


@pytest.mark.parametrize("columns", [60, 80])
def test_every_listing_fits_into_a_terminal(shell: Shell, columns: int) -> None:
    shell(f"keys create {'k' * 100}")
    shell(f"keys create {'東京' * 20}")
    shell(f"workspaces create {'w' * 40}")
    shell(f"users add {'z' * 60}@b.example {'y' * 200}")
    shell(f"invites create {'i' * 60}@b.example")
    shell(f"workspaces add {'w' * 40} {'z' * 60}@b.example")
    shell(f"limits set --workspace {'w' * 40} --requests 5 --spend 123456.789012345/month")
    for line in (
        "keys list",
        "users list",
        "invites list",
        "workspaces list",
        f"workspaces members {'w' * 40}",
        "limits list",
        "limits balance",
        "audit",
    ):
        shown = on_terminal([*line.split(), "--data-dir", str(shell.data_dir)], columns)
        table = shown.partition("Left out")[0].partition("\n\n")[0]
        assert max(map(cell_len, table.splitlines())) <= columns, shown
        for identifier in re.findall(r"(?:apikey|wrkspc|user)_\w+", table):
            assert re.fullmatch(r"[a-z]+_01\w{22}", identifier), shown


def test_audit_on_80_columns_says_who_it_was_and_when(shell: Shell) -> None:
    shell("workspaces create research")
    shell("users add ada@example.com Ada")
    shell("workspaces add research ada@example.com")
    shown = on_terminal(["audit", "--data-dir", str(shell.data_dir)], 80)
    assert {"when", "who", "did", "to", "changed"} <= set(shown.splitlines()[0].split())
    assert "workspace_member.create" in shown
    assert shown.count("command line") == 3
    assert re.search(r"\d{4}-\d\d-\d\d .*\n *\d\d:\d\d", shown)
    assert "Left out, for lack of room: id." in shown
