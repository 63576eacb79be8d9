"""The rules of Message Batches: limits, what a request may not have, lifecycle, pace.

Numbers without another source are those of the API's documentation of Message Batches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from antiphon.core.billing.money import cents
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.wire.batches import MessageBatch, ProcessingStatus, RequestCounts
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CreateMessageParams
from antiphon.wire.money import Money

LARGEST_BODY: Final = 256 * 1024 * 1024
"""The most bytes of a batch's body; `wire.batches.MOST_REQUESTS` is the other limit."""

LIFETIME: Final = timedelta(hours=24)
"""The time after its creation in which a batch is processed. What waits then expires."""

RETENTION: Final = timedelta(days=29)
"""The time after its creation in which the results of a batch can be read."""

POLL_AFTER_S: Final = 10
"""What `retry-after` says on a batch that is in progress (observed of the hosted API)."""

Tier: TypeAlias = Literal["start", "build", "scale"]


class BatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an organization: requests not processed yet, and calls of all endpoints."""

    queued_requests: int
    calls_per_minute: int


LIMITS: Final[Mapping[Tier, BatchLimits]] = {
    "start": BatchLimits(queued_requests=200_000, calls_per_minute=1_000),
    "build": BatchLimits(queued_requests=300_000, calls_per_minute=2_000),
    "scale": BatchLimits(queued_requests=500_000, calls_per_minute=4_000),
}


# ── a request


def check_batch_params(params: CreateMessageParams) -> None:
    """Raise `InvalidRequestError` for what a request may have, but not in a batch.

    Keys that the Messages API has for clients with a beta alone are unknown here, so decoding
    refuses them. The sentence for `speed` and `thread` is made after the one for `stream`.
    """
    if params.stream:
        raise _not_in_batches("stream=True")
    if params.speed is not None:
        raise _not_in_batches("speed")
    if params.thread is not None:
        raise _not_in_batches("thread")
    if params.max_tokens < 1:
        raise InvalidRequestError("max_tokens: must be greater than or equal to 1")


def _not_in_batches(what: str) -> InvalidRequestError:
    return InvalidRequestError(f'"{what}" is not supported in the Message Batches API')


# ── the life of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """What its callers see of a batch. The counts only grow, and sum up to at most `requests`.

    `cost` is what its finished requests have cost, in nano-dollars.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    requests: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0
    cancel_initiated_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    cost: int = 0

    @property
    def processing(self) -> int:
        """The number of requests without a result."""
        return self.requests - self.succeeded - self.errored - self.canceled - self.expired

    @property
    def status(self) -> ProcessingStatus:
        if self.ended_at is not None:
            return "ended"
        return "in_progress" if self.cancel_initiated_at is None else "canceling"

    def fate_of_waiting(self, now: datetime) -> Literal["canceled", "expired"] | None:
        """Return what requests that nobody works on become; `None` if they go on waiting."""
        if self.cancel_initiated_at is not None:
            return "canceled"
        return "expired" if now >= self.expires_at else None

    def is_archived_by(self, now: datetime) -> bool:
        """Return whether the results are to be deleted, or are."""
        return self.archived_at is not None or now >= self.created_at + RETENTION

    def check_cancel(self) -> None:
        """Raise `InvalidRequestError` if it is too late to cancel. Twice is as good as once."""
        if self.ended_at is not None:
            # The API's own sentence is not known.
            raise InvalidRequestError(f"Message Batch {self.id} has ended and cannot be canceled.")

    def check_delete(self) -> None:
        """Raise `InvalidRequestError` for a batch that has not ended."""
        if self.ended_at is None:
            raise InvalidRequestError(
                "In progress batches cannot be deleted. Consider canceling the batch instead."
            )

    def check_results(self, now: datetime) -> None:
        """Raise `NotFoundError` before the end, and after the results are archived."""
        if self.ended_at is None or self.is_archived_by(now):
            raise NotFoundError(f"Message Batch {self.id} has no available results.")


def batch_not_found(batch_id: str) -> NotFoundError:
    """Return the error for an id that is unknown, or is that of another workspace's batch."""
    return NotFoundError(f"Message Batch {shortened(batch_id)} not found.")


def described(
    batch: BatchState, base_url: str, waits_for: str | None = None, slowed_by: str | None = None
) -> MessageBatch:
    """Return a batch as it is sent. `base_url` is how the client reaches this server.

    `waits_for` says why no request of it runs, `slowed_by` why few do. An ended batch says neither,
    and one that waits is not called slow.
    """
    waits_for = None if batch.ended_at is not None else waits_for
    slowed_by = None if batch.ended_at is not None or waits_for is not None else slowed_by
    url = f"{base_url.rstrip('/')}/v1/messages/batches/{batch.id}/results"
    return MessageBatch(
        id=batch.id,
        processing_status=batch.status,
        request_counts=RequestCounts(
            processing=batch.processing,
            succeeded=batch.succeeded,
            errored=batch.errored,
            canceled=batch.canceled,
            expired=batch.expired,
        ),
        ended_at=_timestamp(batch.ended_at),
        created_at=timestamp(batch.created_at),
        expires_at=timestamp(batch.expires_at),
        cancel_initiated_at=_timestamp(batch.cancel_initiated_at),
        archived_at=_timestamp(batch.archived_at),
        results_url=None if batch.ended_at is None else url,
        waits_for=msgspec.UNSET if waits_for is None else waits_for,
        slowed_by=msgspec.UNSET if slowed_by is None else slowed_by,
        cost=Money(amount=cents(batch.cost)) if batch.cost else msgspec.UNSET,
    )


def timestamp(moment: datetime) -> str:
    """Return a moment as batches state it: in UTC, with microseconds.

    >>> timestamp(datetime(2026, 9, 1, tzinfo=UTC))
    '2026-09-01T00:00:00.000000Z'
    """
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return naive.isoformat(timespec="microseconds") + "Z"


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


# ── pace

# How much longer the first token of an interactive request may take beside batch work.
_SLOWER: Final = 1.05
# The times that a judgement needs.
_FEWEST: Final = 5
MOST_TIMES: Final = 33
"""The times that are kept: the last ones, of each kind."""
# The intervals after which one more request is tried without a judgement.
_PROBE_AFTER: Final = 10


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of batches run at once beside the interactive requests of one model.

    `window` begins with 1 and is from 0 to `ceiling`. It follows AIMD, additive increase and
    multiplicative decrease, as TCP does (Chiu and Jain, 1989), on the time to the first token of
    interactive requests: `baseline` has the last of them without batch work, `beside` those with
    it since the window was last changed. Medians are compared, so one long prompt decides nothing;
    the more the prompts differ in size, the more often chance halves the window. `waited` counts
    intervals without a judgement.
    """

    ceiling: int
    window: int = 1
    baseline: tuple[float, ...] = ()
    beside: tuple[float, ...] = ()
    waited: int = 0

    def observed(self, first_token_ms: float, *, beside_batch: bool) -> "Pace":
        """Note the first token of an interactive request, in milliseconds from its admission.

        `beside_batch`: whether batch work ran at any time of them.
        """
        if beside_batch:
            times = (*self.beside, first_token_ms)[-MOST_TIMES:]
            # What began before the window was closed does not put off the next try.
            waited = 0 if self.window else self.waited
            return msgspec.structs.replace(self, beside=times, waited=waited)
        times = (*self.baseline, first_token_ms)[-MOST_TIMES:]
        return msgspec.structs.replace(self, baseline=times)

    def after_interval(self) -> "Pace":
        """Return the pace of the next interval; call it once a second, or as often as is right.

        One more request, if interactive ones were at most 5 % slower or there were none; half, if
        they were more. While the window is 0, or too few ran beside batch work to judge, ten
        intervals pass before one more is tried.
        """
        is_unsure = self.window == 0 or 0 < len(self.beside) < _FEWEST
        if is_unsure and self.waited + 1 < _PROBE_AFTER:
            return msgspec.structs.replace(self, waited=self.waited + 1)
        if self.window and self._is_slower():
            return self._with_window(self.window // 2)
        return self._with_window(min(self.ceiling, self.window + 1))

    def _is_slower(self) -> bool:
        if len(self.beside) < _FEWEST:
            return False
        # Without a baseline nothing is known, and less batch work is what gives one.
        known = len(self.baseline) >= _FEWEST
        return not known or _median(self.beside) > _SLOWER * _median(self.baseline)

    def _with_window(self, window: int) -> "Pace":
        return Pace(ceiling=self.ceiling, window=window, baseline=self.baseline)


def _median(times: Sequence[float]) -> float:
    """Return the middle one, of an even number the later of the two."""
    return sorted(times)[len(times) // 2]
