"""What the requests of one model tell of its engines: how fast each is, and when one failed."""

from collections import Counter
from collections.abc import Callable, Sequence

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Outcome
from antiphon.core.speeds import RecentSpeed
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.states import EngineSpeeds, RequestFailure


class EngineMeter:
    """Measures the engines of one model by its interactive requests.

    A request costs two additions when it has ended. Seen from here an engine is as fast as its
    callers find it: the wait for a slot, and the network of an upstream, count. `errors` counts the
    requests that failed by the fault of the engines, by kind.
    """

    def __init__(self, engines: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._speeds: Sequence[tuple[RecentSpeed, RecentSpeed]] = [
            (RecentSpeed(), RecentSpeed()) for _ in range(engines)
        ]
        self.errors: Counter[EngineErrorKind] = Counter()
        self._failed: tuple[EngineErrorKind, float] | None = None

    def note(self, number: int, entry: LedgerEntry, money_s: float) -> None:
        """Note an answer of the engine of this number; 0 is the only one, or is not known.

        Requests of batches are left out: they stand still for others.
        `money_s` is how long the request has waited for money before its engine got it.
        """
        first = entry.first_token_at
        if entry.batch_id is not None or first is None or (not number and len(self._speeds) > 1):
            return
        tokens, now = entry.tokens, self._clock()
        prompts, answers = self._speeds[number - 1 if number else 0]
        read = tokens.input + tokens.cache_write_5m + tokens.cache_write_1h
        prompts.add(read, (first - entry.started_at).total_seconds() - money_s, now)
        if entry.outcome is Outcome.COMPLETED:
            # The first token is there when the time of the others begins.
            answers.add(tokens.output - 1, (entry.ended_at - first).total_seconds(), now)

    def note_error(self, error: BaseException | None) -> None:
        """Note how a request ended; what is the fault of the request is none of the engine."""
        if isinstance(error, EngineError) and error.kind is not EngineErrorKind.UNSUPPORTED:
            self._failed = error.kind, self._clock()
            self.errors[error.kind] += 1

    def speeds(self, index: int) -> EngineSpeeds:
        """Return how fast the engine at this index was in the last minutes."""
        now = self._clock()
        prompts, answers = self._speeds[index]
        return EngineSpeeds(prefill=prompts.per_second(now), decode=answers.per_second(now))

    def latest_decode(self, index: int) -> float | None:
        """Return the tokens of an answer in a second when the engine had some last."""
        now = self._clock()
        answers = self._speeds[index][1]
        return answers.per_second(now) or answers.latest

    @property
    def failure(self) -> RequestFailure | None:
        """The last failure of the model's engines in a request."""
        if self._failed is None:
            return None
        kind, at = self._failed
        return RequestFailure(kind, max(0.0, self._clock() - at))
