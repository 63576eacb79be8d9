"""Runs programs of the official TypeScript SDK."""

import os
import subprocess
from pathlib import Path

TYPESCRIPT = Path(__file__).parents[1] / "end_to_end" / "typescript"
PATIENCE_S = 120.0


def install() -> None:
    """Fetch what the lock file names, unless it is there."""
    lock = TYPESCRIPT / "package-lock.json"
    # npm writes this file last.
    done = TYPESCRIPT / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def node(*arguments: str, **environ: str) -> str:
    """Run node to its end; return what it printed. A status other than 0 fails the test."""
    return run("node", *arguments, **environ)


def run(*arguments: str, **environ: str) -> str:
    # What is set for the SDKs of whoever runs the tests is not for them.
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
