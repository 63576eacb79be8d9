"""Shows the progress of a pull."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress(Protocol):
    """Receives the progress of one pull.

    `started` is called again when a transfer resumes, or restarts with `done` at zero; `note` gets
    a sentence for the user; `finished` is called last, also after a failure.
    """

    def started(self, total: int | None, done: int) -> None: ...

    def advanced(self, count: int) -> None: ...

    def note(self, text: str) -> None: ...

    def finished(self) -> None: ...


class SilentProgress:
    """Shows nothing."""

    def started(self, total: int | None, done: int) -> None: ...

    def advanced(self, count: int) -> None: ...

    def note(self, text: str) -> None: ...

    def finished(self) -> None: ...


def open_progress(title: str, console: "Console | None" = None) -> Progress:
    """Return a bar for a terminal, a few lines for other outputs."""
    # rich takes a while to import, and most starts pull nothing.
    from rich.console import Console  # noqa: PLC0415

    console = console or Console(stderr=True)
    return BarProgress(title, console) if console.is_terminal else LineProgress(title, console)


class BarProgress:
    """One bar on a terminal: size, speed, time left."""

    def __init__(self, title: str, console: "Console") -> None:
        self._title = title
        self._console = console
        self._bar: Bar | None = None

    def started(self, total: int | None, done: int) -> None:
        if self._bar is None:
            self._bar = _make_bar(self._console)
            self._bar.add_task(self._title, total=total, completed=done)
            self._bar.start()
        else:
            self._bar.reset(self._bar.task_ids[0], total=total, completed=done)

    def advanced(self, count: int) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def finished(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class LineProgress:
    """A line at the start, at every tenth, and at the end, for logs."""

    def __init__(self, title: str, console: "Console") -> None:
        self._title = title
        self._console = console
        self._total: int | None = None
        self._done = 0
        self._tenth = 0
        self._running = False

    def started(self, total: int | None, done: int) -> None:
        self._total, self._done, self._running = total, done, True
        self._tenth = self._reached()
        self.note(f"{self._title}: {self._amount()}")

    def advanced(self, count: int) -> None:
        self._done += count
        if self._tenth < self._reached() < 10:  # noqa: PLR2004 - the last tenth is the end's line
            self._tenth = self._reached()
            self.note(f"{self._title}: {10 * self._tenth} %")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finished(self) -> None:
        if self._running:
            self.note(f"{self._title}: {self._amount()}")

    def _reached(self) -> int:
        return 10 * self._done // self._total if self._total else 0

    def _amount(self) -> str:
        from rich.filesize import decimal  # noqa: PLC0415 - rich is here already, see open_progress

        of_total = "" if self._total is None else f" of {decimal(self._total)}"
        return f"{decimal(self._done)}{of_total}"


def _make_bar(console: "Console") -> "Bar":
    from rich import progress  # noqa: PLC0415 - see open_progress

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=console,
    )
