"""Waiting for the end of a batch, over lost connections and servers that are down for a while."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import msgspec

from antiphon.sdk.batches.operations import cancel_batch, retrieve_batch
from antiphon.sdk.batches.types import MessageBatch
from antiphon.sdk.call import CallOptions
from antiphon.sdk.errors import (
    AntiphonError,
    APIConnectionError,
    APIError,
    APIStatusError,
    NotFoundError,
)
from antiphon.sdk.exchange import RETRIED, RETRIED_FROM, Pause
from antiphon.sdk.flow import Ask, Flow, FlowStep

NEW_S = 60.0
"""A batch may be unknown for so long after its creation: another server may not have it yet. A
server that has not answered once is waited for as long: its address may be wrong."""

CANCEL_WITHIN_S = 10.0
GROWTH = 1.5
TOO_MANY = 429


class WaitTimeoutError(AntiphonError, TimeoutError):
    """A batch has not ended in the time that was given. `batch` is how it was last, if it was."""

    def __init__(self, message: str, batch: MessageBatch | None) -> None:
        super().__init__(message)
        self.batch = batch


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How to wait, in seconds.

    The first pause is `first_pause`, and the longest one `longest_pause`. The server may be away,
    or answer with errors that pass, for `patience` at a time; `timeout` bounds the whole wait.
    """

    first_pause: float = 1.0
    longest_pause: float = 30.0
    patience: float = 3600.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.first_pause <= self.longest_pause:
            raise ValueError("`first_pause` is more than 0 and at most `longest_pause`")


def passes(error: APIError) -> bool:
    """Whether the same question may be answered later."""
    if isinstance(error, APIStatusError):
        return error.status_code in RETRIED or error.status_code >= RETRIED_FROM
    return isinstance(error, APIConnectionError)


def is_full(error: APIError) -> bool:
    """Whether a server has refused to do more for now; then it has done nothing."""
    return isinstance(error, APIStatusError) and error.status_code == TOO_MANY


class Poll:
    """Asks for one batch again and again. It knows when the next question is due."""

    def __init__(
        self, batch_id: str, how: Waiting, now: Callable[[], float], options: CallOptions
    ) -> None:
        self.batch_id, self.batch = batch_id, None
        self._how, self._now, self._options = how, now, options
        self._pause = how.first_pause
        self._begun = now()
        self._away_since: float | None = None
        self.due = self._begun

    batch: MessageBatch | None

    def ask(self) -> Generator[FlowStep, Any, MessageBatch | None]:
        """Ask once; return the batch, or `None` if the server could not say.

        Raises `APIError` for what will not pass, and for what has not passed with patience.
        """
        try:
            found: MessageBatch = yield Ask(retrieve_batch(self.batch_id, **self._options))
        except NotFoundError:
            # Once it was there, it has been deleted; before, it may be too new.
            if self.batch is not None or self._now() - self._begun >= NEW_S:
                raise
            found_none = True
        except APIError as error:
            if not passes(error) or self._is_out_of_patience():
                raise
            found_none = True
        else:
            found_none = False
            self._away_since = None
            if self.batch is not None and found.request_counts != self.batch.request_counts:
                # Something happens: look a little more often.
                self._pause = max(self._how.first_pause, self._pause / GROWTH**2)
            self.batch = found
        self.due = self._now() + self._pause
        self._pause = min(self._how.longest_pause, self._pause * GROWTH)
        return None if found_none else self.batch

    def _is_out_of_patience(self) -> bool:
        if self._away_since is None:
            self._away_since = self._now()
        patience = self._how.patience
        if self.batch is None:
            patience = min(patience, NEW_S)
        return self._now() - self._away_since >= patience


def wait_for_batch(  # noqa: PLR0913 - what a program may say about it
    batch_id: str,
    *,
    how: Waiting,
    progress: Callable[[MessageBatch], object] | None,
    cancel_on_interrupt: bool,
    now: Callable[[], float],
    options: CallOptions,
) -> Flow[MessageBatch]:
    """Return a batch when it has ended.

    `progress` is told of a batch whenever it has changed. Raises `WaitTimeoutError`, `APIError`.
    """
    deadline = math.inf if how.timeout is None else now() + how.timeout
    poll = Poll(batch_id, how, now, options)
    told: MessageBatch | None = None
    try:
        while True:
            batch = yield from poll.ask()
            if batch is not None and batch != told:
                told = batch
                if progress is not None:
                    progress(batch)
            if batch is not None and batch.has_ended:
                return batch
            if now() >= deadline:
                raise WaitTimeoutError(  # noqa: TRY301 - it cancels nothing
                    f"the batch {batch_id} has not ended in {how.timeout:g} s", poll.batch
                )
            yield Pause(max(0.001, min(poll.due, deadline) - now()))
    except GeneratorExit:
        raise
    except BaseException as error:
        if cancel_on_interrupt and not isinstance(error, Exception):
            yield from cancel_quietly(batch_id, error)
        raise


def cancel_quietly(
    batch_id: str, cause: BaseException
) -> Generator[FlowStep, Any, MessageBatch | None]:
    """Cancel a batch because of an interrupt, which stays the error; a failure is a note on it."""
    try:
        canceled: MessageBatch = yield Ask(
            cancel_batch(batch_id, timeout=CANCEL_WITHIN_S, max_retries=1)
        )
    except APIError as error:
        cause.add_note(f"The batch {batch_id} was not cancelled: {error}")
        return None
    cause.add_note(f"The batch {batch_id} is cancelled.")
    return canceled


class Trying:
    """Tries of one call that may pass: how long to wait, and when to give up."""

    def __init__(self, how: Waiting, now: Callable[[], float], *, is_new: bool = False) -> None:
        self._how, self._now = how, now
        self._patience = min(how.patience, NEW_S) if is_new else how.patience
        self._pause = how.first_pause
        self._since: float | None = None

    def pause(self, error: APIError) -> Pause:
        """Return the pause after an error, or raise it if it does not pass."""
        if not passes(error):
            raise error
        now = self._now()
        if is_full(error) or self._since is None:
            # A full queue empties as batches end, which may take hours: that is no fault.
            self._since = now
        if now - self._since >= self._patience:
            raise error
        seconds, self._pause = self._pause, min(self._how.longest_pause, self._pause * 2)
        return Pause(seconds)
