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

IMPORT = """
import sys, antiphon.cli.serve
print(*sys.modules)
"""
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


@pytest.mark.parametrize("program", [IMPORT, SERVE], ids=["import", "new server that is ready"])
def test_start_imports_only_what_every_server_needs(program: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"antiphon.server.app", "sqlalchemy", "uvicorn"} <= imported
    assert sorted(LATER & imported) == []
