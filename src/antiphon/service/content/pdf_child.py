"""The program that reads PDFs: `python -m antiphon.service.content.pdf_child`.

Its parent is `pdf_reader`; `pdf_protocol` says what they send. PDFium is native code that reads
files of strangers, so the child has limits of memory and time, writes no files, and gets an
environment without keys. It ends with its parent.
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
from antiphon.service.content.pdf_protocol import HEAD, LENGTH, PdfReply
from antiphon.service.content.pdf_text import Pdfium, UnreadableFileError

MEMORY: Final = 512 * 1024 * 1024
"""The address space of a child, in bytes; of 971 real PDFs none needs more than 175 MB."""
NICENESS: Final = 5
"""The event loop and the models go first."""


def main() -> None:
    """Read PDFs until the parent has no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the parent, which decides
    die_with_parent(int(sys.argv[1]), b"antiphon-pdf")
    replies = claim_stdout()
    library = Pdfium()
    _limit()
    _silence()
    _send(replies, PdfReply())
    while len(head := sys.stdin.buffer.read(HEAD.size)) == HEAD.size:
        size, seconds = HEAD.unpack(head)
        # The parent kills a late child. This ends one whose parent cannot: it is stopped, or gone.
        signal.alarm(seconds)
        _send(replies, _read(library, sys.stdin.buffer.read(size)))
        signal.alarm(0)
    os._exit(0)  # there is nothing to finish


def _limit() -> None:
    os.nice(NICENESS)
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
    """Drop what is printed from now on: it may have parts of documents."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _read(library: Pdfium, data: bytes) -> PdfReply:
    try:
        return PdfReply(tuple(library.read(b64decode(data, validate=True))))
    except binascii.Error:
        return PdfReply(refusal="base64")
    except UnreadableFileError as error:
        return PdfReply(refusal=error.refusal)


def _send(descriptor: int, reply: PdfReply) -> None:
    encoded = msgspec.msgpack.encode(reply)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.write(LENGTH.pack(len(encoded)) + encoded)


if __name__ == "__main__":
    main()
