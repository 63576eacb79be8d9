"""The program that reads PDFs, images and pages: `python -m antiphon.service.content.file_child`.

Its parent is `file_reader`; `file_protocol` says what they send. PDFium and Pillow are native code
that reads files of strangers, so the child has limits of memory and time, writes no files, and gets
an environment without keys. It ends with its parent.
"""

import binascii
import os
import resource
import signal
import sys
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from antiphon.children import claim_stdout, die_with_parent
from antiphon.service.content.file_protocol import (
    HEAD,
    LENGTH,
    FileReply,
    Task,
    UnreadableFileError,
)
from antiphon.service.content.html_text import page_of
from antiphon.service.content.pdf_text import Pdfium
from antiphon.service.content.png import png_of

MEMORY: Final = 512 * 1024 * 1024
"""The address space of a child, in bytes; of 971 real PDFs none needs more than 175 MB."""
NICENESS: Final = 10
"""The event loop and the models go first."""


def main() -> None:
    """Read files until the parent has no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the parent, which decides
    die_with_parent(int(sys.argv[1]), b"antiphon-file")
    replies = claim_stdout()
    library = Pdfium()
    _limit()
    _silence()
    _send(replies, FileReply())
    while len(head := sys.stdin.buffer.read(HEAD.size)) == HEAD.size:
        size, seconds, task, pixels = HEAD.unpack(head)
        # The parent kills a late child. This ends one whose parent cannot: it is stopped, or gone.
        signal.alarm(seconds)
        _send(replies, _done(Task(task), library, sys.stdin.buffer.read(size), pixels))
        signal.alarm(0)
    os._exit(0)  # there is nothing to finish


def _limit() -> None:
    os.nice(NICENESS)
    with suppress(OSError):
        # Linux gives a session as much time as any other one, whatever the niceness of its
        # processes (sched(7), autogroups).
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    with suppress(OSError):  # Linux: of all programs, this one is to go first
        Path("/proc/self/oom_score_adj").write_text("1000")
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CORE: 0,  # it would hold documents
        resource.RLIMIT_FSIZE: 0,
    }
    for limit, most in limits.items():
        with suppress(ValueError, OSError):  # macOS has no limit of memory
            resource.setrlimit(limit, (most, most))


def _silence() -> None:
    """Drop what is printed from now on: it may have parts of files."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _done(task: Task, library: Pdfium, data: bytes, pixels: int) -> FileReply:
    try:
        content = b64decode(data, validate=True)
        if task is Task.PNG:
            return FileReply(png=png_of(content, pixels))
        if task is Task.PAGE:
            return FileReply(page_of(content))
        return FileReply(tuple(library.read(content)))
    except binascii.Error:
        return FileReply(refusal="base64")
    except UnreadableFileError as error:
        return FileReply(refusal=error.refusal)


def _send(descriptor: int, reply: FileReply) -> None:
    encoded = msgspec.msgpack.encode(reply)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.write(LENGTH.pack(len(encoded)) + encoded)


if __name__ == "__main__":
    main()
