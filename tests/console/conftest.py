import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from console.driving import ADA, DESK, PASSWORD, Person
from support.chromium import browser as open_browser
from support.chromium import chromium_path
from support.console_app import SOURCES, load_builder
from support.processes import KEY, Program, serving

CONFIG = """
[[models]]
id = "claude-scripted"
display_name = "Scripted"
engine = "scripted"
price = { input = 5, output = 25 }
[models.options]
text = "One two three four five six seven."
[[models.options.replies]]
when = "be slow"
text = "A slow word. Another one."
delay_s = 300
[[models.options.replies]]
when = "be overloaded"
error = "overloaded"
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, as long as tests of this module run.

    Playwright has an event loop run beside the tests, and others start one of their own.
    """
    path = chromium_path()
    needed = os.environ.get("CI") == "true" and os.environ.get("TESTS_BROWSER") != "none"
    if path is None and not needed:
        pytest.skip("there is no Chromium: apt-get install chromium")
    assert path, "CI has to install Chromium: see .ci/run"
    with open_browser(path) as started:
        yield started


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with the built Console, on which nobody can sign in yet."""
    load_builder().Console(SOURCES.parent).build()
    data_dir = tmp_path_factory.mktemp("console")
    (data_dir / "antiphon.toml").write_text(CONFIG, encoding="utf-8")
    with serving(data_dir, environ={"ANTIPHON_API_KEY": KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def ada(chromium: Browser, program: Program) -> Iterator[Person]:
    """The first administrator, who has set the Console up by the link that the server printed."""
    found = re.search(r"(http\S+/console/setup#token=\S+)", program.output)
    assert found, program.output
    person = Person(chromium, program)
    page = person.tab
    page.goto(found[1])
    page.get_by_label("Your name").fill("Ada Lovelace")
    assert page.url.endswith("/console/setup"), "the token stays in no address"
    page.get_by_label("E-mail address").fill(ADA)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name="Create the administrator").click()
    page.get_by_role("heading", name="API keys").wait_for()
    yield person
    person.close()


@pytest.fixture
def page(ada: Person) -> Iterator[Page]:
    """The page of the administrator; the test fails if the browser refused or threw anything.

    All tests of a module have the same one, as a new one takes a process. They go to an address
    first.
    """
    opened = ada.tab
    opened.set_viewport_size(DESK)
    opened.emulate_media(color_scheme="light")
    yield opened
    opened.unroute_all()
    faults, ada.faults[:] = [*ada.faults], []
    assert faults == []


@pytest.fixture(scope="module")
def axe() -> str:
    """The program that looks for barriers."""
    console = load_builder().Console(SOURCES.parent)
    console.install_tools()
    return (SOURCES / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
