"""Shows the progress of a batch: a bar on a terminal that can draw, lines for other outputs."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from antiphon.service.batches.batches import BatchProgress
from antiphon.store.database.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

EVERY_S: Final = 2.0
"""How often the database is asked."""
LINE_EVERY_S: Final = 60.0
"""How often a line is printed where nothing else happens."""
SECOND_LINE_AFTER_S: Final = 10.0
"""When the second line is printed: the first one comes before anything can be measured."""
ALONE_S: Final = 10.0
"""After this time without any worker a note says so; a server that starts takes less."""
NO_WORKER: Final = "no server works on batches, and no `antiphon worker`"
FEWEST_MEASURED: Final = 10
"""So many results have to come before they say how fast a batch is."""
KEEP_S: Final = 8.0
"""So long a note is shown that is gone: workers clear it each half minute, to try again."""
_SAMPLES: Final = 31
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE


class Speed(msgspec.Struct, frozen=True):
    """What is done in a second, measured over the last minute."""

    requests: float
    tokens: float


class Display(Protocol):
    """Shows each look; a `note` says why nothing goes on, or little. `close` is called last."""

    def show(self, progress: BatchProgress, speed: Speed | None, note: str | None) -> None: ...

    def away(self, reason: str) -> None: ...

    def close(self) -> None: ...


async def watch(
    look: Callable[[], Awaitable[BatchProgress]],
    display: Display,
    sleep: Callable[[float], Awaitable[None]],
    clock: Callable[[], float],
) -> BatchProgress:
    """Show a batch until it has ended; a database that is away is asked again.

    Raises what `look` raises otherwise, as for a batch that is deleted meanwhile.
    """
    samples: deque[tuple[float, int, int]] = deque(maxlen=_SAMPLES)
    done_before: int | None = None
    worker_seen_at, notes = clock(), _Notes()
    while True:
        try:
            progress = await look()
        except DatabaseUnavailableError as error:
            display.away(str(error))
        else:
            batch = progress.batch
            done = batch.requests - batch.processing
            done_before = done if done_before is None else done_before
            samples.append((clock(), done, progress.used.output_tokens))
            speed = _speed(samples) if done - done_before >= FEWEST_MEASURED else None
            if progress.has_worker:
                worker_seen_at = clock()
            note = notes.note(batch.hindrance, done, clock())
            if note is None and clock() - worker_seen_at >= ALONE_S:
                note = f"It waits: {NO_WORKER}"
            note = None if batch.ended_at is not None else note
            display.show(progress, speed, note)
            if batch.ended_at is not None:
                return progress
        await sleep(EVERY_S)


class _Notes:
    """Keeps a note for a moment, so that it does not flicker while a worker tries again."""

    def __init__(self) -> None:
        self._last: str | None = None
        self._seen_at = 0.0
        self._done = 0

    def note(self, said: str | None, done: int, now: float) -> str | None:
        """Return what to say at this look. A batch that waited and has a new result goes on."""
        if said is not None:
            self._last, self._seen_at, self._done = said, now, done
        elif now - self._seen_at >= KEEP_S or (done != self._done and self._waited):
            self._last = None
        return self._last

    @property
    def _waited(self) -> bool:
        return self._last is not None and self._last.startswith("It waits")


def _speed(samples: deque[tuple[float, int, int]]) -> Speed | None:
    (begin, done, tokens), (end, done_then, tokens_then) = samples[0], samples[-1]
    passed = end - begin
    if passed <= 0:
        return None
    return Speed((done_then - done) / passed, (tokens_then - tokens) / passed)


def line_of(progress: BatchProgress, speed: Speed | None) -> str:
    """Return a progress as text.

    `1,200 of 100,000 done, 3 failed, 850 tokens/s, $0.4200, 2h05m left`
    """
    batch = progress.batch
    done = batch.requests - batch.processing
    parts = [f"{done:,} of {batch.requests:,} done", f"{batch.errored + batch.expired:,} failed"]
    if batch.canceled:
        parts.append(f"{batch.canceled:,} canceled")
    if batch.ended_at is None and speed is not None:
        parts.append(f"{speed.tokens:,.0f} tokens/s")
    parts.append(f"${progress.used.cost / 10**9:,.4f}")
    if batch.ended_at is None and speed is not None and speed.requests > 0:
        parts.append(f"{duration(batch.processing / speed.requests)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as text.

    >>> duration(7500)
    '2h05m'
    """
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def open_display(clock: Callable[[], float], *, stderr: bool) -> Display:
    """Return what shows a batch on stdout, or on stderr beside an output that scripts read."""
    # rich takes a while to import, and other actions need none of it.
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=stderr)
    can_draw = console.is_terminal and not console.is_dumb_terminal
    return BarDisplay(console) if can_draw else LineDisplay(console, clock)


class BarDisplay:
    """A bar, a line below it, and a note below that while nothing goes on."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._live: Live | None = None
        self._last: tuple[BatchProgress, Speed | None] | None = None

    def show(self, progress: BatchProgress, speed: Speed | None, note: str | None) -> None:
        self._last = progress, speed
        self._draw(note or "")

    def away(self, reason: str) -> None:
        self._draw(f"{reason}. Trying again …")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _draw(self, note: str) -> None:
        from rich.console import Group  # noqa: PLC0415 - see open_display
        from rich.live import Live  # noqa: PLC0415 - see open_display
        from rich.padding import Padding  # noqa: PLC0415 - see open_display
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - see open_display
        from rich.text import Text  # noqa: PLC0415 - see open_display

        shown: list[Padding | Text] = []
        if self._last is not None:
            progress, speed = self._last
            batch = progress.batch
            done = batch.requests - batch.processing
            # Without padding a bar does not end its line.
            bar = Padding(ProgressBar(batch.requests, done, width=60), 0)
            shown += [bar, Text(line_of(progress, speed))]
        if note:
            shown.append(Text(note))
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(Group(*shown), refresh=True)


class LineDisplay:
    """A line at the start, 10 s later, at every tenth, at each new note, and once a minute."""

    def __init__(self, console: "Console", clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._said: tuple[object, ...] = ()
        self._due_at = 0.0
        self._pause_s = SECOND_LINE_AFTER_S

    def show(self, progress: BatchProgress, speed: Speed | None, note: str | None) -> None:
        batch = progress.batch
        tenth = 10 * (batch.requests - batch.processing) // max(1, batch.requests)
        hindered = "" if note is None else f". {note}"
        self._say(f"{line_of(progress, speed)}{hindered}", tenth, batch.status, note)

    def away(self, reason: str) -> None:
        self._say(f"{reason}. Trying again …", reason)

    def close(self) -> None: ...

    def _say(self, text: str, *what: object) -> None:
        now = self._clock()
        if what != self._said or now >= self._due_at:
            self._said, self._due_at = what, now + self._pause_s
            self._pause_s = LINE_EVERY_S
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
