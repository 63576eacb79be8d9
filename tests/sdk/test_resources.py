"""The calls of the Admin API, of batches and of files, against a running server."""

import asyncio
import inspect
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import antiphon
from antiphon.sdk import files
from antiphon.sdk.batches import operations
from antiphon.sdk.batches import types as batch_types
from antiphon.sdk.call import Call
from antiphon.sdk.cost import price
from antiphon.sdk.limiter import Limiter
from antiphon.sdk.organization import keys, people, reports
from antiphon.sdk.organization import types as admin_types
from antiphon.sdk.pages import PageCall
from antiphon.sdk.types.base import Answered
from antiphon.transport import Connections
from antiphon.transport.base import ConnectionLost, HttpRequest
from antiphon.wire import batches as wire_batches
from antiphon.wire import files as wire_files
from antiphon.wire.admin import increases, limits, organizations, requests
from antiphon.wire.admin import keys as wire_keys
from support.organization import ADMIN
from support.processes import KEY, serving
from support.servers import configure, environ

MODULES: tuple[ModuleType, ...] = (keys, people, reports, operations, files)
ASKED = {
    "model": "claude-x",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}
PARTS = ("/v1/organizations/", "/v1/messages/batches", "/v1/files")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("resources")
    configure(folder, "one two three")
    with serving(folder, environ=environ()) as program:
        yield program.url


@pytest.fixture
def client(url: str) -> Iterator[antiphon.Client]:
    with antiphon.Client(base_url=url, api_key=KEY, admin_key=ADMIN) as client:
        yield client


def operations_of(module: ModuleType) -> Iterator[Any]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if (
            function.__module__ == module.__name__
            and "options" in inspect.signature(function).parameters
            and not name.startswith("create_encoded")
        ):
            yield function


def called(function: Any) -> tuple[Call[Any], set[str]]:
    """Call an operation with all of its parameters; return it and their names."""
    positional, named = [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind.name == "VAR_KEYWORD":
            continue
        value: Any = "PLACE"
        if name == "file":
            value = b"PLACE"
        elif name in {"limits", "requests"}:
            value = [{"params": {}}]
        if parameter.kind.name == "POSITIONAL_OR_KEYWORD":
            positional.append(value)
        else:
            named[name] = value
    made = function(*positional, **named)
    return (made.call if isinstance(made, PageCall) else made), set(named)


def described(client: antiphon.Client) -> dict[tuple[str, str], set[str]]:
    """Return the parameters of the queries of each route, as the server describes them."""
    found = {}
    document = client.get("/openapi.json", cast_to=dict[str, Any])
    shared = document["components"].get("parameters", {})
    for path, methods in document["paths"].items():
        steps = ["PLACE" if step.startswith("{") else step for step in path.split("/")]
        for method, operation in methods.items():
            if path.startswith(PARTS) and method in {"get", "post", "delete"}:
                names = set()
                for parameter in operation.get("parameters", []):
                    reference = parameter.get("$ref", "").rpartition("/")[2]
                    one = shared[reference] if reference else parameter
                    if one["in"] == "query":
                        names.add(one["name"].removesuffix("[]"))
                found[method.upper(), "/".join(steps)] = names
    return found


def test_every_route_has_an_operation_and_every_parameter_is_known(
    client: antiphon.Client,
) -> None:
    routes = described(client)
    seen = set()
    for module in MODULES:
        for function in operations_of(module):
            call, _ = called(function)
            seen.add((call.method, call.path))
            names = {name.removesuffix("[]") for name, _ in call.query}
            assert names <= routes[call.method, call.path], function.__name__
    assert set(routes) == seen


PAIRS: list[tuple[type[Answered], type[msgspec.Struct]]] = [
    (admin_types.Organization, organizations.OrganizationInfo),
    (admin_types.User, organizations.UserInfo),
    (admin_types.UserName, organizations.UserName),
    (admin_types.SignedOut, organizations.UserSignedOut),
    (admin_types.Invite, organizations.InviteInfo),
    (admin_types.Workspace, organizations.WorkspaceInfo),
    (admin_types.Member, organizations.MemberInfo),
    (admin_types.MemberRemoved, organizations.MemberDeleted),
    (admin_types.Removed, organizations.Deleted),
    (admin_types.AuditEntry, organizations.AuditInfo),
    (admin_types.APIKey, wire_keys.KeyInfo),
    (admin_types.RateLimit, limits.RateLimitInfo),
    (admin_types.RateLimit, limits.WorkspaceRateLimitInfo),
    (admin_types.RateLimit, limits.KeyRateLimitInfo),
    (admin_types.LimitValue, limits.NarrowerLimitValue),
    (admin_types.RateLimitLevel, limits.RateLevelInfo),
    (admin_types.SpendLimit, limits.SpendLimitInfo),
    (admin_types.EffectiveSpendLimit, limits.SpendSummary),
    (admin_types.Balance, limits.BalanceInfo),
    (admin_types.IncreaseRequest, increases.IncreaseInfo),
    (admin_types.LoggedRequest, requests.RequestInfo),
    (admin_types.ActivityReport, requests.ActivityReport),
    (batch_types.MessageBatch, wire_batches.MessageBatch),
    (batch_types.RequestCounts, wire_batches.RequestCounts),
    (batch_types.DeletedMessageBatch, wire_batches.DeletedBatch),
    (files.FileMetadata, wire_files.FileMetadata),
    (files.DeletedFile, wire_files.DeletedFile),
]


@pytest.mark.parametrize(("ours", "wire"), PAIRS)
def test_each_field_of_an_answer_is_known(ours: type[Answered], wire: type[msgspec.Struct]) -> None:
    assert set(wire.__struct_fields__) <= set(ours.__struct_fields__)


def test_a_batch_from_its_creation_to_its_end(client: antiphon.Client) -> None:
    batches = client.messages.batches
    requests = [{"custom_id": f"r{at}", "params": ASKED} for at in range(3)]
    requests.append({"custom_id": "wrong", "params": {**ASKED, "max_tokens": 0}})
    batch = batches.create(requests=requests, idempotency_key="one")
    assert batches.create(requests=requests, idempotency_key="one").id == batch.id
    told: list[antiphon.types.MessageBatch] = []
    ended = batches.wait(batch.id, first_pause=0.05, longest_pause=0.2, progress=told.append)
    assert ended.request_counts.succeeded == 3
    assert told[-1] == ended
    assert batch.id in [one.id for one in batches.list(limit=1)]
    with batches.results(batch.id) as rows:
        found = {row.custom_id: row.result for row in rows}
    assert sorted(found) == ["r0", "r1", "r2", "wrong"]
    answer, wrong = found["r0"], found["wrong"]
    assert answer.type == "succeeded"
    assert answer.message.text == "one two three"
    assert wrong.type == "errored"
    assert isinstance(wrong.exception(), antiphon.BadRequestError)
    own = {answer.message.model: price(input="3", output="15")}
    cost = client.cost(answer.message, own)
    usage = answer.message.usage
    assert cost.total == (usage.input_tokens * 3000 + usage.output_tokens * 15_000) // 2
    assert batches.delete(batch.id).id == batch.id
    with pytest.raises(antiphon.NotFoundError):
        batches.results(batch.id)


def test_a_cancelled_batch_ends(client: antiphon.Client) -> None:
    batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": ASKED}] * 1)
    try:
        assert client.messages.batches.cancel(batch.id).processing_status != "in_progress"
    except antiphon.BadRequestError:
        assert client.messages.batches.retrieve(batch.id).has_ended


def test_results_that_are_closed_early_leave_the_client_well(client: antiphon.Client) -> None:
    rows = client.messages.batches.map(lambda _: ASKED, range(40), first_pause=0.05)
    assert next(rows).ok
    rows.close()
    assert list(rows) == []
    assert client.models.list().data


def test_the_async_client_does_the_same(url: str) -> None:
    async def run() -> None:
        async with antiphon.AsyncClient(base_url=url, api_key=KEY) as client:
            batches = client.messages.batches

            async def rows() -> Any:
                for number in range(5):
                    yield number

            results = [one async for one in batches.map(lambda _: ASKED, rows(), first_pause=0.05)]
            assert [one.message.text for one in results] == ["one two three"] * 5
            batch = (await batches.list(limit=1)).data[0]
            assert (await batches.wait(batch.id)).has_ended
            assert len([row async for row in batches.results(batch.id)]) == 5
            async with await batches.results(batch.id) as found:
                assert (await anext(found)).result.type == "succeeded"
            file = await client.files.upload(file=("a.txt", b"content"))
            assert (await client.files.delete(file.id)).id == file.id

    asyncio.run(run())


def test_an_interrupted_task_cancels_its_batch(url: str) -> None:
    async def run() -> None:
        async with antiphon.AsyncClient(base_url=url, api_key=KEY) as client:
            batches = client.messages.batches
            # As many as are not answered before the first question.
            requests = [{"custom_id": f"r{at}", "params": ASKED} for at in range(500)]
            batch = await batches.create(requests=requests)
            waiting = asyncio.Event()
            task = asyncio.create_task(
                batches.wait(
                    batch.id,
                    cancel_on_interrupt=True,
                    first_pause=5,
                    progress=lambda _: waiting.set(),
                )
            )
            await waiting.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            after = await batches.retrieve(batch.id)
            assert after.cancel_initiated_at is not None or after.has_ended

    asyncio.run(run())


def test_files_go_up_and_their_facts_come_back(client: antiphon.Client, tmp_path: Path) -> None:
    path = tmp_path / 'a "name".txt'
    path.write_bytes(b"line\r\n--not-a-boundary\r\n")
    file = client.files.upload(file=path, expires_in_seconds=7200)
    assert (file.mime_type, file.size_bytes) == ("text/plain", path.stat().st_size)
    with path.open("rb") as opened:
        other = client.files.upload(file=("b.bin", opened, "application/pdf"))
    assert other.filename == "b.bin"
    assert client.files.retrieve_metadata(file.id) == file
    assert {one.id for one in client.files.list(limit=1)} >= {file.id, other.id}
    with pytest.raises(antiphon.BadRequestError, match="download"):
        client.files.download_to(file.id, tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))
    for one in (file, other):
        assert client.files.delete(one.id).type == "file_deleted"


def test_keys_are_made_rotated_and_archived(client: antiphon.Client, url: str) -> None:
    api_keys = client.organization.api_keys
    key = api_keys.create(name="of the test", expires_in_seconds=3600)
    assert key.secret
    assert key.secret not in repr(key)
    with antiphon.Client(base_url=url, api_key=key.secret, max_retries=0) as own:
        own.models.list()
        rotated = api_keys.rotate(key.id, grace_period_seconds=0)
        assert rotated.secret != key.secret
        with pytest.raises(antiphon.AuthenticationError):
            own.models.list()
    assert api_keys.update(key.id, name="other").name == "other"
    assert key.id in [one.id for one in api_keys.list(status="active")]
    assert api_keys.archive(key.id).status == "archived"


class Losing(Connections):
    """Connections that lose the first answer to each `POST`, when the server has done its work."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def open(self, request: HttpRequest, **bounds: Any) -> Any:
        answer = super().open(request, **bounds)
        if request.method == "POST" and request.url not in self.lost:
            self.lost.add(request.url)
            answer.read(None)
            raise ConnectionLost("the answer was lost")
        return answer


def test_call_whose_answer_was_lost_has_one_effect(url: str) -> None:
    with Losing() as transport:
        client = antiphon.Client(
            base_url=url, api_key=KEY, admin_key=ADMIN, transport=transport, sleep=lambda _: None
        )
        api_keys, batches = client.organization.api_keys, client.messages.batches
        key = api_keys.create(name="made once")
        assert [one.id for one in api_keys.list() if one.name == "made once"] == [key.id]
        rotated = api_keys.rotate(key.id, grace_period_seconds=0)
        with antiphon.Client(base_url=url, api_key=rotated.secret, max_retries=0) as own:
            own.models.list()
        before = len(list(batches.list()))
        batches.create(requests=[{"custom_id": "a", "params": ASKED}])
        assert len(list(batches.list())) == before + 1
        assert len(transport.lost) == 3


@pytest.mark.parametrize("odd", ["../../me", "a/b", "%2e%2e", "\u00fc\n\0", "?x=1#", " "])
def test_id_of_any_signs_names_nothing_else(client: antiphon.Client, odd: str) -> None:
    organization = client.organization
    for call in (
        organization.users.retrieve,
        organization.api_keys.rotate,
        organization.workspaces.archive,
        organization.invites.delete,
        client.files.delete,
        client.messages.batches.cancel,
        client.models.retrieve,
    ):
        with pytest.raises(antiphon.NotFoundError):
            call(odd)


def test_people_and_workspaces_are_managed(client: antiphon.Client) -> None:
    organization = client.organization
    invite = organization.invites.create(email="ada@example.org", role="developer")
    user = organization.invites.accept(invite.id, name="Ada")
    workspace = organization.workspaces.create(name="First", tags={"team": "a"})
    member = organization.workspaces.members.add(
        workspace.id, user_id=user.id, workspace_role="workspace_user"
    )
    assert list(organization.workspaces.members.list(workspace.id)) == [member]
    organization.workspaces.members.remove(user.id, workspace_id=workspace.id)
    changed = organization.workspaces.update(workspace.id, tags={"team": None, "b": "c"})
    assert changed.tags == {"b": "c"}
    assert organization.workspaces.archive(workspace.id).archived_at
    assert organization.users.remove(user.id).type == "user_deleted"
    assert [entry.action for entry in organization.audit_log(limit=2)]


def test_limits_are_set_and_spending_is_shown(client: antiphon.Client) -> None:
    organization = client.organization
    limit = organization.spend_limits.create(
        scope={"type": "organization"}, amount="100000", period="daily"
    )
    assert organization.spend_limits.update(limit.id, amount="200000").amount == "200000"
    assert [one.id for one in organization.spend_limits.list()] == [limit.id]
    assert [one.period for one in organization.spend_limits.balances()]
    organization.spend_limits.delete(limit.id)
    listed = next(one for one in organization.rate_limits.list() if one.models)
    assert listed.id is not None
    values = [{"type": "requests_per_minute", "value": 50_000}]
    changed = organization.rate_limits.update(listed.id, limits=values)
    assert "requests_per_minute" in [one.type for one in changed.limits]


def test_reports_are_flat_rows(client: antiphon.Client) -> None:
    message = client.messages.create(model="claude-x", max_tokens=9, messages=ASKED["messages"])
    ago = datetime.now(UTC) - timedelta(hours=1)
    since = ago.isoformat()
    organization = client.organization
    assert message.request_id is not None
    deadline = time.monotonic() + 30
    while True:
        try:
            # Entries reach the database a little later.
            assert organization.requests.retrieve(message.request_id).model == "claude-x"
            break
        except antiphon.NotFoundError:
            assert time.monotonic() < deadline
    assert organization.settings().to_dict()
    rows = [
        row
        for bucket in organization.usage_report(
            starting_at=since, bucket_width="1h", group_by=["model"]
        )
        for row in bucket.rows()
    ]
    assert {"starting_at", "output_tokens", "cache_creation.ephemeral_5m_input_tokens"} <= set(
        rows[0]
    )
    day = since[:10]
    costs = organization.cost_report(starting_at=f"{day}T00:00:00Z", group_by=["description"])
    assert all(bucket.rows() is not None for bucket in costs)
    elsewhere = ago.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert organization.activity(starting_at=elsewhere, bucket_width="1h").total
    weeks = organization.cost_report(starting_at=elsewhere - timedelta(days=60))
    assert len({bucket.starting_at for bucket in weeks}) in {61, 62}
    with pytest.raises(antiphon.BadRequestError, match="timezone"):
        organization.activity(starting_at=ago.replace(tzinfo=None))
    assert organization.retrieve().name
    assert organization.requests.list(limit=1).data is not None


def test_the_limiter_keeps_tasks_under_the_limits_of_a_server(
    client: antiphon.Client, url: str
) -> None:
    listed = next(one for one in client.organization.rate_limits.list() if one.models)
    assert listed.id is not None
    values = [{"type": "requests_per_minute", "value": 120}]
    client.organization.rate_limits.update(listed.id, limits=values)
    statuses: list[int] = []

    class Seen:
        def before(self, _: Any, attempt: int) -> float:
            return 0.0 * attempt

        def after(self, _: Any, _attempt: int, outcome: Any) -> None:
            statuses.append(outcome.status)

    async def run() -> None:
        observers = [Limiter(), Seen()]
        async with antiphon.AsyncClient(base_url=url, api_key=KEY, observers=observers) as own:
            calls = [
                own.messages.create(model="claude-x", max_tokens=1, messages=ASKED["messages"])
                for _ in range(126)
            ]
            await asyncio.gather(*calls)

    asyncio.run(run())
    assert statuses == [200] * 126


PAGES = Path(__file__).parents[2] / "docs" / "sdk"
EXAMPLES = {
    f"{page} {number}": code
    for page in ("batches.md", "limits-and-cost.md")
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    )
}


@pytest.fixture
def example_folder(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settings = {"BASE_URL": url, "API_KEY": KEY, "ADMIN_KEY": ADMIN}
    for name, value in settings.items():
        monkeypatch.setenv(f"ANTIPHON_{name}", value)
    tmp_path.joinpath("report.pdf").write_bytes(b"%PDF-1.7")
    return tmp_path


@pytest.mark.usefixtures("example_folder")
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_pages_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, names = EXAMPLES[name], {"__name__": "example"}
    exec(compile(code, name, "exec"), names)  # noqa: S102 - our own page
    if isinstance(client := names.get("client"), antiphon.Client):
        client.close()
    assert ("print" in code) == bool(capsys.readouterr().out)
