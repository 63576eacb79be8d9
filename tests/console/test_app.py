"""The Console's sources and its built files: types, lint, unit tests, sizes, hosts.

Node's own test runner says what of `console/tests` fails.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon import __version__
from support.console_app import SOURCES, load_builder

# Kilobytes of what a browser loads before it shows a page, compressed.
MOST_FIRST_LOAD_KB = 300


@pytest.fixture(scope="module")
def console() -> Any:
    """The Console, built, with the tools of its checks."""
    console = load_builder().Console(SOURCES.parent)
    console.install_tools()
    console.build()
    return console


@pytest.fixture(scope="module")
def built(console: Any) -> Path:
    folder: Path = console.built
    return folder


def files(built: Path, *endings: str) -> Iterator[Path]:
    return (path for path in built.rglob("*") if path.suffix in endings)


def test_types_are_right(console: Any) -> None:
    console.node("node_modules/typescript/bin/tsc", "--noEmit")


def test_sources_have_the_one_format_and_no_lint(console: Any) -> None:
    console.node("node_modules/@biomejs/biome/bin/biome", "ci", ".")


def test_rules_of_the_console_pass_their_tests(console: Any) -> None:
    said = console.node("--test", "tests/*.test.ts")
    (passed,) = re.findall(r"^\S+ pass (\d+)$", said, re.MULTILINE)
    assert int(passed) > 30


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"]
    assert not any("resolved" in package for package in lock["packages"].values())


def test_first_load_is_small(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="/console/([^"]+)"', page)
    assert any(name.endswith(".js") for name in named)
    # A page is a part of its own, so the largest one is loaded as well.
    parts = [
        path for path in files(built, ".js") if path.relative_to(built).as_posix() not in named
    ]
    largest = max(parts, key=lambda path: path.stat().st_size)
    loaded = [built / "index.html", largest, *(built / name for name in named)]
    # A file that packing makes no smaller is sent as it is.
    packed = [path.with_name(f"{path.name}.gz") for path in loaded]
    sent = [gz if gz.exists() else path for gz, path in zip(packed, loaded, strict=True)]
    assert sum(path.stat().st_size for path in sent) < MOST_FIRST_LOAD_KB * 1000


def test_page_has_nothing_that_its_policy_forbids(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert scripts == [""]
    assert "<style" not in page
    assert not re.search(r"\son\w+=|\sstyle=", page)


def test_style_sheets_load_nothing_from_elsewhere(built: Path) -> None:
    for path in files(built, ".css"):
        urls = re.findall(r"url\(([^)]*)\)|@import ([^;]*)", path.read_text(encoding="utf-8"))
        assert not [url for pair in urls for url in pair if url and not url.startswith("data:")]


def test_only_the_first_load_has_styles(built: Path) -> None:
    """The router reloads the page for a missing script of a part, but not for a style sheet."""
    assert len(list(files(built, ".css"))) == 1


def test_app_knows_the_version_that_it_is_of(built: Path) -> None:
    assert any(
        f"{quote}{__version__}{quote}" in path.read_text(encoding="utf-8")
        for path in files(built, ".js")
        for quote in "`\"'"
    )


def test_every_file_is_packed_in_both_codings(built: Path) -> None:
    for path in files(built, ".js", ".css", ".html"):
        if path.stat().st_size > 200:
            assert path.with_name(f"{path.name}.br").is_file()
            assert path.with_name(f"{path.name}.gz").is_file()


def test_first_build_of_a_checkout_logs_no_error(tmp_path: Path) -> None:
    """It fetches Node.js, which is not there yet."""
    python, uv = tmp_path / ".venv/bin/python", tmp_path / "bin/uv"
    lines = {
        python: [
            'if [ "$1" = -c ]; then echo Traceback >&2; exit 1; fi',
            'if [ "$1" = console/build.py ]; then echo built; fi',
        ],
        uv: ['[ "$1 $2" = "pip install" ] && echo fetched'],
    }
    for program, text in lines.items():
        program.parent.mkdir(parents=True)
        program.write_text("\n".join(["#!/bin/sh", *text, ""]), encoding="utf-8")
        program.chmod(0o755)
    environ = {"PATH": f"{uv.parent}:{os.environ['PATH']}"}
    script = SOURCES.parent / "scripts/console"
    subprocess.run([script], cwd=tmp_path, env=environ, check=True, timeout=60)
    log = (tmp_path / ".cache/console.log").read_text(encoding="utf-8")
    assert log.splitlines() == ["fetched", "built"]
