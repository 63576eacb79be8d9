import platform
from pathlib import Path

import pytest

from support.node import npm

CACHE = Path(__file__).parents[2] / ".cache"
FETCHING_S = 600.0
CLAUDE_CODE = "2.1.332"
OPENCODE = "1.18.33"
COPILOT = "1.0.102"


def fetched(folder: str, package: str, version: str, program: str) -> Path:
    """Return a program in a package of npm for this machine, fetched once per checkout."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = f"{platform.system().lower()}-{machine}"
    cache = CACHE / folder
    found = cache / "node_modules" / program.format(system)
    wanted = f'{{"private": true, "description": "{package}@{version}"}}'
    note = cache / "fetched.json"
    if not found.exists() or not note.exists() or note.read_text() != wanted:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "package.json").write_text('{"private": true}')
        npm("install", f"{package}@{version}", folder=cache, patience_s=FETCHING_S)
        note.write_text(wanted)
    return found


@pytest.fixture(scope="session")
def claude() -> Path:
    """Claude Code: 380 MB."""
    program = "@anthropic-ai/claude-code-{}/claude"
    return fetched("claude-code", "@anthropic-ai/claude-code", CLAUDE_CODE, program)


@pytest.fixture(scope="session")
def opencode() -> Path:
    """OpenCode: 370 MB."""
    return fetched("opencode", "opencode-ai", OPENCODE, "opencode-{}/bin/opencode")


@pytest.fixture(scope="session")
def copilot() -> Path:
    """The Copilot CLI: 190 MB."""
    return fetched("copilot", "@github/copilot", COPILOT, "@github/copilot-{}/copilot")
