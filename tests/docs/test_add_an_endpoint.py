"""The worked example of `docs/how-to/add-an-endpoint.md` is code that runs."""

import ast
import re
import sys
from collections.abc import Awaitable, Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest

from antiphon.server.admin.routes import ADMIN
from antiphon.server.app import ORGANIZATIONS_PATH, routes
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.dispatch import Dispatcher
from antiphon.server.http.routing import Route, Router
from antiphon.service.platform import Platform
from support.asgi import Client
from support.organization import ADMIN as ADMIN_SECRET
from support.organization import NOON, Clock, Organization

PAGE = Path(__file__).parents[2] / "docs/how-to/add-an-endpoint.md"
BODY = "src/antiphon/wire/admin/renames.py"
HANDLER = "src/antiphon/server/admin/renames.py"
TEST = "tests/server/admin/test_renames.py"

Load: TypeAlias = Callable[[str], ModuleType]


def blocks() -> dict[str, str]:
    """Return the code of the page by its path; the row, which is a part of a file, by ''."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(?:# (\S+\.py)\n)?(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [path for path, _ in found] == [BODY, HANDLER, "", TEST]
    return dict(found)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a block of the page as the module that its path names."""

    def load(path: str) -> ModuleType:
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(blocks()[path], encoding="utf-8")
        name = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def row_of(platform: Platform, body: ModuleType, handler: ModuleType) -> Route:
    """Evaluate the row of the page as a part of the table."""
    names = {
        "Route": Route,
        "ADMIN": ADMIN,
        "RenameWorkspaceParams": body.RenameWorkspaceParams,
        "renames": handler.RenameEndpoints(platform.administration),
    }
    row = eval(blocks()[""], names)  # noqa: S307 - our page
    assert isinstance(row, Route)
    return row.below(ORGANIZATIONS_PATH)


@pytest.mark.anyio
async def test_example_of_the_page_passes_its_own_test(
    platform: Callable[..., Awaitable[Platform]], load: Load
) -> None:
    body, handler, printed = load(BODY), load(HANDLER), load(TEST)
    assert printed.pytestmark.name == "anyio"
    started = await platform({"admin_key": ADMIN_SECRET}, now=lambda: NOON)
    row = row_of(started, body, handler)
    assert row.template not in {route.template for route in routes(started)}

    async def organization() -> Organization:
        org = Organization(started, Clock())
        dispatch = Dispatcher(started.access, started.uses, started.settings)
        app = Boundary(Router((*routes(started), row), dispatch), started.new_request_id)
        org.admin = Client(app, {"x-api-key": ADMIN_SECRET, "anthropic-version": "2026-10-21"})
        return org

    (test,) = (value for name, value in vars(printed).items() if name.startswith("test_"))
    await test(organization)


@pytest.mark.parametrize("path", [BODY, HANDLER, TEST])
def test_module_of_the_page_imports_nothing_that_it_does_not_use(path: str) -> None:
    tree = ast.parse(blocks()[path])
    nodes = list(ast.walk(tree))
    imported = {
        name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    }
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert imported - used == set()
    assert path == TEST or ast.get_docstring(tree)


def test_files_that_the_page_names_exist() -> None:
    root = PAGE.parents[2]
    names = re.findall(r"`((?:src|tests|docs)/[\w/.-]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(names) > 5
    for name in names:
        assert (root / name).exists(), name


def test_golden_json_of_the_page_would_belong_to_its_type() -> None:
    ((file, key),) = re.findall(
        r"`(\w+)\.json` to\s+`\"(\w+)\": ", PAGE.read_text(encoding="utf-8")
    )
    assert file.startswith(key)
