"""The memory of a model stays in its folder."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.sdk.json_types.values import InvalidValueError
from antiphon.sdk.tools.memory import MemoryTool
from antiphon.sdk.tools.results import ToolError


@pytest.fixture
def memory(tmp_path: Path) -> MemoryTool:
    return MemoryTool(tmp_path / "notes")


def do(memory: MemoryTool, command: str, **given: Any) -> str:
    return memory.call({"command": command, **given})


def test_it_is_the_tool_of_the_api(memory: MemoryTool, tmp_path: Path) -> None:
    assert memory.to_dict() == {"type": "memory_20250818", "name": "memory"}
    cached = MemoryTool(tmp_path, cache_control={"type": "ephemeral"})
    assert cached.to_dict()["cache_control"] == {"type": "ephemeral"}


def test_empty_memory_is_empty(memory: MemoryTool) -> None:
    assert do(memory, "view", path="/memories") == "/memories is empty."
    assert not memory.folder.exists()


def test_notes_are_written_changed_and_shown(memory: MemoryTool) -> None:
    path = "/memories/people/ann.md"
    assert do(memory, "create", path=path, file_text="Ann\nlikes tea") == f"{path} was created."
    do(memory, "str_replace", path=path, old_str="tea", new_str="coffee")
    do(memory, "insert", path=path, insert_line=2, insert_text="and cake")
    do(memory, "insert", path=path, insert_line=0, insert_text="# People\n")
    assert do(memory, "view", path=path) == (
        f"{path}, with line numbers:\n     1\t# People\n     2\tAnn\n     3\tlikes coffee\n"
        "     4\tand cake"
    )
    assert do(memory, "view", path=path, view_range=[2, 3]).splitlines()[1:] == [
        "     2\tAnn",
        "     3\tlikes coffee",
    ]
    assert do(memory, "view", path=path, view_range=[4, -1]).splitlines()[1:] == [
        "     4\tand cake"
    ]
    assert do(memory, "view", path="/memories") == (
        "What /memories holds, 2 levels deep, with sizes in bytes:\n"
        "       -\t/memories/people/\n"
        "      35\t/memories/people/ann.md"
    )


def test_listing_goes_two_levels_deep_without_what_is_hidden(memory: MemoryTool) -> None:
    do(memory, "create", path="/memories/a/b/c/deep.md", file_text="x")
    do(memory, "create", path="/memories/.hidden", file_text="x")
    assert do(memory, "view", path="/memories/").splitlines()[1:] == [
        "       -\t/memories/a/",
        "       -\t/memories/a/b/",
    ]


def test_files_and_folders_are_renamed_and_deleted(memory: MemoryTool) -> None:
    do(memory, "create", path="/memories/a/one.md", file_text="1")
    do(memory, "rename", old_path="/memories/a", new_path="/memories/c/d")
    assert "1" in do(memory, "view", path="/memories/c/d/one.md")
    do(memory, "delete", path="/memories/c/d/one.md")
    do(memory, "delete", path="/memories/c")
    assert do(memory, "view", path="/memories") == "/memories is empty."


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("fly", {}, "There is no command 'fly'. There are: view, create, str_replace"),
        ("view", {"path": "/memories/none"}, "/memories/none does not exist."),
        ("view", {"path": "/memories/a.md", "view_range": [1]}, "view_range is the first and"),
        ("view", {"path": "/memories/a.md", "view_range": [3, 9]}, "There are the lines 1 to 2"),
        ("create", {"path": "/memories/a.md", "file_text": ""}, "exists already. Change it"),
        ("create", {"path": "/memories", "file_text": ""}, "/memories itself stays as it is."),
        ("str_replace", {"path": "/memories/a.md", "old_str": "x"}, "is in /memories/a.md not at"),
        ("str_replace", {"path": "/memories/a.md", "old_str": "a"}, "is in /memories/a.md 2 times"),
        ("str_replace", {"path": "/memories/a.md", "old_str": ""}, "not at all"),
        ("insert", {"path": "/memories/a.md", "insert_line": 3, "insert_text": ""}, "lines 1 to 2"),
        ("insert", {"path": "/memories/f", "insert_line": 0, "insert_text": ""}, "is a folder."),
        ("delete", {"path": "/memories"}, "itself stays as it is."),
        ("delete", {"path": "/memories/none"}, "does not exist."),
        ("rename", {"old_path": "/memories/a.md", "new_path": "/memories/f"}, "exists already."),
        ("rename", {"old_path": "/memories/f", "new_path": "/memories/f/g"}, "into itself."),
        ("view", {"path": "/memories/binary"}, "The file is not text."),
        ("create", {"path": "/memories/a.md/b", "file_text": ""}, "That failed: "),
    ],
)
def test_mistake_of_the_model_is_told(
    memory: MemoryTool, command: str, given: dict[str, Any], said: str
) -> None:
    (memory.folder / "f").mkdir(parents=True)
    (memory.folder / "a.md").write_text("a\na\n", encoding="utf-8")
    (memory.folder / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolError) as told:
        do(memory, command, **given)
    assert said in str(told.value)
    assert str(memory.folder) not in str(told.value)


def test_input_that_does_not_fit_is_told(memory: MemoryTool) -> None:
    with pytest.raises(
        InvalidValueError, match="path: it is required; file: there is no such parameter"
    ):
        do(memory, "view", file="x")


OUTSIDE = (
    "/etc/passwd",
    "memories/a",
    "/memoriesx/a",
    "/memories/../secret.md",
    "/memories/a/../../secret.md",
    "/memories/link/secret.md",
    "/memories/linked.md",
    "/memories/a\0b",
    "//memories/a",
)


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("command", ["view", "create", "delete", "rename", "insert"])
def test_nothing_outside_of_the_folder_is_touched(
    memory: MemoryTool, tmp_path: Path, command: str, path: str
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("secret", encoding="utf-8")
    memory.folder.mkdir()
    (memory.folder / "link").symlink_to(tmp_path)
    (memory.folder / "linked.md").symlink_to(secret)
    given: dict[str, dict[str, Any]] = {
        "create": {"path": path, "file_text": "x"},
        "rename": {"old_path": path, "new_path": "/memories/b"},
        "insert": {"path": path, "insert_line": 0, "insert_text": "x"},
    }
    with pytest.raises(ToolError, match="is not below /memories"):
        do(memory, command, **given.get(command, {"path": path}))
    assert secret.read_text(encoding="utf-8") == "secret"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["notes", "secret.md"]


@given(st.lists(st.sampled_from(["..", ".", "", "a", "memories", "~", "%2e%2e", "\\"]), max_size=6))
def test_every_path_stays_in_the_folder(steps: list[str]) -> None:
    memory = MemoryTool("/nowhere/notes")
    for path in ("/memories/" + "/".join(steps), "/".join(["", *steps])):
        try:
            place = memory._place(path)
        except ToolError:
            continue
        assert place.resolve().is_relative_to("/nowhere/notes")
