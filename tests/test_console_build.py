"""The build of the Console: when it is made, what it leaves behind when it fails, what it needs."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.console_app import ROOT, SOURCES, load_builder

builder = load_builder()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The sources of the Console, with a lock file that npm refuses at once."""
    for name in (*builder.SOURCES, *builder.FOLDERS):
        path = SOURCES / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        (tmp_path / "console").mkdir(exist_ok=True)
        copy(path, tmp_path / "console" / name)
    shutil.copytree(ROOT / builder.SDK, tmp_path / builder.SDK)
    (tmp_path / "console" / "package-lock.json").write_text("{", encoding="utf-8")
    package = tmp_path / "src" / "antiphon"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "src/antiphon/__init__.py", package)
    return tmp_path


def mark_built(console: Any) -> None:
    console.built.mkdir(exist_ok=True)
    (console.built / "index.html").write_text("built", encoding="utf-8")
    (console.built / builder.STAMP).write_text(json.dumps(console._stamp()), encoding="utf-8")


def hook(root: Path) -> Any:
    said: list[str] = []
    app = SimpleNamespace(display_warning=said.append, said=said)
    return builder.ConsoleBuildHook(str(root), {}, None, None, "", "wheel", app)


def test_current_build_is_not_made_again(checkout: Path) -> None:
    console = builder.Console(checkout)
    mark_built(console)
    assert console.is_current()
    console.build()  # npm would refuse the lock file
    assert (console.built / "index.html").read_text(encoding="utf-8") == "built"


@pytest.mark.parametrize(
    "path",
    [
        "console/src/main.tsx",
        "console/package-lock.json",
        "console/index.html",
        "src/antiphon/__init__.py",
        "sdk/typescript/src/stream.ts",
    ],
)
def test_change_of_a_source_or_the_version_needs_a_new_build(checkout: Path, path: str) -> None:
    console = builder.Console(checkout)
    mark_built(console)
    with (checkout / path).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert not console.is_current()


def test_new_and_renamed_sources_need_a_new_build(checkout: Path) -> None:
    console = builder.Console(checkout)
    mark_built(console)
    added = checkout / "console" / "src" / "added.ts"
    added.touch()
    assert not console.is_current()
    mark_built(console)
    added.rename(added.with_name("renamed.ts"))
    assert not console.is_current()


def test_failed_build_leaves_its_reason_and_no_old_files(checkout: Path) -> None:
    console = builder.Console(checkout)
    mark_built(console)
    (console.built / builder.STAMP).unlink()
    with pytest.raises(builder.BuildError, match=r"^npm ci failed with [0-9]+: "):
        console.build()
    assert [path.name for path in console.built.iterdir()] == [builder.NOTE]
    assert (console.built / builder.NOTE).read_text(encoding="utf-8").startswith("npm ci failed")
    assert not console.is_current()


def test_package_is_built_without_the_console_and_says_so(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(builder.REQUIRED[0], raising=False)
    building = hook(checkout)
    building.initialize("standard", {})
    (warning,) = building.app.said
    assert warning.startswith("This package has no Console: npm ci failed")


def test_release_is_not_built_without_the_console(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*builder.REQUIRED)
    with pytest.raises(builder.BuildError, match="npm ci failed"):
        hook(checkout).initialize("standard", {})


def test_editable_install_builds_nothing(checkout: Path) -> None:
    hook(checkout).initialize("editable", {})
    assert not (checkout / "src/antiphon/console_app").exists()


def test_node_is_needed_only_for_what_is_not_built(checkout: Path) -> None:
    building = hook(checkout)
    assert building.dependencies() == [builder.NODE]
    mark_built(builder.Console(checkout))
    assert building.dependencies() == []
