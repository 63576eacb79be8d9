"""The documentation as a site: whole, as GitHub shows it, and without a word to anybody else."""

import os
import re
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import pytest
from markdown_it import MarkdownIt

from support.chromium import browser, chromium_path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/docs_site.py"
# What a reader sees at once if it is lost: lists, tables, code, headings.
COUNTED = frozenset(
    "blockquote code em h1 h2 h3 img li ol pre strong table td th ul".split()  # noqa: SIM905
)
COMMONMARK = MarkdownIt("commonmark").enable("table")
PATIENCE_S = 120.0


class Page(HTMLParser):
    """What a page has: elements of its article, places that links lead to, and links."""

    def __init__(self, text: str, *, whole: bool = True) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self._in_article = not whole
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "article":
            self._in_article = True
        elif self._in_article and tag in COUNTED:
            self.elements[tag] += 1
        self.places.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif tag != "a":
            names = ("src", "srcset", "href", "action", "data", "poster")
            self.loaded += [found[name] or "" for name in names if name in found]

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._in_article = False


def script() -> Any:
    spec = util.spec_from_file_location("docs_site", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sources and the site."""
    folder = tmp_path_factory.mktemp("site") / "docs"
    done = subprocess.run(
        [sys.executable, SCRIPT, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, Page]:
    """All pages of the site."""
    site = built / "site"
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_has_the_structure_that_commonmark_gives_it(
    built: Path, pages: dict[Path, Page]
) -> None:
    others = {}
    sources = sorted((built / "source").rglob("*.md"))
    for source in sources:
        name = source.relative_to(built / "source")
        if name.parts[0] != "files":
            text = COMMONMARK.render(source.read_text(encoding="utf-8"))
            wanted = Page(text, whole=False).elements
            found = pages[built / "site" / name.with_suffix(".html")].elements
            if wanted != found:
                others[str(name)] = {"wanted": wanted - found, "found": found - wanted}
    assert others == {}
    assert len(sources) > 90


def test_every_page_is_in_the_navigation(built: Path) -> None:
    settings = tomllib.loads((built / "zensical.toml").read_text(encoding="utf-8"))

    def named(nav: Any) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        else:
            for entry in nav.values() if isinstance(nav, dict) else nav:
                yield from named(entry)

    # A new page needs its line in zensical.toml.
    listed = sorted(named(settings["project"]["nav"]))
    source = built / "source"
    files = (path.relative_to(source) for path in source.rglob("*.md"))
    assert listed == sorted(str(path) for path in files if path.parts[0] != "files")


def test_every_link_leads_to_a_place_of_the_site(built: Path, pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in (*page.links, *page.loaded):
            target, place = urldefrag(link.partition("?")[0])
            if re.match(r"[a-z]+:", target):
                continue
            there = (path.parent / target).resolve() if target else path
            there = there / "index.html" if there.is_dir() else there
            known = there.is_file() and (
                not place or there.suffix != ".html" or place in pages[there].places
            )
            if not known:
                lost.append(f"{path.relative_to(built / 'site')}: {link}")
    assert lost == []


def test_nothing_of_another_host_is_loaded(built: Path, pages: dict[Path, Page]) -> None:
    loaded = {link for page in pages.values() for link in page.loaded}
    assert [link for link in sorted(loaded) if re.match(r"([a-z]+:)?//", link)] == []
    for style in (built / "site").rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text) == [], style


def test_files_that_pages_link_to_are_pages(built: Path) -> None:
    page = (built / "source/files/examples/agent.py.md").read_text(encoding="utf-8")
    assert (ROOT / "examples/agent.py").read_text(encoding="utf-8") in page
    assert '"files/' not in (built / "site/search.json").read_text(encoding="utf-8")
    home = (built / "source/index.md").read_text(encoding="utf-8")
    assert "](quickstart.md)" in home
    assert 'src="images/console-light.png"' in home
    assert (built / "site/images/console-light.png").is_file()


def test_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    site = script().Site(tmp_path)
    with pytest.raises(SystemExit, match=r"^docs/quickstart.md: nowhere.md is no file$"):
        site._relinked("See [there](nowhere.md#place).", "docs/quickstart.md")


@pytest.mark.parametrize(
    ("page", "text", "said"),
    [
        ("README.md", "[a](docs/quickstart.md#b)", "[a](quickstart.md#b)"),
        ("README.md", "[a](docs/decisions)", "[a](decisions/index.md)"),
        ("docs/how-to/back-up.md", "[a](../../README.md)", "[a](../index.md)"),
        ("docs/quickstart.md", "[a](../LICENSE)", "[a](files/LICENSE.md)"),
        ("docs/quickstart.md", "[a](https://example.org/b.md)", "[a](https://example.org/b.md)"),
        ("docs/quickstart.md", "[a](#b)", "[a](#b)"),
    ],
)
def test_link_leads_to_its_place_in_the_site(
    tmp_path: Path, page: str, text: str, said: str
) -> None:
    assert script().Site(tmp_path)._relinked(text, page) == said


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def address(built: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(built / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.soak
def test_page_in_a_browser_asks_nobody_else_and_finds_what_is_searched(address: str) -> None:
    path = chromium_path()
    needed = os.environ.get("CI") == "true" and os.environ.get("TESTS_BROWSER") != "none"
    if path is None and not needed:
        pytest.skip("there is no Chromium: apt-get install chromium")
    assert path, "CI has to install Chromium: see .ci/run"
    asked: list[str] = []
    said: list[str] = []
    with browser(path) as chromium:
        page = chromium.new_page(color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/reference/settings.html")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("combobox", name="Search").fill("idempotency")
        page.get_by_role("option", name="Make a batch").click()
        page.wait_for_url("**/how-to/message-batches.html*")
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    # The page that is opened has a search field, and begins at a heading.
    assert [text for text in said if not text.startswith("Autofocus processing")] == []
