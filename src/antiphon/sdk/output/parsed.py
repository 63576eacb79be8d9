"""An answer that is a value of a type, and what is raised where it is none."""

from typing import Generic, TypeVar

from antiphon.sdk.errors import AntiphonError
from antiphon.sdk.json_types.values import Problem
from antiphon.sdk.types.message import Message

T = TypeVar("T")


class OutputError(AntiphonError):
    """An answer is no value of its type.

    `message` is the answer. `problems` say which places of its JSON do not fit; there are none if
    it was refused or cut, or calls tools.
    """

    def __init__(self, text: str, *, message: Message, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(text)
        self.message = message
        self.problems = problems


class ParsedMessage(Message, Generic[T], kw_only=True, frozen=True):
    """An answer with its value."""

    @property
    def parsed_output(self) -> T | None:
        """The value; `None` if the answer was refused or cut, or calls tools."""
        value: T | None = self.__dict__.get("_output")
        return value

    @property
    def output(self) -> T:
        """The value. Raises `OutputError` that says why there is none."""
        if "_output" not in self.__dict__:
            raise OutputError(_reason(self), message=self)
        value: T = self.__dict__["_output"]
        return value


def _reason(message: Message) -> str:
    match message.stop_reason:
        case "refusal":
            details = message.stop_details
            said = details.explanation or details.category if details is not None else None
            return "the model refused to answer" + (f": {said}" if said else "")
        case "max_tokens":
            used = message.usage.output_tokens
            return f"the answer was cut at {used} tokens, before its JSON ended: raise max_tokens"
        case "model_context_window_exceeded":
            return "the answer was cut before its JSON ended: the context of the model is full"
        case "tool_use":
            return "the model calls tools first: run them, and ask again"
        case other:
            return f"the answer has no value: its stop_reason is {other!r}"
