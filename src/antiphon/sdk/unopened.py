"""What is told to a program that reads a stream without its `with`."""

from typing import TYPE_CHECKING, Any, ClassVar, Never


class Unopened:
    """Base of what `messages.stream` returns: nothing of it is there before its `with`."""

    opened_by: ClassVar[str] = "with"

    # Type checkers know what is there, and say it themselves.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(f"{name} is of the open stream; {self._how()}")

        def __iter__(self) -> Any:
            raise TypeError(f"the stream is not open; {self._how()}")

        def __aiter__(self) -> Any:
            raise TypeError(f"the stream is not open; {self._how()}")

        def _how(self) -> str:
            return f"write `{self.opened_by} client.messages.stream(…) as stream:`"
