"""What a child process of the program does first: it ties its life to its parent."""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15


def die_with_parent(parent: int, name: bytes) -> None:
    """Let the kernel end this process when its parent ends (Linux), and give it a name for `ps`.

    Elsewhere the child has to notice the end of its stdin. `parent` is the parent's process id.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NAME, name, 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was ordered
        os._exit(0)


def claim_stdout() -> int:
    """Return a descriptor of stdout for answers; what libraries print there goes to stderr."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
