"""A platform over the scripted engine, with an administrator and callers of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from sqlalchemy import select

from antiphon.core.billing.usage import TokenCounts
from antiphon.server.app import ORGANIZATIONS_PATH, build_app
from antiphon.service.platform import Platform
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import COUNTERS
from support.asgi import Client

ADMIN = "sk-antiphon-admin-key-of-the-tests"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GROUP = "/rate_limits/rl_scripted"
NOT_A_PAGE = (
    "page: not a page of this listing; it leads on with the parameters of the request that it came "
    "from"
)


class Clock:
    """A clock for the service and the counters; it moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def ms(self) -> int:
        return (self.now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


class Organization:
    """The organization of a platform, with an administrator and a caller."""

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self.platform = platform
        self.clock = clock
        self.app = build_app(platform)
        self.admin = Client(self.app, {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"})
        self.caller = Client(self.app)

    def caller_with(self, secret: str) -> Client:
        return Client(self.app, {"x-api-key": secret, "anthropic-version": "2023-06-01"})

    async def get(self, path: str, **headers: str) -> Any:
        answer = await self.admin.get(ORGANIZATIONS_PATH + path, **headers)
        assert answer.status == 200, answer.json
        return answer.json

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = {} if body is None else body
        answer = await self.admin.post(ORGANIZATIONS_PATH + path, content, **headers)
        assert answer.status == 200, answer.json
        return answer.json

    async def delete(self, path: str) -> Any:
        answer = await self.admin.start("DELETE", ORGANIZATIONS_PATH + path).task
        assert answer.status == 200, answer.json
        return answer.json

    async def refusal(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
        content = {} if body is None else body
        answer = await self.admin.start(method, ORGANIZATIONS_PATH + path, content).task
        status, _, message = answer.error
        return status, message

    async def refused_without_change(
        self, path: str, body: Any, method: str = "POST"
    ) -> tuple[int, str]:
        """Send a request that is refused; check that no list of the Admin API has changed."""
        before = await self._lists()
        answer = await self.refusal(path, body, method)
        assert await self._lists() == before
        return answer

    async def _lists(self) -> list[Any]:
        lists = ("users", "invites", "workspaces?include_archived=true", "api_keys", "audit_log")
        return [await self.get(f"/{one}") for one in lists]

    async def invite(self, email: str = "Ada@Example.org", role: str = "developer") -> Any:
        return await self.post("/invites", {"email": email, "role": role})

    async def add_user(self, name: str) -> Any:
        """Invite a person and accept the invite."""
        invite = await self.invite(f"{name}@example.org")
        return await self.post(f"/invites/{invite['id']}/accept", {"name": name})

    async def audit(self) -> list[Any]:
        """Return the audit entries of administrators, without those of the server itself."""
        found: list[Any] = (await self.get("/audit_log"))["data"]
        return [entry for entry in found if entry["actor"]["type"] != "server"]

    async def guest(self) -> tuple[Client, str, str]:
        """Make a workspace with a key: its caller, and the ids of both."""
        workspace = await self.post("/workspaces", {"name": "Research"})
        scope = {"type": "workspace", "workspace_id": workspace["id"]}
        key = await self.post("/api_keys", {"name": "guest", "scope": scope})
        return self.caller_with(key["secret"]), workspace["id"], key["id"]

    async def limit(self, path: str, **limits: int) -> None:
        """Set rate limits for the scripted model: at `/workspaces/…`, at `/api_keys/…`, or here."""
        body = {"limits": [{"type": name, "value": value} for name, value in limits.items()]}
        await self.post(path + GROUP, body)

    async def spend_limit_in_cents(self, scope: dict[str, str], amount: str, period: str) -> Any:
        """Set a spend limit, in cents."""
        return await self.post(
            "/spend_limits", {"scope": scope, "amount": amount, "period": period}
        )

    async def spend_limit(self, scope: dict[str, str], nano_dollars: int, **more: str) -> None:
        cents = f"{nano_dollars // 10**7}.{nano_dollars % 10**7:07}"
        await self.post("/spend_limits", {"scope": scope, "amount": cents, **more})

    async def entries(self) -> dict[str, "Recorded"]:
        """Return the ledger's entries of finished requests, by request id."""
        await self.platform.ledger.flush()
        async with self.platform.database.read() as connection:
            rows = (await connection.execute(select(ledger))).mappings().all()
        return {row["id"]: Recorded(dict(row)) for row in rows}


class Recorded:
    """An entry of the ledger."""

    def __init__(self, row: dict[str, Any]) -> None:
        counts = {name: row[f"{name}_tokens"] for name in COUNTERS}
        self.tokens = TokenCounts(**counts, thinking=row["thinking_tokens"])
        self.cost: int = row["cost"]
        self.outcome: str = row["outcome"]
        self.row = row


StartOrganization: TypeAlias = Callable[..., Awaitable[Organization]]
StartPlatform: TypeAlias = Callable[..., Awaitable[Platform]]


@pytest.fixture
def organization(platform: StartPlatform) -> StartOrganization:
    """Starts organizations; with `timed`, their clock is also the clock of the counters."""

    async def start(
        settings: dict[str, Any] | None = None, *, timed: bool = False, **options: Any
    ) -> Organization:
        clock = Clock()
        chosen = {"admin_key": ADMIN, **(settings or {})}
        ms = clock.ms if timed else None
        return Organization(await platform(chosen, now=clock, clock=ms, **options), clock)

    return start


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both_databases(
    request: pytest.FixtureRequest, organization: StartOrganization
) -> StartOrganization:
    """Starts an organization over either database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None

    async def start() -> Organization:
        return await organization({} if url is None else {"database_url": url})

    return start
