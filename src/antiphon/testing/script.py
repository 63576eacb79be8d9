"""What a server for tests does with its next requests, in order."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, TypeAlias

import msgspec

from antiphon.testing.answers import Answer, When, answer
from antiphon.testing.failures import (
    ApiFailure,
    ConnectionLoss,
    Failure,
    RawFailure,
    api_error,
)
from antiphon.testing.requests import RecordedRequest

MESSAGES = "/v1/messages"

# What a function of the request is to the script: it is called when its turn has come.
Deed: TypeAlias = "Answer | Failure | Callable[[RecordedRequest], object]"


class Step(msgspec.Struct, eq=False):
    """One deed for so many requests (`None`: for all), of those to `path` that `when` accepts.

    `path` is a pattern with `*`. `when` is searched in the last text of the user, or asked. Raises
    `ValueError` for one that is no regular expression.
    """

    deed: Deed
    path: str = MESSAGES
    method: str | None = None
    when: When = None
    left: int | None = 1
    done: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.when, str):
            try:
                re.compile(self.when, re.DOTALL)
            except re.error as error:
                raise ValueError(
                    f"when: {self.when!r} is no regular expression: {error}"
                ) from error

    def takes(self, request: RecordedRequest) -> bool:
        if self.method not in (None, request.method) or not fnmatchcase(request.path, self.path):
            return False
        if self.when is None:
            return True
        if callable(self.when):
            return bool(self.when(request))
        return re.search(self.when, request.text, re.DOTALL) is not None

    @property
    def unused(self) -> bool:
        """Whether there are requests that it still waits for."""
        return not self.done if self.left is None else self.left > 0

    def __str__(self) -> str:
        times = "every time" if self.left is None else f"{self.left} more times"
        when = "" if self.when is None else f", when {self.when!r}"
        deed = getattr(self.deed, "__name__", repr(self.deed))
        return f"{deed} ({self.path}{when}, {times})"


class Script:
    """The steps that are left. Any thread may use it."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._lock = Lock()
        self.mistakes: list[BaseException] = []
        """The exceptions of a test's own functions, which a request has met."""

    def add(self, step: Step) -> None:
        with self._lock:
            self._steps.append(step)

    def take(self, request: RecordedRequest) -> "Turn":
        """Take a turn of the first step for a request, and find out what is to be done.

        A function of the test that fails is one of `mistakes`, and the request gets a 500.
        """
        step = None
        try:
            step = self._taken(request)
            return Turn(request, step, None if step is None else _done(step.deed, request))
        except Exception as error:  # noqa: BLE001 - the test's own function: for the test to see
            self.mistakes.append(error)
            return Turn(request, step, api_error("A function of the test has failed."))

    def _taken(self, request: RecordedRequest) -> Step | None:
        with self._lock:
            for step in self._steps:
                if step.left != 0 and step.takes(request):
                    step.done += 1
                    if step.left is not None:
                        step.left -= 1
                    return step
        return None

    def give_back(self, step: Step) -> None:
        """Undo a turn that was taken: its request never came to the model."""
        with self._lock:
            step.done -= 1
            if step.left is not None:
                step.left += 1

    def clear(self) -> None:
        with self._lock:
            self._steps.clear()
            self.mistakes.clear()

    @property
    def unused(self) -> list[Step]:
        """The steps that still wait for a request."""
        with self._lock:
            return [step for step in self._steps if step.unused]


class Turn(msgspec.Struct, eq=False):
    """A request, the step whose turn it is, and what is to be done; both `None` without one.

    `asked` counts how often the model was asked for an answer.
    """

    request: RecordedRequest
    step: Step | None
    deed: Answer | Failure | None
    asked: int = 0

    @property
    def runs_server(self) -> bool:
        """Whether the server works on the request, as the model has to say something."""
        match self.deed:
            case RawFailure():
                return False
            case ApiFailure(after=after) | ConnectionLoss(after=after):
                return after is not None
            case _:
                return True


def _done(deed: Deed, request: RecordedRequest) -> Answer | Failure:
    """Return what is to be done; of a function what it returns for the request."""
    # An error of the vocabulary can be called as well, which returns another one.
    said: Any = deed if isinstance(deed, Answer | Failure) else deed(request)
    if isinstance(said, Answer | Failure):
        return said
    return answer(*(said if isinstance(said, tuple | list) else (said,)))
