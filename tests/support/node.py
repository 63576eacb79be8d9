"""Runs programs of the official TypeScript SDK."""

import os
import subprocess
from pathlib import Path

TYPESCRIPT = Path(__file__).parents[1] / "end_to_end" / "typescript"
PATIENCE_S = 120.0


def install() -> None:
    """Install the packages of the lock file, unless they are installed."""
    lock = TYPESCRIPT / "package-lock.json"
    # npm writes this file last.
    done = TYPESCRIPT / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def node(*arguments: str, **environ: str) -> str:
    """Run node and return its output. A status other than 0 fails the test."""
    return run("node", *arguments, **environ)


def run(*arguments: str, **environ: str) -> str:
    # The programs must not read the developer's own settings of the SDK.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    done = subprocess.run(
        arguments,
        cwd=TYPESCRIPT,
        env={**kept, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
