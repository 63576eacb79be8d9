"""What the process of a server uses, under the names that Prometheus' own clients have for it."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from antiphon import __version__
from antiphon.core.metrics.families import Reading
from antiphon.service.metrics.catalogue import (
    BUILD_INFO,
    PROCESS_CPU,
    PROCESS_FILES,
    PROCESS_MEMORY,
    PROCESS_MOST_FILES,
    PROCESS_START,
)

_SELF: Final = Path("/proc/self")
# Of a line of `stat`, behind the name in parentheses: the start of the process, in clock ticks
# since the start of the system (man 5 proc).
_START: Final = 19


def read_process() -> Iterator[Reading]:
    """Yield what is known: memory, files and the start on Linux alone."""
    yield Reading(BUILD_INFO, {(__version__, platform.python_version()): 1})
    yield Reading(PROCESS_CPU, {(): time.process_time()})
    yield Reading(PROCESS_MOST_FILES, {(): resource.getrlimit(resource.RLIMIT_NOFILE)[0]})
    with suppress(OSError):
        pages = int((_SELF / "statm").read_text(encoding="ascii").split()[1])
        yield Reading(PROCESS_MEMORY, {(): pages * resource.getpagesize()})
        yield Reading(PROCESS_FILES, {(): sum(1 for _ in (_SELF / "fd").iterdir())})
        yield Reading(PROCESS_START, {(): _started_at()})


def _started_at() -> float:
    """Return when this process began, in seconds since 1970. Raises `OSError`."""
    stat = (_SELF / "stat").read_text(encoding="utf-8")
    ticks = int(stat.rpartition(")")[2].split()[_START])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK")
