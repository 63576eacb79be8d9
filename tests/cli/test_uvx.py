"""The program as `uvx` runs it."""

import shlex
import sys
from pathlib import Path

import pytest

from antiphon.cli.uvx import command_to_install, requirement

FOLDER = Path("/home/ada/antiphon")
WHEEL = "antiphon-0.1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "antiphon[server]"),
        (
            f'{{"url": "file:///home/ada/antiphon/dist/{WHEEL}", "archive_info": {{}}}}',
            f"./dist/{WHEEL}[server]",
        ),
        (
            f'{{"url": "file:///opt/its%20wheels/{WHEEL}", "archive_info": {{}}}}',
            f"/opt/its wheels/{WHEEL}[server]",
        ),
        ('{"url": "file:///home/ada/antiphon", "dir_info": {}}', "/home/ada/antiphon[server]"),
        (
            f'{{"url": "https://example.com/{WHEEL}", "archive_info": {{}}}}',
            f"antiphon[server] @ https://example.com/{WHEEL}",
        ),
        (
            '{"url": "https://example.com/antiphon.git", "vcs_info": {"vcs": "git"}}',
            "antiphon[server] @ git+https://example.com/antiphon.git",
        ),
    ],
)
def test_package_is_asked_for_where_it_came_from(origin: str | None, expected: str) -> None:
    assert requirement(origin, FOLDER) == expected


@pytest.mark.parametrize("version", [0, 1])
def test_program_in_the_cache_of_uv_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(sys, "prefix", f"/home/ada/.cache/uv/archive-v{version}/f_isnGBM8z")
    command = command_to_install()
    assert command is not None
    *program, package = shlex.split(command)
    assert program == ["uv", "tool", "install"]
    assert package.endswith("[server]")


@pytest.mark.parametrize("prefix", ["/home/ada/.local/share/uv/tools/antiphon", "/srv/archive"])
def test_program_that_is_installed_says_nothing(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    assert command_to_install() is None
