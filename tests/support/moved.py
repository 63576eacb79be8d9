"""Programs that were written for the official SDK, run as they are or with another import."""

import base64
import contextlib
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from antiphon import testing
from antiphon.testing import Server
from support.images import png
from support.pdf import pdf

FOLDER = Path(__file__).parents[1] / "sdk/moved"

# The one line of a program that changes.
IMPORTS = (
    (re.compile(r"^( *)import anthropic$", re.MULTILINE), r"\1import antiphon as anthropic"),
    (
        re.compile(r"^( *)from anthropic(\.[.\w]+)? import ", re.MULTILINE),
        r"\1from antiphon\2 import ",
    ),
)

# Names that a server makes, other ones at each run.
MADE = re.compile(r"\b(msg|msgbatch|req|toolu|file)_[0-9A-Za-z]{8,}")

ORDER = '{"product_name": "rope", "price": 4.5, "quantity": 3}'
BOAT = """{"name": "Petrel", "rig": "ketch", "owner": {"name": "Ann", "email": null},
 "ports": ["Whitby", "Bergen"]}"""


def said(
    when: str, text: str = "", *calls: tuple[str, dict[str, Any]], **more: Any
) -> dict[str, Any]:
    return {
        "when": when,
        "text": text,
        "tool_calls": [{"name": name, "input": given} for name, given in calls],
        **more,
    }


WHITBY = {"harbour": "Whitby"}
SCRIPT = {
    "images": True,
    "echo": True,
    "replies": [
        said("Report high water", '{"harbour": "Whitby", "high": true}'),
        said("Report the tide", "", ("tide_at", WHITBY)),
        said("High water", "The water is high at six."),
        said("does not answer", "The gauge is out of order."),
        said("high tide in Whitby", "I look it up.", ("tide_at", WHITBY)),
        said("Tide and wind", "Two things.", ("tide_at", WHITBY), ("wind_at", WHITBY)),
        said("Ann orders", ORDER),
        said("boat Petrel[.]", BOAT),
        said("lottery", "[4, 8, 15]"),
        said("puffin", "The answer is (B) puffin"),
        said("List three fish", "<list>cod, ling, hake</list> are three fish."),
        said("many words", "The tide comes and the tide goes, twice a day and a little later."),
        said("moon and the tide", "The moon pulls.", thinking="It is about gravity."),
        said(
            "Petrel needs paint",
            "",
            (
                "memory",
                {"command": "create", "path": "/memories/petrel.md", "file_text": "Needs paint."},
            ),
        ),
        said("takes a minute", "At last.", delay_s=60.0),
        said("basin", "Nine metres."),
        said("harbour close", "At ten."),
        said("chart", "The North Sea."),
        said("signed", "The mate."),
        said("stream meets a storm", "It begins well enough", error="overloaded", after=3),
    ],
}

FAILURES = (
    ("meets a limit", testing.rate_limit_error("Too fast.", retry_after=2)),
    ("request meets a storm", testing.overloaded_error),
    ("is wrong", testing.invalid_request_error("It is wrong.")),
    ("has no key", testing.authentication_error),
    ("is forbidden", testing.permission_error),
    ("finds nothing", testing.not_found_error),
    ("breaks the server", testing.api_error),
)
AT_ONCE = testing.overloaded_error(headers={"retry-after-ms": "1"})


def prepare(server: Server) -> None:
    """Have a server fail as the programs expect it, from the beginning."""
    server.reset()
    for when, failure in FAILURES:
        server.fails(failure, times=None, when=when)
    server.fails(AT_ONCE, times=2, when="at the third time")


@contextmanager
def moved_server() -> Iterator[Server]:
    """Run a server that answers the programs."""
    with testing.server(scripted=SCRIPT) as server:
        yield server


def write_files(folder: Path) -> None:
    """Write the files that the programs read."""
    folder.joinpath("chart.png").write_bytes(png(64, 64))
    folder.joinpath("log.pdf").write_bytes(base64.b64decode(pdf(["Signed by the mate."])))


def programs(*, moved: bool) -> dict[str, Callable[[], None]]:
    """Return the programs by name: for the official SDK, or with the import changed to ours."""
    found: dict[str, Callable[[], None]] = {}
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for pattern, ours in IMPORTS if moved else ():
            source = pattern.sub(ours, source)
        names: dict[str, Any] = {"__name__": f"{path.stem}_{'moved' if moved else 'official'}"}
        exec(compile(source, str(path), "exec"), names)  # noqa: S102 - the programs of this repository
        for name, value in names.items():
            if callable(value) and not name.startswith("_"):
                found[f"{path.stem}.{name}"] = value
    return found


def printed(program: Callable[[], None]) -> str:
    """Run a program and return what it prints, without names that are new at each run."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program()
    return MADE.sub(r"\1_", out.getvalue())


def record(path: Path) -> None:
    """Write what each program prints with the official SDK."""
    said: dict[str, str] = {}
    with moved_server() as server, TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": server.key}
        write_files(Path())
        for name, program in programs(moved=False).items():
            prepare(server)
            said[name] = printed(program)
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]).absolute() if sys.argv[1:] else FOLDER / "printed.json")
