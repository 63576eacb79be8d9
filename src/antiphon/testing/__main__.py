"""A server for tests of programs in any language: `python -m antiphon.testing --port 0`."""

import argparse
import json
import signal
import sys
import tomllib
from threading import Event
from typing import Any

from antiphon.testing.control import PREFIX, HttpControl
from antiphon.testing.instance import MissingExtraError, Server


def main(arguments: list[str] | None = None) -> int:
    """Run the server until it is told to stop. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m antiphon.testing",
        description="Run a server of Antiphon whose model says what it is told. It prints its URL "
        f"and its keys as JSON in one line; below {PREFIX} it is scripted. It ends with SIGTERM, "
        "SIGINT, or the end of its standard input if --stdin is given.",
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of antiphon.toml, as a line of TOML: --set ping_interval_s=1",
    )
    parser.add_argument(
        "--stdin", action="store_true", help="end when the standard input ends, so with its parent"
    )
    options = parser.parse_args(arguments)
    try:
        settings = _settings(options.set)
    except tomllib.TOMLDecodeError as error:
        parser.error(f"--set: {error}")
    return _run(options.port, settings, stdin=options.stdin)


def _settings(lines: list[str]) -> dict[str, Any]:
    return tomllib.loads("\n".join(lines))


def _run(port: int, settings: dict[str, Any], *, stdin: bool) -> int:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    control = HttpControl()
    try:
        with Server(control=control, **settings) as server:
            control.server = server
            url = server.listen(port)
            started = {
                "url": url,
                "key": server.key,
                "admin_key": server.admin_key,
                "control": f"{url}{PREFIX}",
            }
            print(json.dumps(started), flush=True)  # noqa: T201 - what the command is for
            if stdin:
                sys.stdin.buffer.read()
            else:
                stop.wait()
    except (MissingExtraError, TypeError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
