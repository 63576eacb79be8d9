"""Slows down those who try passwords: by account, by address, and by browser."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Literal, TypeAlias

from antiphon.core.errors import AuthenticationError, RateLimitError
from antiphon.core.sign_in import (
    FREE_TRIES,
    FREE_TRIES_OF_AN_ADDRESS,
    Failures,
    after_failure,
    wait_s,
)

# What failures are counted by. A browser that a user has signed in with has a count of its own, so
# nobody else can keep that user out.
Kind: TypeAlias = Literal["account", "address", "browser"]
Subject: TypeAlias = tuple[Kind, str]

# The subjects of a kind that are remembered; beyond them, the one that failed longest ago goes.
MOST_SUBJECTS = 10_000
_FREE: dict[Kind, int] = {
    "account": FREE_TRIES,
    "address": FREE_TRIES_OF_AN_ADDRESS,
    "browser": FREE_TRIES,
}


class SignInThrottle:
    """Counts failed tries in the memory of this process. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float], most: int = MOST_SUBJECTS) -> None:
        self._clock = clock
        self._most = most
        self._failures: dict[Kind, OrderedDict[str, Failures]] = {
            kind: OrderedDict() for kind in _FREE
        }

    @contextmanager
    def trying(self, subjects: Sequence[Subject]) -> Iterator[None]:
        """Count a try of these subjects, until it turns out not to have failed.

        It counts before it is made, so tries at the same time are not free. A success forgets the
        failures of the account and of the browser, but not those of the address: whoever has an
        account could try those of others between. What failed for another reason than a wrong
        password does not count. Raises `RateLimitError` for a try that comes too early, which does
        not count either.
        """
        now = self._clock()
        pause = max(wait_s(self._of(one), _FREE[one[0]], now) for one in subjects)
        if pause > 0:
            raise RateLimitError(
                "Too many failed attempts to sign in. Please wait.",
                headers={"retry-after": str(ceil(pause))},
            )
        before = [(one, self._of(one)) for one in subjects]
        for one, failures in before:
            self._set(one, after_failure(failures, now))
        try:
            yield
        except AuthenticationError:
            raise
        except BaseException:
            self._take_back(subjects)
            raise
        self._take_back([one for one in subjects if one[0] == "address"])
        for kind, name in subjects:
            if kind != "address":
                self._failures[kind].pop(name, None)

    def _of(self, subject: Subject) -> Failures | None:
        kind, name = subject
        return self._failures[kind].get(name)

    def _set(self, subject: Subject, failures: Failures) -> None:
        kind, name = subject
        known = self._failures[kind]
        known[name] = failures
        known.move_to_end(name)
        if len(known) > self._most:
            known.popitem(last=False)

    def _take_back(self, subjects: Sequence[Subject]) -> None:
        """Count one failure less; others may have been counted meanwhile."""
        for kind, name in subjects:
            failures = self._failures[kind].get(name)
            if failures is not None:
                self._failures[kind][name] = Failures(failures.count - 1, failures.last_s)
