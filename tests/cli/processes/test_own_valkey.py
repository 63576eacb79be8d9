"""The Valkey server of several processes: it runs, is started again, and ends with its owner."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.processes import valkey
from antiphon.cli.processes.valkey import OwnValkey, valkey_program
from antiphon.store.valkey import PATIENCE_S, connect
from support.conversation import eventually
from support.processes import environment

pytestmark = pytest.mark.anyio

OWNER = """
import asyncio, sys
from pathlib import Path
from antiphon.cli.processes.valkey import OwnValkey, valkey_program

async def main():
    async with OwnValkey(valkey_program(), Path(sys.argv[1])).running() as _:
        print("runs", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def pings(url: str) -> None:
    server = connect(url, name="test")
    try:
        async with server.asking():
            await server.client.ping()
    finally:
        await server.aclose()


async def test_it_answers_evicts_nothing_and_is_started_again(tmp_path: Path) -> None:
    own = OwnValkey(valkey_program(), tmp_path)
    async with own.running():
        await pings(own.url)
        server = connect(own.url, name="test")
        assert (await server.client.config_get("maxmemory-policy"))[
            "maxmemory-policy"
        ] == "noeviction"
        await server.aclose()
        first = own.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: own.pid != first)
        await pings(own.url)
        second = own.pid
    assert second is not None
    assert not psutil.pid_exists(second)


async def test_silence_of_a_busy_machine_is_no_outage(tmp_path: Path) -> None:
    own = OwnValkey(valkey_program(), tmp_path)
    async with own.running():
        server = connect(own.url, name="test")
        try:
            async with server.asking():
                await server.client.ping()
            assert own.pid is not None
            os.kill(own.pid, signal.SIGSTOP)
            loop = asyncio.get_running_loop()
            # Twice as long as a server elsewhere may be silent.
            loop.call_later(2 * PATIENCE_S, os.kill, own.pid, signal.SIGCONT)
            async with server.asking():
                await server.client.ping()
        finally:
            await server.aclose()


async def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(  # noqa: ASYNC220 - its first line is waited for
        (sys.executable, "-c", OWNER, str(tmp_path)),
        stdout=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"runs\n"
    (child,) = psutil.Process(owner.pid).children()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.02)  # noqa: ASYNC251 - nothing else runs


async def test_program_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not start"):
        async with OwnValkey(Path("/bin/false"), tmp_path).running():
            pass


def test_missing_wheel_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    with pytest.raises(
        CommandError, match=r"set counters_url .* pip install 'antiphon\[processes\]'"
    ):
        valkey_program()
