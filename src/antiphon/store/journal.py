"""A memory-mapped file that keeps requests until the database has them, even after `kill -9`.

The file is a row of slots, each a page. A slot holds one request: the facts at its admission, live
counters while it runs, and its end. Everything is written by stores into mapped memory, so no
write waits, and a stored word belongs to the kernel: it survives the end of the process.

The order of the stores keeps a slot valid at any moment: a part is written before the word that
marks it as present, and every counter is one word. Only a power cut can break this order, as the
kernel writes pages in any order; checksums find the damage.

Each process has a file of its own, and locks it for its lifetime. A file whose lock is free belongs
to a dead process; the next start takes over its entries.
"""

import errno
import fcntl
import mmap
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Self, TypeAlias

import msgspec

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.moments import EPOCH, moment_at, since_epoch
from antiphon.store.database.errors import StoreError

SLOT_SIZE = 4096
SEGMENT_SLOTS = 256
SUFFIX = ".journal"
DAMAGED_SUFFIX = ".damaged"

_SEGMENT_SIZE = SLOT_SIZE * SEGMENT_SLOTS
_MOST_SEGMENTS_AT_ONCE = 4
# How often a page that changes is read. A running request changes its page, an ended one does not.
_MOST_READS = 10
_MAGIC = b"antiphon journal 1\n"

# The words of a slot. In the first slot of a file, which holds no request, only the clock.
_STATE, _OPENING, _CLOSING, _FIRST_TOKEN, _CLOCK = 0, 1, 2, 3, 4
_INPUT, _WRITE_5M, _WRITE_1H, _READ, _OUTPUT, _THINKING = 5, 6, 7, 8, 9, 10
_SEARCHES = 11
_WORDS = 16
_SLOT_WORDS = SLOT_SIZE // 8
# What a slot is cleared of when it opens.
_COUNTS = slice(8 * _CLOSING, 8 * _WORDS)
_NO_COUNTS = bytes(8 * (_WORDS - _CLOSING))
# The offsets of the texts in a slot.
_CLOSING_AT, _OPENING_AT = 128, 640
_LONGEST_CLOSING, _LONGEST_OPENING = _OPENING_AT - _CLOSING_AT, SLOT_SIZE - _OPENING_AT

_FREE, _OPEN, _CLOSED = 0, 1, 2


class JournalError(StoreError):
    """The journal cannot take another request: the disk is full or not writable."""


class JournalSlot:
    """The page of one request. Only the thread of the event loop may use it."""

    __slots__ = ("_area", "_words", "number")

    def __init__(self, number: int, area: memoryview, words: memoryview | None = None) -> None:
        """`words` are those of the page, if a view of them is there."""
        self.number = number
        self._area = area
        self._words = area[: 8 * _WORDS].cast("Q") if words is None else words

    def open(self, opening: Opening) -> None:
        text = msgspec.json.encode(opening)
        if len(text) > _LONGEST_OPENING:
            raise ValueError(f"The request {opening.id[:64]!r} fits into no slot")
        self._area[_COUNTS] = _NO_COUNTS
        self._area[_OPENING_AT : _OPENING_AT + len(text)] = text
        self._words[_OPENING] = _check(text)
        self._words[_STATE] = _OPEN

    def prompt(self, tokens: TokenCounts) -> None:
        """Store the counters of the prompt."""
        words = self._words
        words[_WRITE_5M] = tokens.cache_write_5m
        words[_WRITE_1H] = tokens.cache_write_1h
        words[_READ] = tokens.cache_read
        words[_INPUT] = tokens.input

    def first_token(self, at: datetime) -> None:
        self._words[_FIRST_TOKEN] = since_epoch(at)

    def produced(self, output: int, thinking: int) -> None:
        """Store the tokens produced so far. Called for every event of every stream."""
        words = self._words
        words[_OUTPUT] = output
        words[_THINKING] = thinking

    def searched(self, searches: int) -> None:
        """Store the searches of the web so far."""
        self._words[_SEARCHES] = searches

    def close(self, closing: Closing) -> None:
        text = msgspec.json.encode(closing)
        if len(text) > _LONGEST_CLOSING:
            raise ValueError("The end of a request fits into no slot")
        self._area[_CLOSING_AT : _CLOSING_AT + len(text)] = text
        self._words[_CLOSING] = _check(text)
        self._words[_STATE] = _CLOSED

    def free(self) -> None:
        self._words[_STATE] = _FREE

    @property
    def is_free(self) -> bool:
        return self._words[_STATE] == _FREE

    def entry(self, clock: datetime = EPOCH) -> LedgerEntry:
        """Return the request's entry; a request without an end was interrupted at `clock`.

        Raises `ValueError` for a slot that a power cut has left half written.
        """
        opening = msgspec.json.decode(self._text(_OPENING, _OPENING_AT), type=Opening)
        return entry_of(opening, self._end(max(clock, opening.started_at)))

    def closed_entry(self) -> LedgerEntry | None:
        """Return the entry of a request that has ended, else `None`. Raises `ValueError`."""
        if self._words[_STATE] != _CLOSED:
            return None
        opening = msgspec.json.decode(self._text(_OPENING, _OPENING_AT), type=Opening)
        closing = msgspec.json.decode(self._text(_CLOSING, _CLOSING_AT), type=Closing)
        return entry_of(opening, closing)

    def _end(self, clock: datetime) -> Closing:
        if self._words[_STATE] == _CLOSED:
            with suppress(ValueError):
                return msgspec.json.decode(self._text(_CLOSING, _CLOSING_AT), type=Closing)
        return self._interrupted(clock)

    def _interrupted(self, clock: datetime) -> Closing:
        first = self._words[_FIRST_TOKEN]
        first_token_at = _moment(first) if first else None
        return Closing(
            tokens=self.tokens,
            outcome=Outcome.INTERRUPTED,
            ended_at=max(clock, first_token_at or clock),
            first_token_at=first_token_at,
            web_searches=self.searches,
        )

    @property
    def searches(self) -> int:
        """The searches of the web so far."""
        return self._words[_SEARCHES]

    @property
    def tokens(self) -> TokenCounts:
        """The live counters."""
        words = self._words
        return TokenCounts(
            input=words[_INPUT],
            cache_write_5m=words[_WRITE_5M],
            cache_write_1h=words[_WRITE_1H],
            cache_read=words[_READ],
            output=words[_OUTPUT],
            thinking=words[_THINKING],
        )

    def _text(self, word: int, start: int) -> bytes:
        check = self._words[word]
        text = bytes(self._area[start : start + (check & 0xFFFF)])
        if not text or _check(text) != check:
            raise ValueError("The slot is damaged")
        return text

    def tick(self, now: datetime) -> None:
        """Store the time, in the first slot."""
        self._words[_CLOCK] = since_epoch(now)

    @property
    def clock(self) -> datetime:
        return _moment(self._words[_CLOCK]) or EPOCH

    @property
    def page(self) -> bytes:
        """The whole slot as it is, for an examination."""
        return bytes(self._area)


class Journal:
    """The journal of this process. It grows by segments, and shrinks only at its end."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._maps: list[mmap.mmap] = []
        self._segments: list[memoryview] = []
        # The same, in words.
        self._words: list[memoryview] = []
        self._free: list[int] = []
        self._refusal: str | None = None
        self._grow()
        self._header = self.slot(self._free.pop())
        # Written last: a file without it has no entries.
        self._segments[0][SLOT_SIZE - len(_MAGIC) : SLOT_SIZE] = _MAGIC

    @classmethod
    def create(cls, folder: Path, name: str) -> Self:
        """Create the journal of this process. Raises `JournalError`."""
        path = folder / f"{name}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder):
                descriptor = os.open(path, flags, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, descriptor)
        except OSError as error:
            raise JournalError(f"The journal {path} cannot be made: {error.strerror}") from error

    def open(self, opening: Opening) -> JournalSlot:
        """Record an admitted request. Raises `JournalError` when the disk is full."""
        self.make_room()
        slot = self.slot(self._free[-1])
        slot.open(opening)
        self._free.pop()
        return slot

    def make_room(self) -> None:
        """Grow if no slot is free. Raises `JournalError` when the disk is full."""
        if not self._free:
            self._extend()

    @property
    def refused(self) -> str | None:
        """The reason why the journal takes no request; `None` if it takes one.

        It is known from the last try to grow: ask `make_room` from time to time.
        """
        return None if self._free else self._refusal

    def slot(self, number: int) -> JournalSlot:
        """Return a slot by its number. Many numbers are kept while the database is away."""
        segment, position = divmod(number, SEGMENT_SLOTS)
        start, first = position * SLOT_SIZE, position * _SLOT_WORDS
        area = self._segments[segment][start : start + SLOT_SIZE]
        return JournalSlot(number, area, self._words[segment][first : first + _WORDS])

    def free(self, number: int) -> None:
        """Free the slot of a delivered request."""
        segment, position = divmod(number, SEGMENT_SLOTS)
        self._words[segment][position * _SLOT_WORDS + _STATE] = _FREE
        self._free.append(number)

    def set_aside(self, number: int) -> Path:
        """Add the page of a damaged slot to a file for the operator, free it, and return the file.

        Raises `OSError` if the page cannot be written; the slot then keeps it.
        """
        path = self._path.with_name(f"{self._path.stem}-slots{DAMAGED_SUFFIX}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # Not synced: the journal itself may be as far behind at a power cut.
            if os.write(descriptor, self.slot(number).page) != SLOT_SIZE:
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
        self.free(number)
        return path

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self._path

    @property
    def idle(self) -> bool:
        """Whether the journal holds no request."""
        return len(self._free) == len(self._segments) * SEGMENT_SLOTS - 1

    def tick(self, now: datetime) -> None:
        """Store the time, as the end of the requests that a crash breaks off."""
        self._header.tick(now)

    def let_go(self) -> None:
        """Release memory that only a burst needed; the kernel keeps the contents of the pages.

        Used pages are mapped again when they are touched. The first segment stays.
        """
        for area in self._maps[1:]:
            area.madvise(mmap.MADV_DONTNEED)

    def sync(self) -> None:
        """Write everything to the disk, against power cuts. Blocks: not for the event loop."""
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def close(self) -> None:
        """Unlock the file; if it holds entries, it stays for the next start."""
        if self.idle:
            self._path.unlink(missing_ok=True)
        # Closing alone does not unlock: the maps have descriptors of their own.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def _extend(self) -> None:
        try:
            self._grow()
        except OSError as error:
            self._refusal = f"The journal cannot grow: {error.strerror}"
            raise JournalError(self._refusal) from error
        self._refusal = None

    def _grow(self) -> None:
        """Double the file, by at most some megabytes, which takes milliseconds."""
        count = min(max(1, len(self._segments)), _MOST_SEGMENTS_AT_ONCE)
        offset, size = len(self._segments) * _SEGMENT_SIZE, count * _SEGMENT_SIZE
        # Written and not only reserved: a store into a page that a full disk cannot take would
        # kill the process.
        if os.pwrite(self._descriptor, bytes(size), offset) != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # One map for the whole growth, since each map holds a file descriptor.
        self._maps.append(mmap.mmap(self._descriptor, size, offset=offset))
        area = memoryview(self._maps[-1])
        first = len(self._segments) * SEGMENT_SLOTS
        grown = [area[at : at + _SEGMENT_SIZE] for at in range(0, size, _SEGMENT_SIZE)]
        self._segments += grown
        self._words += [segment.cast("Q") for segment in grown]
        # The last slot is taken first, so that a quiet server reuses the same few pages.
        self._free += reversed(range(first, len(self._segments) * SEGMENT_SLOTS))


# Creates the journal of this name in a folder, as `Journal.create` does.
CreateJournal: TypeAlias = Callable[[Path, str], Journal]


class DeadJournal:
    """The journal of a dead process, locked so that no other process takes it over."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def entries(self) -> Iterator[LedgerEntry | None]:
        """Yield the entries of used slots; `None` for one that a power cut has damaged."""
        clock = EPOCH
        for number, slot in enumerate(self._read()):
            if number == 0:
                clock = slot.clock
            elif not slot.is_free:
                yield _readable(slot, clock)

    def remove(self) -> None:
        """Delete the file: its entries are delivered."""
        self.path.unlink(missing_ok=True)

    def put_aside(self) -> None:
        """Rename the file: no start reads it, and the operator can examine it."""
        self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))

    def close(self) -> None:
        os.close(self._descriptor)

    def _read(self) -> Iterator[JournalSlot]:
        number = 0
        while slot := os.pread(self._descriptor, SLOT_SIZE, number * SLOT_SIZE):
            if len(slot) == SLOT_SIZE:
                yield JournalSlot(number, memoryview(slot))
            number += 1


def dead_journals(folder: Path) -> list[DeadJournal]:
    """Take over every journal of a dead process. Raises `JournalError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder):
            found = [_taken_over(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    except OSError as error:
        raise JournalError(f"The journals in {folder} cannot be read: {error.strerror}") from error
    return [journal for journal in found if journal is not None]


def damaged_files(folder: Path) -> list[Path]:
    """Return the files with damaged requests that wait in a folder for the operator."""
    return sorted(folder.glob(f"*{DAMAGED_SUFFIX}"))


def ended_entries(folder: Path) -> Iterator[LedgerEntry]:
    """Yield the ended requests of every journal in `folder`: also those of running processes.

    The end of a process has ended its requests. An entry that is delivered meanwhile may be
    missing. Raises `JournalError`.
    """
    try:
        for path, runs in _owners(folder).items():
            with suppress(FileNotFoundError):  # its entries were delivered
                yield from _ended_in(path, runs=runs)
    except OSError as error:
        raise JournalError(f"The journals in {folder} cannot be read: {error.strerror}") from error


def _ended_in(path: Path, *, runs: bool) -> Iterator[LedgerEntry]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    clock = EPOCH
    try:
        for number in count():
            page = _still_page(descriptor, number)
            if page is None:
                return
            slot = JournalSlot(number, memoryview(page))
            with suppress(ValueError):
                if number == 0:
                    clock = slot.clock
                elif entry := slot.closed_entry() if runs else _left_entry(slot, clock):
                    yield entry
    finally:
        os.close(descriptor)


def _left_entry(slot: JournalSlot, clock: datetime) -> LedgerEntry | None:
    return None if slot.is_free else slot.entry(clock)


def _still_page(descriptor: int, number: int) -> bytes | None:
    """Read a page that its process does not change meanwhile, or that has changed often."""
    page = os.pread(descriptor, SLOT_SIZE, number * SLOT_SIZE)
    for _ in range(_MOST_READS):
        before, page = page, os.pread(descriptor, SLOT_SIZE, number * SLOT_SIZE)
        if page == before:
            break
    return page if len(page) == SLOT_SIZE else None


def has_running_owner(folder: Path) -> bool:
    """Return whether the process of a journal in `folder` runs. Raises `JournalError`."""
    try:
        return any(_owners(folder).values())
    except OSError as error:
        raise JournalError(f"The journals in {folder} cannot be read: {error.strerror}") from error


def _owners(folder: Path) -> dict[Path, bool]:
    """Return the journals in a folder, and of each whether its process runs."""
    if not folder.is_dir():
        return {}
    # A start waits meanwhile: it would take the lock of this look for that of a running process.
    with _locked(folder):
        return {path: _is_locked(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # its process has just ended
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _taken_over(path: Path) -> DeadJournal | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    magic = os.pread(descriptor, len(_MAGIC), SLOT_SIZE - len(_MAGIC))
    # Its process may have been killed before it wrote anything.
    if magic.strip(b"\0") not in {b"", _MAGIC}:
        os.close(descriptor)
        raise JournalError(
            f"{path} is no journal of this release: start the release that wrote it. If it is "
            "damaged, move it away; its requests are then not billed"
        )
    return DeadJournal(path, descriptor)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Lock the folder from the creation of a file to its locking."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _readable(slot: JournalSlot, clock: datetime) -> LedgerEntry | None:
    try:
        return slot.entry(clock)
    except ValueError:
        return None


def _moment(microseconds: int) -> datetime | None:
    """Return the moment that a word holds; `None` if damage has made it one of no calendar."""
    try:
        return moment_at(microseconds)
    except OverflowError:
        return None


def _check(text: bytes) -> int:
    return zlib.crc32(text) << 16 | len(text)
