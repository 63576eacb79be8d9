"""Our TypeScript SDK: its types, its tests by itself and against a server, and what is published.

Vitest says what of `sdk/typescript/tests` fails.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon import __version__
from antiphon.cli.openapi import describe_api
from support.node import SDK, TYPESCRIPT, install, node
from support.organization import ADMIN
from support.processes import KEY, serving
from support.typescript_names import SKIPPED_PATHS
from support.typescript_types import FILE, wire_types

# Of the client alone, minified, in gzip.
MOST_CLIENT_BYTES = 11_700
PAGE = Path(__file__).parents[2] / "docs/sdk/typescript.md"
CONFIG = """
engine = "scripted"
scripted.text = "One two three four five."
[[scripted.replies]]
when = "be overloaded"
error = "overloaded"
[[scripted.replies]]
when = "break off"
error = "failed"
after = 3
[[scripted.replies]]
when = "It rains"
text = "Take an umbrella."
[[scripted.replies]]
when = "use the weather"
text = "I look."
tool_calls = [{ name = "weather", input = { city = "Paris" } }]
[[scripted.replies]]
when = "go on"
text = "LONG"
[[scripted.replies]]
when = "be slow"
text = "Slowly."
delay_s = 300
""".replace("LONG", "on and " * 5000)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    install(SDK)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "antiphon.toml").write_text(CONFIG, encoding="utf-8")
    environ = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_ADMIN_KEY": ADMIN,
        # The head of a stream without a token is sent with its first ping.
        "ANTIPHON_PING_INTERVAL_S": "0.2",
    }
    with serving(folder, environ=environ) as program:
        yield program.url


def test_generated_types_are_those_of_the_api() -> None:
    assert FILE.read_text(encoding="utf-8") == wire_types(), "run `make typescript-types`"


def test_types_are_right_and_sources_have_the_one_format() -> None:
    node("node_modules/typescript/bin/tsc", "--noEmit", folder=SDK)
    node("node_modules/typescript/bin/tsc", "-p", "tsconfig.web.json", folder=SDK)
    node("node_modules/@biomejs/biome/bin/biome", "ci", "--colors=off", ".", folder=SDK)


def test_all_tests_of_the_sdk_pass(url: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    node(
        "node_modules/vitest/vitest.mjs",
        "run",
        "--reporter=dot",
        "--reporter=json",
        f"--outputFile.json={report}",
        folder=SDK,
        ANTIPHON_TEST_URL=url,
        ANTIPHON_TEST_KEY=KEY,
        ANTIPHON_TEST_ADMIN=ADMIN,
        NO_COLOR="1",
    )
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["numPassedTests"] == told["numTotalTests"] > 100


@pytest.mark.soak
def test_official_sdk_prints_what_is_recorded(url: str) -> None:
    install(TYPESCRIPT)
    told = json.loads(node("moved.mjs", folder=TYPESCRIPT, MOVED_URL=url, MOVED_KEY=KEY))
    recorded = SDK / "tests" / "moved" / "printed.json"
    assert told == json.loads(recorded.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the built package is installed."""
    folder: Path = tmp_path_factory.mktemp("built")
    package = folder / "node_modules" / "antiphon"
    node("scripts/build.mjs", str(package / "dist"), folder=SDK)
    shutil.copy(SDK / "package.json", package)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return folder


def test_package_needs_no_other(built: Path) -> None:
    package = json.loads((SDK / "package.json").read_text(encoding="utf-8"))
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & package.keys()
    assert package["version"] == __version__
    assert f'"{__version__}"' in (SDK / "src" / "version.ts").read_text(encoding="utf-8")
    dist = built / "node_modules" / "antiphon" / "dist"
    files = [*dist.rglob("*.js"), *dist.rglob("*.d.ts")]
    assert len(files) > 40
    for path in files:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"""(?:from|import\()\s*["']([^"']+)""", text):
            if path.stem in {"node", "lock"} and name.startswith("node:"):
                continue
            if not name.startswith("antiphon"):  # in a comment
                assert re.match(r"\.{1,2}/.*\.js$", name)
                assert (path.parent / name).is_file()


@pytest.mark.parametrize(
    ("file", "names", "most"),
    [
        ("index.js", "default", MOST_CLIENT_BYTES),
        # What stands beside the client costs whoever uses it, and nobody else.
        ("index.js", "RateLimitError", 1500),
        ("limiter.js", "Limiter", 3000),
        ("batches.js", "map", 6200),
        ("cost.js", "costOf", 1200),
        ("cache.js", "withBreakpoints", 800),
        ("output.js", "formatOf, valueIn, partialValueIn", 2400),
        ("reports.js", "flatRows", 300),
    ],
)
def test_page_loads_no_more_than_it_uses(built: Path, file: str, names: str, most: int) -> None:
    path = built / "node_modules" / "antiphon" / "dist" / file
    told = json.loads(node("benchmarks/size.mjs", str(path), names, folder=SDK))
    assert told["packed"] <= most


def test_sdk_has_a_method_for_every_route(built: Path) -> None:
    shutil.copy(SDK / "tests" / "runtimes" / "routes.js", built)
    called = set(json.loads(node("routes.js", folder=built)))
    served = {
        f"{method.upper()} {re.sub(r'{[a-z_]+}', 'ID', path)}"
        for path, operations in asyncio.run(describe_api())["paths"].items()
        if not path.startswith(SKIPPED_PATHS)
        for method in operations
    }
    assert called == served


def test_programs_of_the_documentation_are_right_and_run(built: Path, url: str) -> None:
    programs = re.findall(r"```ts\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) >= 6
    (built / "node_modules" / "zod").symlink_to(SDK / "node_modules" / "zod")
    (built / "node_modules" / "@types").symlink_to(SDK / "node_modules" / "@types")
    for number, program in enumerate(programs):
        (built / f"program{number}.ts").write_text(program, encoding="utf-8")
    # With the checks of the built package's own types, as a strict program has them.
    flags = "--noEmit --strict --target es2024 --module nodenext --types node"
    names = [f"program{number}.ts" for number in range(len(programs))]
    compiler = str(SDK / "node_modules/typescript/bin/tsc")
    node(compiler, *flags.split(), *names, folder=built)
    for name in names:
        settings = {
            "ANTIPHON_BASE_URL": url,
            "ANTIPHON_API_KEY": KEY,
            "ANTIPHON_ADMIN_KEY": ADMIN,
        }
        assert node(name, folder=built, **settings).strip()


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((SDK / "package-lock.json").read_text(encoding="utf-8"))
    assert not any("resolved" in package for package in lock["packages"].values())
