"""The lines of a page for users, run as they stand."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "docs/how-to/clients"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_S = 120.0


def lines_of(page: Path, language: str = "") -> list[str]:
    """Return the texts of a page that are in this language, in their order."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def versions_of(page: Path) -> dict[str, str]:
    """Return the versions with which a page says that its lines were run, by the name before."""
    said = re.search(
        r"^Run with (.*?)\.\s", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert said, page
    return dict(re.findall(r"`([^`]+)` (\d[\w.]*)", said[1]))


def run_line(
    command: Sequence[str | Path], environ: Mapping[str, str], folder: Path, text: str = ""
) -> str:
    """Run a program to its end, with `text` as its input; return what it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "HOME": str(folder), **environ},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
