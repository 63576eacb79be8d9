import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.child import batch_of
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from support.conversation import eventually

pytestmark = pytest.mark.anyio

OPTIONS = LlamaOptions(context=256, slots=1, threads=1)

PARENT = """
import asyncio, sys
from pathlib import Path
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child

async def main():
    options = LlamaOptions(context=256, slots=1, threads=1)
    child = await start_child(child_config(options, Path(sys.argv[1]), None), 60)
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""

STILL = """
import asyncio, os, signal, sys
from pathlib import Path
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child

def begun(child):
    child.stand_still()
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

options = LlamaOptions(context=256, slots=1, threads=1)
asyncio.run(start_child(child_config(options, Path(sys.argv[1]), None), 60, begun=begun))
"""


async def refusal(weights: Path, timeout_s: float = 60.0) -> str:
    with pytest.raises(EngineStartError) as caught:
        await start_child(child_config(OPTIONS, weights, None), timeout_s)
    return str(caught.value)


def children() -> list[psutil.Process]:
    return psutil.Process().children()


async def test_missing_weights_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.gguf"
    assert await refusal(missing) == f"{missing} does not exist."


async def test_folder_as_weights_is_refused(tmp_path: Path) -> None:
    assert await refusal(tmp_path) == f"{tmp_path} cannot be read: Is a directory."


async def test_what_is_no_gguf_is_refused_before_a_child_is_started(tmp_path: Path) -> None:
    file = tmp_path / "notes.gguf"
    file.write_bytes(b"GGU")
    assert await refusal(file) == f"{file} is not a GGUF file."


async def test_load_failure_gives_the_reason_of_llama_cpp(tmp_path: Path, tiny_model: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with tiny_model.open("rb") as whole:
        cut.write_bytes(whole.read(10_000_000))
    before = children()
    message = await refusal(cut)
    assert message.startswith(f"{cut} cannot be loaded by llama.cpp: tensor '")
    assert message.endswith("model is corrupted or incomplete.")
    assert children() == before


async def test_start_beyond_its_timeout_is_refused_and_leaves_no_child(tiny_model: Path) -> None:
    before = children()
    assert "was not loaded within 0.01 s" in await refusal(tiny_model, timeout_s=0.01)
    assert children() == before


async def test_command_line_of_the_child_names_the_model_and_not_the_key(
    tiny_model: Path,
) -> None:
    config = child_config(OPTIONS, tiny_model, None)
    child = await start_child(config, 60)
    try:
        command = psutil.Process(child.pid).cmdline()
        assert command[-2:] == ["antiphon.engines.llama.child", str(tiny_model)]
        assert config.api_key not in " ".join(command)
    finally:
        await child.aclose()


async def test_child_ignores_the_interrupt_of_the_terminal(tiny_model: Path) -> None:
    child = await start_child(child_config(OPTIONS, tiny_model, None), 60)
    process = psutil.Process(child.pid)
    process.send_signal(signal.SIGINT)
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(0.3)
    await child.aclose()
    assert not process.is_running()


async def test_child_gets_no_signal_that_is_sent_to_the_servers_group(tiny_model: Path) -> None:
    child = await start_child(child_config(OPTIONS, tiny_model, None), 60)
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    await child.aclose(grace_s=0)


async def test_stopped_child_is_killed_after_the_grace(tiny_model: Path) -> None:
    child = await start_child(child_config(OPTIONS, tiny_model, None), 60)
    process = psutil.Process(child.pid)
    process.suspend()
    await eventually(lambda: is_stopped(process))
    await child.aclose(grace_s=0.1)
    assert await child.wait() == -signal.SIGKILL


async def test_child_dies_with_a_parent_that_is_killed(tiny_model: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tiny_model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:  # noqa: ASYNC220 - it only prints a line
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    await eventually(lambda: not alive(pid), within_s=5)


async def test_child_without_a_parent_ends_on_every_system(tiny_model: Path) -> None:
    """What `PR_SET_PDEATHSIG` does on Linux, the end of stdin does everywhere."""
    child = await start_child(child_config(OPTIONS, tiny_model, None), 60)
    stdin = child._process.stdin
    assert stdin is not None
    stdin.close()
    assert await child.wait() == 0


def is_stopped(process: psutil.Process) -> bool:
    """Return whether all threads are stopped: one that still runs would obey SIGTERM."""
    threads = Path("/proc", str(process.pid), "task").glob("*/stat")  # none on other systems
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in threads]
    return process.status() == psutil.STATUS_STOPPED and set(states) <= {"T"}


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_child_that_stands_still_as_it_begins_ends_with_its_parent(tiny_model: Path) -> None:
    """A process that stands still does not notice the end of its stdin."""
    ended = subprocess.run(  # noqa: ASYNC221 - it ends itself
        [sys.executable, "-c", STILL, str(tiny_model)], stdout=subprocess.PIPE, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    child = int(ended.stdout)
    await eventually(lambda: not psutil.pid_exists(child))


@pytest.mark.parametrize(
    ("options", "has_gpu", "batch"),
    [
        (LlamaOptions(), False, 256),
        # To some models, all tokens of an image see one another, within a batch.
        (LlamaOptions(mmproj="p.gguf"), False, 512),
        (LlamaOptions(mmproj="p.gguf", batch=64), False, 64),
        (LlamaOptions(mmproj="p.gguf"), True, None),
        (LlamaOptions(batch=4096), True, 4096),
    ],
)
def test_batch_holds_an_image(options: LlamaOptions, has_gpu: bool, batch: int | None) -> None:
    config = child_config(options, Path("model.gguf"), None)
    assert batch_of(config, has_gpu=has_gpu) == batch
