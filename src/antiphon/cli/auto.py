"""What `antiphon serve --model auto` says of the model that takes over from the toy."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from antiphon.cli.claude_code import context_note
from antiphon.cli.output import say
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform
from antiphon.service.succession import Successor
from antiphon.weights.progress import Progress

Fetch: TypeAlias = Callable[[Callable[[str], Progress]], ModelSource]
"""Fetches the files of a model, and returns it with them; what it gets shows each one."""


class TakesOver:
    """What is said of a model that takes over from the model of the id `of`.

    `fetch` brings its files. Its `platform` is set once it is built.
    """

    def __init__(self, source: ModelSource, of: str, fetch: Fetch) -> None:
        self.platform: Platform | None = None
        self._source = source
        self._of = of
        self._fetch = fetch

    def successor(self) -> Successor:
        """Return the successor for the platform."""

        def fetch(progress: Progress) -> ModelSource:
            # One is enough for all of its files: they are fetched one after the other.
            self._source = self._fetch(lambda _: progress)
            return self._source

        return Successor(self._source, self._of, fetch, self._tell)

    def loaded_first(self, sources: Sequence[ModelSource]) -> Sequence[ModelSource]:
        """Return what is loaded before the server is ready."""
        return [self._source] if self._source.weights else sources

    def notes(self) -> tuple[str, ...]:
        """Return the notes of the welcome."""
        succession = None if self.platform is None else self.platform.succession
        if succession is None:
            return ()
        model, stage = succession.model, succession.state.stage
        if stage == "done":
            return self._context()
        if stage == "failed":
            reason = succession.state.reason
            return (f"{model} cannot be loaded, so {self._of}, a toy, answers: {reason}",)
        until = f"{self._of}, a toy, answers until {model} is fetched and loaded"
        return (f"{until}. Then {model} answers by the same names, without a restart.",)

    def _tell(self, text: str) -> None:
        say(text)
        succession = None if self.platform is None else self.platform.succession
        if succession is not None and succession.state.stage == "done":
            for note in self._context():
                say(f"Note: {note}")

    def _context(self) -> tuple[str, ...]:
        if self.platform is None:
            return ()
        note = context_note(self.platform.models, [self._source])
        return () if note is None else (note,)
