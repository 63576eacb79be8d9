"""What a start does not import; docs/decisions/0019-start-and-size.md says what each would cost."""

import subprocess
import sys
from pathlib import Path

import pytest

# Imported where it is used, by who uses it.
LATER = {
    "PIL",
    "aiohttp",
    "alembic",
    "asyncpg",
    "filelock",
    "httpx2",
    "huggingface_hub",
    "jinja2",
    "mako",
    "opentelemetry",
    "pip",
    "pypdfium2",
    "pypdfium2_raw",
    "rich",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "valkey",
    "xllamacpp",
}

COMMANDS = """
import sys
from antiphon.cli import main

for line in sys.argv[2:]:
    assert main([*line.split(), "--data-dir", sys.argv[1]]) == 0
print(*sys.modules)
"""
# What answers requests, and what a command imports when it has something to do.
OF_A_SERVER = {
    *LATER,
    "antiphon.core.assembly",
    "antiphon.core.validation",
    "antiphon.engines.llama",
    "antiphon.server",
    "antiphon.service.messages",
    "antiphon.service.platform",
    "antiphon.weights",
    "click",
    "starlette",
    "structlog",
    "uvicorn",
    "uvloop",
}
SERVE = """
import asyncio, sys
from pathlib import Path
from antiphon.cli.serve import build_platform
from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.settings import ModelSettings, Settings

async def main():
    settings = Settings.load({"data_dir": Path(sys.argv[1])}, environ={})
    model = ModelSettings(id="scripted", engine="scripted")
    async with build_platform(settings, [ModelSource(model)]) as platform:
        build_app(platform)
        await platform.models.open()
        assert list(platform.models.states().values()) == ["ready"], platform.models.states()
        print(*sys.modules)

asyncio.run(main())
"""


def imported_by(program: str, *arguments: str) -> set[str]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_start_imports_only_what_every_server_needs(tmp_path: Path) -> None:
    imported = imported_by(SERVE, str(tmp_path))
    assert {"antiphon.server.app", "sqlalchemy", "uvicorn"} <= imported
    assert sorted(LATER & imported) == []


@pytest.mark.parametrize("command", ["keys list", "usage", "limits list", "audit"])
def test_command_imports_nothing_that_answers_requests(command: str, tmp_path: Path) -> None:
    imported = imported_by(COMMANDS, str(tmp_path / "data"), "keys create first", command)
    assert {"antiphon.service.admin.administration", "sqlalchemy"} <= imported
    assert sorted(OF_A_SERVER & imported) == []


def test_command_without_a_database_does_not_import_one(tmp_path: Path) -> None:
    imported = imported_by(COMMANDS, str(tmp_path / "data"), "models list")
    assert "antiphon.weights.model_store" in imported
    assert not {"asyncio", "sqlalchemy"} & imported


HELP = """
import contextlib, sys
from antiphon.cli import main

with contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print()
print(*sys.modules)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["key"]])
def test_help_imports_no_settings_and_no_command(words: list[str]) -> None:
    imported = imported_by(HELP, *words)
    ours = {name for name in imported if name.startswith("antiphon.") and "cli" not in name}
    assert ours <= {"antiphon.wire", "antiphon.wire.base", "antiphon.wire.errors"}
    assert not {"asyncio", "importlib.metadata", "sqlalchemy"} & imported


FROZEN = """
import atexit, gc, sys
from antiphon.cli import main

print(gc.get_freeze_count())
sys.argv[1:] = ["--version"]
atexit.register(lambda: print(gc.get_freeze_count(), gc.isenabled()))
main(ARGUMENTS)
"""


@pytest.mark.parametrize(("arguments", "freezes"), [("", True), ("sys.argv[1:]", False)])
def test_only_the_program_leaves_what_it_imports_out_of_garbage_collection(
    arguments: str, freezes: bool
) -> None:
    program = FROZEN.replace("ARGUMENTS", arguments)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    before, *_, after = done.stdout.splitlines()
    assert before == "0"
    frozen, enabled = after.split()
    assert (int(frozen) > 1000) is freezes
    assert enabled == "True"
