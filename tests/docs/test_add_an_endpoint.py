"""The worked example of `docs/how-to/add-an-endpoint.md` is code that runs."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.server.app import ADMIN, ORGANIZATIONS_PATH, routes
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.dispatch import Dispatcher
from antiphon.server.http.routing import Route, Router
from antiphon.service.platform import Platform
from support.asgi import Client
from support.organization import ADMIN as ADMIN_SECRET
from support.organization import NOON, Clock, Organization, StartOrganization

PAGE = Path(__file__).parents[2] / "docs/how-to/add-an-endpoint.md"


def blocks() -> list[str]:
    """Return the code of the page: the body, the handler, the row, the test."""
    found = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 4
    return found


def row_of(platform: Platform, names: dict[str, Any]) -> Route:
    """Evaluate the row of the page as a part of the table."""
    names["renames"] = names["RenameEndpoints"](platform.administration)
    row = eval(blocks()[2], {"Route": Route, "ADMIN": ADMIN, **names})  # noqa: S307 - our page
    assert isinstance(row, Route)
    return row.below(ORGANIZATIONS_PATH)


@pytest.mark.anyio
async def test_example_of_the_page_passes_its_own_test(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    body, handler, _, example = blocks()
    names: dict[str, Any] = {"StartOrganization": StartOrganization}
    exec(f"{body}\n{handler}\n{example}", names)  # noqa: S102 - our page
    started = await platform({"admin_key": ADMIN_SECRET}, now=lambda: NOON)
    row = row_of(started, names)
    assert row.template not in {route.template for route in routes(started)}

    async def organization() -> Organization:
        org = Organization(started, Clock())
        dispatch = Dispatcher(started.access, started.uses, started.settings)
        app = Boundary(Router((*routes(started), row), dispatch), started.entropy)
        org.admin = Client(app, {"x-api-key": ADMIN_SECRET, "anthropic-version": "2026-10-21"})
        return org

    (test,) = (names[name] for name in names if name.startswith("test_"))
    await test(organization)


def test_files_that_the_page_names_exist() -> None:
    root = PAGE.parents[2]
    names = re.findall(r"`((?:src|tests|docs)/[\w/.-]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(names) > 5
    for name in names:
        assert (root / name).exists(), name
