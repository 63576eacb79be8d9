"""The plugin of pytest: servers for tests, clients and cassettes as fixtures.

It is loaded in every run of pytest where Antiphon is installed, so nothing is imported before a
test asks for a fixture.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.testing.instance import Server
    from antiphon.testing.tape import Cassette

_MARK = "antiphon"
_STRICT = "antiphon_strict"
_SETTINGS = "antiphon_settings"
_MODE = "antiphon_cassettes"
_LONGEST_NAME = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the file, and the option of the command line."""
    parser.addini(
        _SETTINGS,
        "settings of the server for tests, as lines of antiphon.toml",
        type="string",
        default="",
    )
    parser.addini(
        _STRICT,
        "whether scripted answers that no request used fail the test",
        type="bool",
        default=False,
    )
    parser.addini(
        _MODE,
        "the mode of cassettes: none, once, new or all",
        type="string",
        default="once",
    )
    parser.getgroup("antiphon").addoption(
        "--antiphon-cassettes",
        dest=_MODE,
        choices=("none", "once", "new", "all"),
        default=None,
        help="the mode of cassettes in this run: none, once, new or all",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(strict=..., clock=..., **settings): the server for tests of this test has these "
        "settings of antiphon.toml",
    )


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the server: those of the file, then those of the nearest marks."""
    import tomllib  # noqa: PLC0415 - of a test with a server alone

    config = request.config
    lines = str(config.getini(_SETTINGS))
    try:
        options: dict[str, Any] = tomllib.loads(lines)
    except tomllib.TOMLDecodeError as error:
        raise pytest.UsageError(f"{_SETTINGS}: {error}") from error
    options["strict"] = bool(config.getini(_STRICT))
    # The nearest one comes first, and is to win.
    for mark in reversed(list(request.node.iter_markers(_MARK))):
        if mark.args:
            raise pytest.UsageError(f"@pytest.mark.{_MARK} takes settings by their names")
        options |= mark.kwargs
    return options


@pytest.fixture
def antiphon_server(request: pytest.FixtureRequest) -> Iterator["Server"]:
    """Run a server of this test alone, in this process."""
    from antiphon.testing.instance import server  # noqa: PLC0415 - as above

    with server(**_options(request)) as running:
        yield running


@pytest.fixture
def antiphon_client(antiphon_server: "Server") -> Iterator["Client"]:
    """Make a client of the SDK that calls the server of the test."""
    client = antiphon_server.client()
    yield client
    client.close()


@pytest.fixture
def async_antiphon_client(antiphon_server: "Server") -> "AsyncClient":
    """Make an asynchronous client of the SDK for the server of the test, in any event loop."""
    return antiphon_server.async_client()


@pytest.fixture
def antiphon_cassette(request: pytest.FixtureRequest) -> Iterator["Cassette"]:
    """Open the cassette of this test: `cassettes/FILE/TEST.jsonl` beside its file."""
    from antiphon.testing.tape import MODES, cassette  # noqa: PLC0415 - as above

    config = request.config
    mode = config.getoption(_MODE) or str(config.getini(_MODE))
    if mode not in MODES:
        raise pytest.UsageError(f"{_MODE}: no mode of cassettes is called {mode!r}")
    path = Path(request.path)
    name = _file_name(request.node.nodeid.partition("::")[2])
    with cassette(path.parent / "cassettes" / path.stem / f"{name}.jsonl", mode) as tape:
        yield tape


def _file_name(test: str) -> str:
    """Return a name for the cassette of a test of a file, which no other test has.

    `TestA::test_one[small]` is `TestA.test_one-small`. A name with other signs, or a long one, gets
    a digest.
    """
    usual = re.fullmatch(r"([A-Za-z0-9_:]+)(?:\[([A-Za-z0-9_.-]+)\])?", test)
    if usual is not None and len(test) <= _LONGEST_NAME:
        return usual[1].replace("::", ".") + ("" if usual[2] is None else f"-{usual[2]}")
    from hashlib import sha256  # noqa: PLC0415 - few tests have such a name

    shown = re.sub(r"[^A-Za-z0-9_.-]+", "-", test.replace("::", ".")).strip("-")
    digest = sha256(test.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shown[:_LONGEST_NAME]}-{digest[:8]}"
