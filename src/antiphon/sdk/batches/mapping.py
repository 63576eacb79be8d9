"""The map: rows go into batches, batches are waited for, results come back row by row.

One flow, for both clients. What has happened stands in the file before anything relies on it,
so a run that is killed anywhere is continued by the next one:

    rows ─▶ requests ─▶ part ══▶ create (by key) ─▶ batch ══▶ wait ─▶ results ══▶ emit
                          └── on the disk ──┘          └─ on the disk ─┘

A part without a batch is one whose create may have reached the server. It is sent again with the
same key and the same bytes, and Antiphon answers with the batch that the first one made. Where no
server keeps keys, `finding` looks for that batch first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

from antiphon.sdk.batches.finding import find_batch
from antiphon.sdk.batches.map_job import MapJob
from antiphon.sdk.batches.map_lines import (
    CANCELED,
    ERRORED,
    EXPIRED,
    SUCCEEDED,
    Part,
    RowChangedError,
)
from antiphon.sdk.batches.operations import batch_results, create_encoded
from antiphon.sdk.batches.rows import (
    MapProgress,
    Requests,
    custom_id_of,
    map_result,
    may_pass,
)
from antiphon.sdk.batches.types import MessageBatch, read_line
from antiphon.sdk.batches.waiting import CANCEL_WITHIN_S, Poll, Trying, cancel_quietly, is_full
from antiphon.sdk.call import Call, CallOptions
from antiphon.sdk.errors import APIConnectionError, APIError
from antiphon.sdk.exchange import Pause
from antiphon.sdk.flow import END, Ask, Emit, Flow, FlowStep, NextRow, ReadLines, Work

KEYS_LIVE_S = 23 * 3600.0
"""For so long a key is surely known; Antiphon forgets it after a day."""


def map_flow(job: MapJob) -> Flow[None]:
    """Emit a `MapResult` for each row. Raises `APIError`, `MapFileError`, `OSError`."""
    run: _Run | None = None
    try:
        yield Work(job.file.open)
        run = _Run(job)
        yield from run.all()
    except GeneratorExit:
        raise
    except BaseException as error:
        wanted = job.options.cancel_on_interrupt and not isinstance(error, Exception)
        if wanted and run is not None:
            yield from run.cancel(error)
        raise
    finally:
        job.file.close()


class _Run:
    """The state of one run."""

    def __init__(self, job: MapJob) -> None:
        self._job, self._file, self._options = job, job.file, job.options
        self._requests = Requests(job.function, self._file.header.id)
        self._seen = 0
        self._rows_ended = False
        # Rows of the next part: new ones, and those that are tried again.
        self._next: list[int] = []
        self._next_bytes = 0
        self._again: deque[int] = deque()
        self._unsent: deque[Part] = deque()
        self._polls: dict[int, Poll] = {}
        self._settled = bytearray()
        # Where the emission stands: the next row, or the rows that are ready in any order.
        self._emitted = 0
        self._ready: deque[int] = deque()
        self._told: MapProgress | None = None
        self._ended: Counter[int] = Counter()
        self._sending: Part | None = None
        self._is_answered = False

    def all(self) -> Flow[None]:
        self._resume()
        while True:
            yield from self._fill()
            yield from self._poll()
            yield from self._emit()
            self._tell()
            if self._is_done():
                return
            if self._may_fill() or not self._polls:
                continue
            due = min(poll.due for poll in self._polls.values())
            yield Pause(max(0.001, due - self._job.now()))

    def cancel(self, cause: BaseException) -> Flow[None]:
        """Cancel every batch that is open, and the one that was just being created."""
        part = self._sending
        if part is not None and self._key_lives(part):
            try:
                batch: MessageBatch = yield Ask(self._create(part, CANCEL_WITHIN_S))
                self._file.set_batch(part, batch.id)
                self._watch(part)
            except APIError as error:
                cause.add_note(f"A batch that was being created may be left: {error}")
        for number, poll in self._polls.items():
            if (yield from cancel_quietly(poll.batch_id, cause)) is not None:
                self._file.set_interrupted(self._file.parts[number])

    # What earlier runs have done

    def _resume(self) -> None:
        self._settled.extend(bytes(self._file.count))
        for part in self._file.parts:
            if part.batch is None:
                self._unsent.append(part)
            elif part.collected:
                self._settle(part)
            else:
                self._watch(part)

    # Rows into parts, parts into batches

    def _may_fill(self) -> bool:
        if len(self._polls) >= self._options.open_parts:
            return False
        return bool(self._unsent or self._again or self._next) or not self._rows_ended

    def _fill(self) -> Flow[None]:
        """Read rows and make batches of them, until enough are open, or nothing is left."""
        while self._may_fill():
            if not self._unsent:
                yield from self._read_part()
            if self._unsent:
                yield from self._send(self._unsent.popleft())
            yield from self._emit()
            self._tell()

    def _read_part(self) -> Flow[None]:
        """Make a part of rows that are tried again, and of new ones, until it is full."""
        while self._again and not self._is_full(0):
            row = self._again.popleft()
            self._next.append(row)
            self._next_bytes += len(self._file.request(row))
        while not self._rows_ended and not self._is_full(0):
            row = yield NextRow()
            if row is END:
                self._rows_ended = True
                self._check_all_seen()
            elif (encoded := self._take(row)) is not None:
                if self._is_full(len(encoded)):
                    yield from self._close_part()
                self._next.append(self._seen - 1)
                self._next_bytes += len(encoded) + 1
                if self._unsent:
                    return
        yield from self._close_part()

    def _take(self, row: Any) -> bytes | None:
        """Note the request of a row; return it if the row is in no part yet."""
        number, file = self._seen, self._file
        encoded = self._requests.encoded(row, number)
        if number == file.count:
            file.add_request(encoded)
            self._settled.append(0)
        elif file.request(number) != encoded:
            raise RowChangedError(
                f"row {number} ({custom_id_of(encoded)}) is not what it was when the file was "
                "begun. Map the same rows with the same function, or begin another file.",
                number,
            )
        self._seen += 1
        return None if file.tries[number] else encoded

    def _check_all_seen(self) -> None:
        if self._seen < self._file.count:
            raise RowChangedError(
                f"the rows end after {self._seen}, and the file has {self._file.count}",
                self._seen,
            )

    def _is_full(self, more: int) -> bool:
        if not self._next:
            return False
        options = self._options
        return (
            len(self._next) >= options.part_requests
            or self._next_bytes + more > options.part_bytes - 64
        )

    def _close_part(self) -> Flow[None]:
        if self._next:
            rows, self._next, self._next_bytes = sorted(self._next), [], 0
            at = self._job.wall()
            self._unsent.append((yield Work(partial(self._file.add_part, rows, at))))

    def _send(self, part: Part) -> Flow[None]:
        """Create the batch of a part, once."""
        create: Call[MessageBatch] = yield Work(partial(self._create, part))
        self._sending = part
        trying = Trying(self._options.waiting, self._job.now, is_new=not self._is_answered)
        while True:
            batch_id: str | None = None
            try:
                if part.tried and not self._key_lives(part):
                    batch_id = yield from self._find(part)
                if batch_id is None:
                    batch: MessageBatch = yield Ask(create)
                    batch_id = batch.id
            except APIError as error:
                part.tried = part.tried or not is_full(error)
                yield trying.pause(error)
            else:
                break
        self._sending, self._is_answered = None, True
        yield Work(partial(self._file.set_batch, part, batch_id))
        self._watch(part)

    def _create(self, part: Part, timeout: float | None = None) -> Call[MessageBatch]:
        options: CallOptions = {**self._job.call_options, "max_retries": 0}
        if timeout is not None:
            options["timeout"] = timeout
        key = f"map-{self._file.header.id}-{part.number}"
        return create_encoded(self._file.body(part), key, options)

    def _key_lives(self, part: Part) -> bool:
        return self._job.keeps_keys and self._job.wall() - part.at < KEYS_LIVE_S

    def _find(self, part: Part) -> Generator[FlowStep, Any, str | None]:
        return find_batch(
            frozenset(self._file.ids(part)),
            since=part.at,
            known=frozenset(other.batch for other in self._file.parts if other.batch),
            how=self._options.waiting,
            now=self._job.now,
            options=self._job.call_options,
        )

    # Batches into results

    def _watch(self, part: Part) -> None:
        assert part.batch is not None  # noqa: S101 - it has just been created, or was known
        self._polls[part.number] = Poll(
            part.batch, self._options.waiting, self._job.now, self._job.call_options
        )

    def _poll(self) -> Flow[None]:
        for number, poll in list(self._polls.items()):
            if poll.due <= self._job.now():
                batch = yield from poll.ask()
                if batch is not None and batch.has_ended:
                    part = self._file.parts[number]
                    yield from self._collect(part)
                    del self._polls[number]
                    self._settle(part)
                    self._tell()

    def _collect(self, part: Part) -> Flow[None]:
        """Write the results of a part into the file; begin again if the connection is lost."""
        rows: dict[str, int] = yield Work(partial(self._file.ids, part))

        def take(line: bytes) -> None:
            custom_id, result = read_line(line)
            if (row := rows.get(custom_id)) is not None:
                self._file.add_result(row, part, result)

        assert part.batch is not None  # noqa: S101 - it has ended
        trying = Trying(self._options.waiting, self._job.now)
        while True:
            try:
                yield ReadLines(batch_results(part.batch, **self._job.call_options), take)
                missing = [row for row in part.rows() if not self._file.has_result(row, part)]
                if not missing:
                    break
                raise APIConnectionError(
                    f"the results of {part.batch} lack {len(missing)} of {len(part)} rows"
                )
            except APIError as error:
                yield trying.pause(error)
        yield Work(partial(self._file.set_collected, part))

    def _settle(self, part: Part) -> None:
        """Decide which rows of a collected part are tried again; the others are ready."""
        for row in part.rows():
            if not self._file.is_last(row, part):
                continue
            if self._is_tried_again(row, part):
                self._again.append(row)
            else:
                self._settled[row] = 1
                self._ended[self._file.kinds[row]] += 1
                if not self._options.ordered:
                    self._ready.append(row)

    def _is_tried_again(self, row: int, part: Part) -> bool:
        kind = self._file.kinds[row]
        if part.interrupted and kind == CANCELED:
            return True
        if self._file.tries[row] > self._options.retries:
            return False
        return kind == EXPIRED or (kind == ERRORED and may_pass(self._file.result(row)))

    # Results to whoever iterates

    def _emit(self) -> Flow[None]:
        for row in self._emittable():
            file = self._file
            yield Emit(map_result(row, file.request(row), file.result(row), file.tries[row]))

    def _emittable(self) -> Iterator[int]:
        """Give the rows that are ready. One is not before it was compared with what was asked."""
        if self._options.ordered:
            while self._emitted < self._seen and self._settled[self._emitted]:
                self._emitted += 1
                yield self._emitted - 1
        else:
            for _ in range(len(self._ready)):
                row = self._ready.popleft()
                if row < self._seen:
                    self._emitted += 1
                    yield row
                else:
                    self._ready.append(row)

    def _is_done(self) -> bool:
        return not (self._may_fill() or self._polls or self._ready)

    def _tell(self) -> None:
        if self._job.progress is None:
            return
        open_counts = [
            poll.batch.request_counts for poll in self._polls.values() if poll.batch is not None
        ]
        progress = MapProgress(
            rows=self._file.count,
            sent=sum(1 for tries in self._file.tries if tries),
            succeeded=self._ended[SUCCEEDED] + sum(c.succeeded for c in open_counts),
            errored=self._ended[ERRORED] + sum(c.errored for c in open_counts),
            canceled=self._ended[CANCELED] + sum(c.canceled for c in open_counts),
            expired=self._ended[EXPIRED] + sum(c.expired for c in open_counts),
            batches=tuple(poll.batch_id for poll in self._polls.values()),
        )
        if progress != self._told:
            self._told = progress
            self._job.progress(progress)
