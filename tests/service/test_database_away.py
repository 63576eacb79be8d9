"""A database that cannot be used: every endpoint answers 529, and recovers by itself."""

import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import asyncpg
import pytest

from antiphon.core.billing.ledger import Closing, Opening, entry_of
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.server.app import build_app
from antiphon.service.accounts import Accounts, establish
from antiphon.service.database_watch import LOOK_EVERY_S
from antiphon.service.ledger import saving_to
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import ModelSettings, Settings
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.store.database.migrations import migrate
from support.asgi import KEY, Answer, Client
from support.logs import capture_logs
from support.network import Network
from support.organization import ADMIN, ORGANIZATIONS_PATH

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEYS = f"{ORGANIZATIONS_PATH}/api_keys"
FROM_THE_CONSOLE = {
    "x_antiphon_console": "1",
    "sec_fetch_site": "same-origin",
    "x_api_key": None,
}
SIGN_IN = {"email": "ada@example.org", "password": "correct horse"}
# Whoever asks the Console here has no session and no password.
ANSWERED = {200, 401}
COUNT = {"model": "claude-x", "messages": [{"role": "user", "content": "Hi"}]}


StartClient: TypeAlias = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartClient]:
    """Start servers that wait shortly for the database, and look at its file at each request."""
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> Client:
            flags = {"data_dir": tmp_path, "api_key": KEY, "admin_key": ADMIN, **settings}
            model = ModelSettings(id="scripted", engine="scripted", aliases=("claude-*",))
            seconds = count()
            building = build_platform(
                Settings.load(flags, environ={}),
                [ModelSource(model)],
                open_database=partial(
                    open_database, patience_s=0.5, clock=lambda: float(next(seconds))
                ),
            )
            platform = await stack.enter_async_context(building)
            await platform.models.open()
            return Client(build_app(platform))

        yield started


@pytest.fixture
async def network(postgres_url: str) -> AsyncIterator[Network]:
    network = Network(postgres_url)
    await network.mend()
    yield network
    await network.cut()


async def every_endpoint(client: Client) -> list[Answer]:
    """Send a request of each kind at once."""
    answers: list[Answer] = []

    async def send(asking: Awaitable[Answer]) -> None:
        answers.append(await asking)

    async with anyio.create_task_group() as tasks:
        for asking in (
            client.create(),
            client.create(stream=True),
            client.post("/v1/messages/count_tokens", COUNT),
            client.get("/v1/models"),
            client.get(KEYS, x_api_key=ADMIN),
            client.post(KEYS, {"name": "new"}, x_api_key=ADMIN),
            client.get(f"{ORGANIZATIONS_PATH}/balances", x_api_key=ADMIN),
            client.get("/v1/console"),
            client.get("/v1/console/session", cookie="antiphon_session=x", **FROM_THE_CONSOLE),
            client.get(f"{KEYS}", cookie="antiphon_session=x", **FROM_THE_CONSOLE),
            client.post("/v1/console/session", SIGN_IN, **FROM_THE_CONSOLE),
            client.post("/v1/console/session/link", {"token": "x"}, **FROM_THE_CONSOLE),
        ):
            tasks.start_soon(send, asking)
    return answers


async def until_ready(client: Client, status: int) -> Any:
    with anyio.fail_after(30):
        while (answer := await client.get("/ready")).status != status:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    return answer.json


def assert_all_say_overloaded(answers: list[Answer], logged: list[Any]) -> None:
    assert {answer.error[:2] for answer in answers} == {(529, "overloaded_error")}
    for answer in answers:
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["x-should-retry"] == "true"
        assert "127.0.0.1" not in answer.error[2]
    assert not [line for line in logged if line.get("exc_info")]
    assert "hunter2" not in repr(logged)


@pytest.mark.parametrize("way", ["cut", "silence"])
async def test_every_endpoint_says_overloaded_while_postgresql_is_away_and_then_recovers(
    start: StartClient, network: Network, way: str
) -> None:
    client = await start(database_url=network.url)
    assert (await client.create()).status == 200
    with capture_logs() as logged:
        await network.cut() if way == "cut" else network.silence()
        state = await until_ready(client, 503)
        assert_all_say_overloaded(await every_endpoint(client), logged)
        assert (await client.get("/health")).status == 200
    place = f"127.0.0.1:{network.port}"
    assert f"The database at {place} cannot be reached" in state["reason"]
    assert "hunter2" not in state["reason"]
    await network.mend()
    await until_ready(client, 200)
    assert {answer.status for answer in await every_endpoint(client)} == ANSWERED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("/test_", "/nowhere_"), 'database "nowhere_[0-9]+" does not exist'),
        (("postgres:hunter2", "nobody:hunter2"), 'role "nobody" does not exist'),
    ],
)
async def test_refused_connection_to_postgresql_is_one_sentence_without_the_password(
    network: Network, change: tuple[str, str], reason: str
) -> None:
    database = await open_database(network.url.replace(*change))
    with pytest.raises(DatabaseUnavailableError, match=reason) as failure:
        async with database.read():
            pass
    assert f"at 127.0.0.1:{network.port}" in str(failure.value)
    assert "hunter2" not in str(failure.value)
    await database.aclose()


async def test_administrators_write_on_a_locked_database_says_overloaded(
    start: StartClient, tmp_path: Path
) -> None:
    client = await start()
    holder = sqlite3.connect(tmp_path / "antiphon.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with capture_logs() as logged:
        refused = await client.post(KEYS, {"name": "new"}, x_api_key=ADMIN)
        assert_all_say_overloaded([refused], logged)
        # The journal keeps what was used, so requests go on.
        assert (await client.create()).status == 200
    holder.close()
    assert (await client.post(KEYS, {"name": "new"}, x_api_key=ADMIN)).status == 200


async def test_table_that_another_program_has_locked_says_overloaded_on_postgresql(
    start: StartClient, postgres_url: str
) -> None:
    client = await start(database_url=postgres_url)
    # The notices of what the start has changed arrive, and the accounts are read again.
    for _ in range(3):
        assert (await client.create()).status == 200
        await anyio.sleep(0.1)
    other = await asyncpg.connect(postgres_url)
    # As a restore, a migration of another tool or a `VACUUM FULL` does.
    transaction = other.transaction()
    await transaction.start()
    await other.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
    await other.execute("NOTIFY antiphon_accounts")
    with capture_logs() as logged, anyio.fail_after(10):
        refused = await client.post(KEYS, {"name": "new"}, x_api_key=ADMIN)
        assert_all_say_overloaded([refused], logged)
        # The journal keeps what was used, so requests go on.
        assert (await client.create()).status == 200
    await transaction.rollback()
    await other.close()
    assert (await client.post(KEYS, {"name": "new"}, x_api_key=ADMIN)).status == 200


async def test_database_that_falls_silent_in_a_transaction_is_given_up(postgres_url: str) -> None:
    # So patient that no lock times out: the server says nothing, as behind a cut cable.
    database = await open_database(postgres_url, patience_s=60)
    await migrate(database)
    await establish(database, os.urandom, lambda: NOON)
    accounts = Accounts(database, await database.watch(), limit_s=0.5)
    save = saving_to(database, limit_s=0.5)
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="m")
    closing = Closing(tokens=TokenCounts(), outcome=Outcome.COMPLETED, ended_at=NOON)
    entry = entry_of(opening, closing)
    other = await asyncpg.connect(postgres_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("LOCK TABLE api_keys, ledger IN ACCESS EXCLUSIVE MODE")
    with anyio.fail_after(30):
        for attempt in (accounts.current, partial(save, [entry])):
            with pytest.raises(DatabaseUnavailableError, match="does not answer in time"):
                await attempt()
    await transaction.rollback()
    await other.close()
    await save([entry])
    assert (await accounts.current()).organization.name == "Antiphon"
    await database.aclose()


@pytest.mark.parametrize("way", ["unlinked", "replaced", "replaced by nothing"])
async def test_server_whose_file_is_gone_admits_nothing_until_it_is_back(
    start: StartClient, tmp_path: Path, way: str
) -> None:
    client = await start()
    path, kept = tmp_path / "antiphon.db", tmp_path / "kept.db"
    path.rename(kept)
    if way == "replaced":
        path.write_bytes(kept.read_bytes())
    elif way == "replaced by nothing":
        path.touch()
    with capture_logs() as logged:
        state = await until_ready(client, 503)
        assert_all_say_overloaded(await every_endpoint(client), logged)
        await anyio.sleep(1.5 * LOOK_EVERY_S)
    assert str(path) in state["reason"]
    assert [line["event"] for line in logged].count("database lost") == 1
    kept.rename(path)
    await until_ready(client, 200)
    assert {answer.status for answer in await every_endpoint(client)} == ANSWERED


async def test_request_that_runs_while_the_file_is_removed_stays_in_the_journal(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    started = await platform(text="one two three four", tokens_per_second=20)
    client = Client(build_app(started))
    call = client.start("POST", "/v1/messages", {**COUNT, "max_tokens": 9, "stream": True})
    await call.until(b"one")
    (tmp_path / "antiphon.db").unlink()
    assert (await call.task).whole
    with pytest.raises(DatabaseUnavailableError, match="gone while it is used"):
        await started.ledger.flush()
    assert not started.ledger._journal.idle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_signal_looks_at_the_file_once_a_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "antiphon.db", Clock()
    database = await open_database(sqlite_url(path), clock=clock)
    await migrate(database)
    signal = await database.watch()
    path.unlink()
    signal.version()
    clock.now = 1.0
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError, match="gone while it is used"):
            signal.version()
    with pytest.raises(DatabaseUnavailableError, match="gone while it is used"):
        async with database.read():
            pass
    await database.aclose()


async def test_commit_to_a_removed_file_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    database = await open_database(sqlite_url(path))

    async def write() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE t (x)")
            path.unlink()

    with pytest.raises(DatabaseUnavailableError, match="gone while it is used"):
        await write()
    await database.aclose()
