"""The Console's files over HTTP: the page, its policy, what browsers keep, and what is missing."""

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from antiphon.server.app import build_app
from antiphon.server.console_files import ConsoleFile, read_files
from antiphon.server.console_pages import ConsolePages
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.dispatch import Dispatcher
from antiphon.server.http.routing import Route, Router
from antiphon.service.platform import Platform
from support.asgi import HELLO, Answer, Client

pytestmark = pytest.mark.anyio

SCRIPT = b"export const page = 'a page of the Console, which is long enough to be packed';" * 4
IN_BROTLI = b"in brotli"
INDEX = b"<!doctype html><script type=module src=/console/assets/index-1a2b.js></script>"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NO_KEY: dict[str, str] = {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built app of one script."""
    (tmp_path / "assets").mkdir()
    script = tmp_path / "assets" / "index-1a2b.js"
    script.write_bytes(SCRIPT)
    script.with_name("index-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    script.with_name("index-1a2b.js.br").write_bytes(IN_BROTLI)
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "mark.svg").write_bytes(b"<svg/>")
    (tmp_path / "build.json").write_text(json.dumps({"sources": "0"}), encoding="utf-8")
    return tmp_path


@pytest.fixture
async def console(platform: Callable[[], Awaitable[Platform]], folder: Path) -> Client:
    started, pages = await platform(), ConsolePages(folder)
    dispatch = Dispatcher(started.access, started.uses, started.settings)
    rows = (
        Route("GET /console", None, pages.page),
        Route("GET /console/{path:path}", None, pages.below),
    )
    return Client(Boundary(Router(rows, dispatch, "/console"), started.new_request_id), NO_KEY)


async def got(client: Client, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.start("GET", path, headers=dict(named)).task


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/keys", "/console/a/deep.link"])
async def test_every_address_of_the_app_is_its_page(console: Client, path: str) -> None:
    answer = await got(console, path, **BROWSER)
    assert (answer.status, answer.body) == (200, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_page_allows_its_own_files_and_no_others(console: Client) -> None:
    headers = (await got(console, "/console")).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


async def test_asset_is_kept_for_ever_and_another_file_is_asked_for(console: Client) -> None:
    script = await got(console, "/console/assets/index-1a2b.js")
    assert (script.status, script.body) == (200, SCRIPT)
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    mark = await got(console, "/console/mark.svg")
    assert (mark.headers["content-type"], mark.body) == ("image/svg+xml", b"<svg/>")
    assert mark.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br; q=0.000", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_file_comes_in_the_best_coding_that_the_browser_reads(
    console: Client, accepted: str, coding: str | None
) -> None:
    answer = await got(console, "/console/assets/index-1a2b.js", accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == coding
    match coding:
        case "br":
            assert answer.body == IN_BROTLI
        case "gzip":
            assert gzip.decompress(answer.body) == SCRIPT
        case _:
            assert answer.body == SCRIPT
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_script_that_a_page_loads_with_an_origin_is_sent_to_its_own_page_alone(
    console: Client,
) -> None:
    script = await got(console, "/console/assets/index-1a2b.js", origin="http://lab.example")
    assert (script.status, script.body) == (200, SCRIPT)
    assert not any(name.startswith("access-control") for name in script.headers)
    assert script.headers["cross-origin-resource-policy"] == "same-origin"


async def test_unchanged_page_is_not_sent_again(console: Client) -> None:
    tag = (await got(console, "/console")).headers["etag"]
    again = await got(console, "/console/keys", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    assert "content-length" not in again.headers
    assert again.headers["etag"] == tag
    other = await got(console, "/console", if_none_match='W/"other"')
    assert (other.status, other.body) == (200, INDEX)


@pytest.mark.parametrize("path", ["assets/index-9z9z.js", "assets/", "assets/../index.html"])
async def test_asset_of_another_build_is_a_404_and_never_the_page(
    console: Client, path: str
) -> None:
    answer = await got(console, f"/console/{path}")
    assert answer.error == (404, "not_found_error", "Not Found")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["build.json", "index-1a2b.js.gz", "../secret.html"])
async def test_nothing_else_of_the_folder_is_served(console: Client, path: str) -> None:
    assert (await got(console, f"/console/{path}")).body == INDEX


async def test_files_are_read_once(console: Client, folder: Path) -> None:
    await got(console, "/console")
    (folder / "index.html").write_bytes(b"another build")
    (folder / "assets" / "index-1a2b.js").unlink()
    assert (await got(console, "/console")).body == INDEX
    assert (await got(console, "/console/assets/index-1a2b.js")).body == SCRIPT


async def test_page_says_that_the_app_is_being_built_until_it_is_there(
    console: Client, folder: Path
) -> None:
    (folder / "index.html").rename(folder / "aside.html")
    waiting = await got(console, "/console/keys", **BROWSER)
    assert waiting.status == 503
    assert b"is being built" in waiting.body
    assert b'http-equiv="refresh"' in waiting.body
    assert waiting.headers["cache-control"] == "no-store"
    assert "script-src" not in waiting.headers["content-security-policy"]
    (folder / "aside.html").rename(folder / "index.html")
    assert (await got(console, "/console/keys")).body == INDEX


async def test_package_without_the_app_says_so_and_does_not_wait(
    console: Client, folder: Path
) -> None:
    (folder / "index.html").unlink()
    (folder / "missing.txt").write_text("npm failed at /home/ada/secret", encoding="utf-8")
    answer = await got(console, "/console", **BROWSER)
    assert answer.status == 503
    assert b"has no Console" in answer.body
    assert b"refresh" not in answer.body
    # The reason may name paths of the machine, and anybody may ask for this page.
    assert b"/home/ada" not in answer.body


async def test_browser_is_led_from_the_root_to_the_console(console: Client) -> None:
    answer = await got(console, "/", **BROWSER)
    assert (answer.status, answer.headers["location"], answer.body) == (302, "/console", b"")


@pytest.mark.parametrize(
    ("method", "accept"), [("GET", "*/*"), ("GET", "application/json"), ("POST", "text/html")]
)
async def test_root_is_a_wrong_path_for_all_others(
    platform: Callable[[], Awaitable[Platform]], method: str, accept: str
) -> None:
    client = Client(build_app(await platform()))
    answer = await client.start(method, "/", HELLO, {"accept": accept}).task
    assert answer.error == (404, "not_found_error", "Not Found")
    assert "x-antiphon-hint" in answer.headers


async def test_server_has_the_console_and_needs_no_key_for_it(
    platform: Callable[[], Awaitable[Platform]],
) -> None:
    client = Client(build_app(await platform()), NO_KEY)
    page = await got(client, "/console", **BROWSER)
    assert page.status == (200 if read_files() else 503)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (await client.start("POST", "/console", HELLO).task).status == 405


def test_packed_content_is_taken_only_where_it_exists() -> None:
    plain = ConsoleFile("text/css", 'W/"1"', b"plain", {})
    assert plain.in_coding("br, gzip") == (None, b"plain")
