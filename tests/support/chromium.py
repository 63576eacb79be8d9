"""Chromium of the system, driven by Playwright.

Playwright's own browsers come from hosts that a closed network does not reach; Debian's `chromium`
is a package, which `.ci/run` installs.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It asks nobody for updates and the like: tests may run where nothing but loopback is reached.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def chromium_path() -> str | None:
    """Return the program of the first Chromium that is installed; `None` if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Run Chromium without a window."""
    with sync_playwright() as playwright:
        # Its sandbox refuses root.
        started = playwright.chromium.launch(
            executable_path=path, args=list(FLAGS), chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield started
        finally:
            started.close()
