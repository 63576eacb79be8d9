"""A model that takes over from another one while requests run, over HTTP."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from antiphon.engines.base import Engine, EngineConfig, EngineStartError
from antiphon.engines.registry import open_engine
from antiphon.server.app import ORGANIZATIONS_PATH, build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.service.succession import Successor
from antiphon.settings import ModelSettings, Settings
from antiphon.weights.progress import Progress
from antiphon.weights.source import PullError
from support.asgi import HELLO, KEY, Client

pytestmark = pytest.mark.anyio

ADMIN = "an-admin-key-of-the-tests"
LONG = "old " * 500
OLD = ModelSettings(
    id="toy",
    engine="scripted",
    aliases=("claude-*",),
    limit_group="auto",
    options={
        "text": "old and slow",
        "context_tokens": 1000,
        "replies": [{"when": "long", "text": LONG}],
        "tokens_per_second": 200,
    },
)
NEW = ModelSettings(
    id="large",
    engine="scripted",
    limit_group="auto",
    options={"text": "new", "context_tokens": 50_000},
)
FILES = (Path("large.gguf"),)


class Hub:
    """A place to fetch from, which is done when a test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_end = threading.Event()
        self.error: PullError | None = None
        self.stopped = threading.Event()

    def fetch(self, progress: Progress) -> ModelSource:
        self.asked += 1
        progress.started(2000, 500)
        try:
            while not self.may_end.wait(0.01):
                progress.advanced(1)
        except OSError:
            self.stopped.set()
            raise
        progress.advanced(1000)
        if self.error is not None:
            raise self.error
        return ModelSource(NEW, FILES)


class Engines:
    """Opens scripted engines, and remembers them."""

    def __init__(self) -> None:
        self.opened: dict[str, Engine] = {}
        self.broken: set[str] = set()

    async def open(self, name: str, config: EngineConfig) -> Engine:
        if config.model in self.broken:
            raise EngineStartError(f"/models/{config.model}.gguf cannot be loaded")
        engine = await open_engine(name, EngineConfig(config.model, options=config.options))
        self.opened[config.model] = engine
        return engine


Start: TypeAlias = Callable[..., Awaitable[tuple[Platform, Client]]]


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
async def start(
    tmp_path: Path, hub: Hub, engines: Engines, told: list[str]
) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(*, files: bool = False, **settings: Any) -> tuple[Platform, Client]:
            source = ModelSource(NEW, FILES if files else ())
            flags = {"data_dir": tmp_path, "api_key": KEY, "admin_key": ADMIN, **settings}
            building = build_platform(
                Settings.load(flags, environ={}),
                [ModelSource(OLD)],
                open_engine=engines.open,
                successor=Successor(source, OLD.id, hub.fetch, told.append),
            )
            platform = await stack.enter_async_context(building)
            await platform.open_models()
            return platform, Client(build_app(platform))

        yield started
        hub.may_end.set()


async def until(platform: Platform, stage: str) -> None:
    with anyio.fail_after(20):
        while platform.succession.state.stage != stage:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def ask(client: Client, text: str = "Hi", model: str = "claude-x") -> Any:
    body = {**HELLO, "model": model, "messages": [{"role": "user", "content": text}]}
    return await client.post("/v1/messages", body)


async def states(client: Client) -> dict[str, Any]:
    found = await client.get(f"{ORGANIZATIONS_PATH}/models", x_api_key=ADMIN)
    return {one["id"]: one for one in found.json["data"]}


async def listed(client: Client) -> list[str]:
    return [one["id"] for one in (await client.get("/v1/models")).json["data"]]


async def count(client: Client, text: str) -> int:
    body = {"model": "claude-x", "messages": [{"role": "user", "content": text}]}
    return int((await client.post("/v1/messages/count_tokens", body)).json["input_tokens"])


async def test_old_model_answers_until_the_new_one_is_loaded(
    start: Start, hub: Hub, told: list[str]
) -> None:
    platform, client = await start()
    answer = await ask(client)
    assert answer.json["content"][0]["text"] == "old and slow"
    assert answer.headers["x-antiphon-model"] == "toy"
    assert await listed(client) == ["toy"]
    ready = (await client.get("/ready")).json
    assert (ready["status"], ready["models"]) == ("ready", {"toy": "ready"})
    assert (await ask(client, model="large")).error[:2] == (404, "not_found_error")

    hub.may_end.set()
    await until(platform, "done")
    answer = await ask(client)
    assert answer.json["content"][0]["text"] == "new"
    assert answer.json["model"] == "claude-x"
    assert answer.headers["x-antiphon-model"] == "large"
    assert await listed(client) == ["large"]
    assert (await client.get("/ready")).json["models"] == {"large": "ready"}
    shown = (await client.get("/v1/models/claude-sonnet-4-5")).json
    assert (shown["id"], shown["max_input_tokens"]) == ("large", 50_000)
    # Who has learned the name of the old one goes on with the new one.
    for name in ("large", "toy"):
        assert (await ask(client, model=name)).json["content"][0]["text"] == "new"
    assert told == ["large answers now, with 50,000 tokens of context."]
    assert hub.asked == 1


async def test_running_requests_end_on_the_old_model_and_it_is_closed_then(
    start: Start, hub: Hub
) -> None:
    platform, client = await start()
    body = {
        **HELLO,
        "stream": True,
        "max_tokens": 900,
        "messages": [{"role": "user", "content": "long"}],
    }
    running = client.start("POST", "/v1/messages", body)
    await running.until(b"old")
    hub.may_end.set()
    await until(platform, "done")
    assert (await ask(client)).json["content"][0]["text"] == "new"
    assert _is_open(platform, "toy")
    assert not running.answer.whole
    assert platform.models.has_requests("toy")
    await running.task
    events = running.answer.events
    text = "".join(one["delta"]["text"] for one in events if one["type"] == "content_block_delta")
    assert text == LONG
    assert events[-1]["type"] == "message_stop"
    with anyio.fail_after(20):
        while _is_open(platform, "toy"):  # noqa: ASYNC110
            await anyio.sleep(0.01)
    assert platform.models.find("large").ready


def _is_open(platform: Platform, model: str) -> bool:
    return next(one for one in platform.models.known if one.id == model).is_open


async def test_usage_and_prompt_cache_are_those_of_the_model_that_answers(
    start: Start, hub: Hub
) -> None:
    platform, client = await start()
    marked = {
        "type": "text",
        "text": "word " * 600,
        "cache_control": {"type": "ephemeral"},
    }

    async def usage() -> tuple[int, int]:
        body = {**HELLO, "messages": [{"role": "user", "content": [marked]}]}
        found = (await client.post("/v1/messages", body)).json["usage"]
        return found["cache_creation_input_tokens"], found["cache_read_input_tokens"]

    written, read = await usage()
    assert written > 512
    assert read == 0
    assert await usage() == (0, written)
    hub.may_end.set()
    await until(platform, "done")
    # The new model has read nothing yet.
    assert await usage() == (written, 0)
    assert await usage() == (0, written)
    entries = {one["id"]: one for one in (await _cache_state(client))["models"]}
    assert list(entries) == ["large"]
    used = (await ask(client, "one two three")).json["usage"]["input_tokens"]
    assert await count(client, "one two three") == used


async def _cache_state(client: Client) -> Any:
    path = f"{ORGANIZATIONS_PATH}/prompt_cache"
    return (await client.get(path, x_api_key=ADMIN)).json


async def test_model_on_its_way_is_told_with_what_is_fetched(start: Start, hub: Hub) -> None:
    platform, client = await start()
    with anyio.fail_after(20):
        while not platform.succession.state.fetched:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    found = await states(client)
    assert list(found) == ["toy", "large"]
    assert "takes_over" not in found["toy"]
    new = found["large"]
    assert (new["status"], new["context_tokens"], new["engines"]) == ("fetching", None, [])
    over = new["takes_over"]
    assert 500 <= over["fetched_bytes"] <= 2000
    assert (over["of"], over["total_bytes"], over["reason"]) == ("toy", 2000, None)
    hub.may_end.set()
    await until(platform, "done")
    found = await states(client)
    assert [(one["id"], one["status"]) for one in found.values()] == [("large", "ready")]


async def test_fetch_that_fails_leaves_the_old_model_and_says_why(
    start: Start, hub: Hub, told: list[str]
) -> None:
    hub.error = PullError("the disk has 12 MB free, 98 MB are needed")
    hub.may_end.set()
    platform, client = await start()
    await until(platform, "failed")
    assert (await ask(client)).json["content"][0]["text"] == "old and slow"
    new = (await states(client))["large"]
    assert new["status"] == "failed"
    assert new["takes_over"]["reason"] == "the disk has 12 MB free, 98 MB are needed"
    assert told == [
        "large cannot take over, so toy goes on: the disk has 12 MB free, 98 MB are needed"
    ]
    assert (await client.get("/ready")).status == 200


async def test_model_that_cannot_be_loaded_leaves_the_old_one_and_says_why(
    start: Start, hub: Hub, engines: Engines, told: list[str]
) -> None:
    engines.broken.add("large")
    hub.may_end.set()
    platform, client = await start()
    await until(platform, "failed")
    assert (await ask(client)).json["content"][0]["text"] == "old and slow"
    assert told == ["large cannot take over, so toy goes on: /models/large.gguf cannot be loaded"]


async def test_model_whose_files_are_here_serves_from_the_start(
    start: Start, hub: Hub, engines: Engines
) -> None:
    _, client = await start(files=True)
    assert (await ask(client)).json["content"][0]["text"] == "new"
    assert await listed(client) == ["large"]
    assert list(engines.opened) == ["large"]
    assert hub.asked == 0


async def test_model_whose_files_are_broken_leaves_the_old_one_at_the_next_start(
    start: Start, hub: Hub, engines: Engines, told: list[str]
) -> None:
    engines.broken.add("large")
    _, client = await start(files=True)
    assert (await ask(client)).json["content"][0]["text"] == "old and slow"
    assert (await client.get("/ready")).status == 200
    assert told[0].startswith("large cannot take over, so toy goes on: ")
    assert hub.asked == 0


async def test_stop_of_the_server_ends_a_fetch(hub: Hub, tmp_path: Path) -> None:
    source = ModelSource(NEW)
    flags = {"data_dir": tmp_path, "api_key": KEY}
    async with build_platform(
        Settings.load(flags, environ={}),
        [ModelSource(OLD)],
        successor=Successor(source, OLD.id, hub.fetch, lambda _: None),
    ) as platform:
        await platform.open_models()
        with anyio.fail_after(20):
            while not hub.asked:  # noqa: ASYNC110
                await anyio.sleep(0.01)
    assert await anyio.to_thread.run_sync(hub.stopped.wait, 20)


async def test_limits_hold_over_the_change(start: Start, hub: Hub) -> None:
    platform, client = await start(limits={"requests_per_minute": 3})
    for _ in range(2):
        assert (await ask(client)).status == 200
    hub.may_end.set()
    await until(platform, "done")
    assert (await ask(client)).json["content"][0]["text"] == "new"
    assert (await ask(client)).error[:2] == (429, "rate_limit_error")
