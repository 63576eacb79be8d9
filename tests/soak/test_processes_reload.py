"""Several processes that are reloaded under load: what callers see of it, and what is there after.

The engine host is replaced where what it depends on has changed: beside the old one, or after it.
"""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import httpx2
import psutil
import pytest

import antiphon
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import CHILD, child_config, start_child
from antiphon.store.database.migrations import NEWEST
from support.asgi import HELLO
from support.conversation import eventually
from support.overseen import HEADERS, Load, api_processes, descendants, engine_host, under_load
from support.processes import PROGRAM, Program, serving
from support.servers import configure, environ

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.alone]

TELLS = {"ANTIPHON_LOG_LEVEL": "info", "ANTIPHON_LOG_FORMAT": "json"}


def llama(folder: Path, **options: object) -> None:
    """Write the settings of a server with one model on llama.cpp."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
    (folder / "antiphon.toml").write_text(f"[llama]\n{lines}", encoding="utf-8")


def loaded(program: Program) -> list[int]:
    """Return the processes of llama.cpp."""
    return [one.pid for one in descendants(program) if CHILD in one.cmdline()]


def logged(program: Program, event: str) -> list[dict[str, object]]:
    """Return what the log says of an event, without the lines of requests."""
    lines = [json.loads(line) for line in program.errors if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


async def reloaded(program: Program, load: Load, *, until_gone: bool = True) -> None:
    """Reload under load, until every process is another one and the old ones have ended."""
    before = set(api_processes(program).values())
    await eventually(lambda: len(load.answered) > 4, 60)
    number = len(logged(program, "all processes restarted"))
    program.process.send_signal(signal.SIGHUP)
    await eventually(lambda: len(logged(program, "all processes restarted")) > number, 120)
    if until_gone:
        await eventually(lambda: not any(psutil.pid_exists(pid) for pid in before), 60)
    so_far = len(load.answered)
    await eventually(lambda: len(load.answered) > so_far + 4, 60)


async def test_model_is_loaded_beside_itself_only_where_its_settings_have_changed(
    tmp_path: Path, default_model: Path
) -> None:
    llama(tmp_path, context=2048, slots=4, threads=1, snapshot_bytes=1 << 20)
    told = {**environ(), **TELLS}
    flags = ("--processes", "2", "--model", str(default_model))
    with serving(tmp_path, *flags, environ=told) as program:
        host, (child,) = engine_host(program), loaded(program)
        async with under_load(program.url) as load:
            await reloaded(program, load)
            assert (engine_host(program), loaded(program)) == (host, [child])

            llama(tmp_path, context=2048, slots=3, threads=1, snapshot_bytes=1 << 20)
            await reloaded(program, load)
            await eventually(lambda: not psutil.pid_exists(host), 60)
            assert engine_host(program) != host
            assert len(loaded(program)) == 1
            assert loaded(program) != [child]
        assert (load.broken, load.refused) == ([], [])
        (said,) = logged(program, "engine host is replaced")
        assert logged(program, "requests wait while the model is loaded") == []
        assert (said["changed"], said["beside"]) == ("llama", True)

        # A mistake is told, and nothing is restarted.
        before = api_processes(program)
        (tmp_path / "antiphon.toml").write_text("[llama]\nslots = 0\n", encoding="utf-8")
        program.process.send_signal(signal.SIGHUP)
        await eventually(lambda: bool(logged(program, "restart given up")), 60)
        assert api_processes(program) == before
        assert program.stop() == 0


async def test_model_with_one_owner_is_taken_over_and_requests_wait_meanwhile(
    tmp_path: Path, tiny_model: Path
) -> None:
    slots = tmp_path / "slots"
    slots.mkdir()
    options = LlamaOptions(context=2048, slots=4, threads=1)
    config = child_config(options, tiny_model, slots)
    server = await start_child(config, 60)
    try:
        llama(tmp_path, url=server.address, api_key=config.api_key)
        told = {**environ(), **TELLS}
        with serving(tmp_path, "--processes", "2", environ=told) as program:
            host = engine_host(program)
            async with under_load(program.url) as load:
                llama(tmp_path, url=server.address, api_key=config.api_key, wait_s=5)
                await reloaded(program, load)
            assert engine_host(program) != host
            assert not psutil.pid_exists(host)
            assert (load.broken, load.refused) == ([], [])
            (said,) = logged(program, "requests wait while the model is loaded")
            assert "have one owner" in str(said["reason"])
            assert program.stop() == 0
    finally:
        await server.aclose()


@pytest.mark.parametrize("beside", [True, False])
async def test_new_release_is_taken_under_load_unless_it_migrates_the_database(
    tmp_path: Path, default_model: Path, tiny_model: Path, beside: bool
) -> None:
    """As after `pip install --upgrade`: the code on the disk is another one.

    What the context of the tiny model takes is not known, as its file says it too late.
    """
    package = tmp_path / "installed/antiphon"
    shutil.copytree(Path(antiphon.__file__).parent, package)
    data = tmp_path / "data"
    data.mkdir()
    llama(data, context=2048, slots=4, threads=1)
    told = {**environ(), **TELLS, "PYTHONPATH": str(package.parent)}
    flags = ("--processes", "2", "--model", str(default_model if beside else tiny_model))
    with serving(data, *flags, environ=told, program=PROGRAM) as program:
        host = engine_host(program)
        async with under_load(program.url) as load:
            rewrite(package / "__init__.py", f'"{antiphon.__version__}"', '"9.9.9"')
            await reloaded(program, load)
            await eventually(lambda: not psutil.pid_exists(host), 60)
            assert (load.broken, load.refused) == ([], [])
            (said,) = logged(program, "engine host is replaced")
            assert (said["changed"], said["beside"]) == ("release", beside)

            before = api_processes(program)
            newest = package / "store/database/migrations/__init__.py"
            rewrite(newest, f'NEWEST = "{NEWEST}"', 'NEWEST = "9999"')
            program.process.send_signal(signal.SIGHUP)
            await eventually(lambda: bool(logged(program, "restart given up")), 60)
            (given_up,) = logged(program, "restart given up")
            assert "restart the whole server" in str(given_up["reason"])
            assert api_processes(program) == before
        assert (load.broken, load.refused) == ([], [])
        assert program.stop() == 0


def rewrite(path: Path, old: str, new: str) -> None:
    """Replace a text of a file of the package."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


async def stream(program: Program, tokens: int) -> AsyncGenerator[str]:
    """Yield the types of the events of an answer, and the type of the error that ends it."""
    body = {**HELLO, "max_tokens": tokens, "stream": True}
    async with (
        httpx2.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{program.url}/v1/messages", json=body, headers=HEADERS) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                yield event["error"]["type"] if event["type"] == "error" else event["type"]


async def events_of(program: Program, tokens: int, begun: asyncio.Event) -> list[str]:
    found = []
    async with aclosing(stream(program, tokens)) as events:
        async for one in events:
            found.append(one)
            if one == "content_block_delta":
                begun.set()
    return found


async def test_long_streams_outlive_reloads_and_a_stop_ends_them_after_the_grace_time(
    tmp_path: Path,
) -> None:
    """Reloads give a running answer an hour, a stop only `shutdown_grace_s`, here a second."""
    configure(tmp_path, "word " * 400, speed=20)
    told = {**environ(shutdown_grace_s="1"), **TELLS}
    with serving(tmp_path, "--processes", "2", environ=told) as program:
        begun = [asyncio.Event() for _ in range(6)]
        streams = [asyncio.create_task(events_of(program, 400, one)) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))
        async with under_load(program.url) as load:
            await reloaded(program, load, until_gone=False)
            await reloaded(program, load, until_gone=False)
        assert (load.broken, load.refused) == ([], [])
        # They take 20 s, and both restarts are over before.
        assert not any(one.done() for one in streams)
        whole = await asyncio.gather(*streams)
        assert {events[-1] for events in whole} == {"message_stop"}
        assert {events.count("content_block_delta") for events in whole} == {400}
        await eventually(lambda: len(descendants(program)) <= 3, 60)

        begun = [asyncio.Event() for _ in range(4)]
        streams = [asyncio.create_task(events_of(program, 400, one)) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        cut = await asyncio.gather(*streams)
        assert time.monotonic() - began < 10
        assert {events[-1] for events in cut} == {"overloaded_error"}
        assert program.wait() == 0
