import io
import subprocess
import sys

import pytest
from rich.console import Console

from antiphon.weights.progress import Progress, SilentProgress, open_progress


def shown(*, terminal: bool) -> tuple[io.StringIO, Progress]:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=120, legacy_windows=False)
    return written, open_progress("pulling [m]", console)


def play(progress: Progress, total: int | None, steps: int = 100) -> None:
    progress.started(total, 0)
    for _ in range(steps):
        progress.advanced(10_000)
    progress.finished()


def test_a_log_has_a_line_for_every_tenth() -> None:
    written, progress = shown(terminal=False)
    play(progress, 1_000_000)
    assert written.getvalue().splitlines() == [
        "pulling [m]: 0 bytes of 1.0 MB",
        *(f"pulling [m]: {tenth}0 %" for tenth in range(1, 10)),
        "pulling [m]: 1.0 MB of 1.0 MB",
    ]


def test_log_of_a_resumed_download_continues() -> None:
    written, progress = shown(terminal=False)
    progress.started(1000, 850)
    progress.advanced(100)
    progress.finished()
    assert written.getvalue().splitlines() == [
        "pulling [m]: 850 bytes of 1.0 kB",
        "pulling [m]: 90 %",
        "pulling [m]: 950 bytes of 1.0 kB",
    ]


def test_a_log_of_an_unknown_size_has_a_start_and_an_end() -> None:
    written, progress = shown(terminal=False)
    play(progress, None)
    assert written.getvalue().splitlines() == ["pulling [m]: 0 bytes", "pulling [m]: 1.0 MB"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_pull_that_never_began_shows_nothing_but_its_notes(*, terminal: bool) -> None:
    written, progress = shown(terminal=terminal)
    progress.advanced(0)
    progress.note("waiting")
    progress.finished()
    assert written.getvalue() == "waiting\n"


def test_a_terminal_has_a_bar() -> None:
    written, progress = shown(terminal=True)
    progress.started(1_000_000, 0)
    progress.advanced(250_000)
    progress.started(1_000_000, 500_000)
    progress.note("trying again")
    progress.advanced(500_000)
    progress.finished()
    assert "pulling [m]" in written.getvalue()
    assert "trying again" in written.getvalue()
    assert "1.0/1.0 MB" in written.getvalue()


def test_silent_progress_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SilentProgress()
    play(progress, 1)
    progress.note("nothing")
    assert capsys.readouterr() == ("", "")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, antiphon.weights.pull; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"rich", "filelock", "huggingface_hub", "urllib.request", "subprocess"}
    assert not heavy & set(run.stdout.split())
