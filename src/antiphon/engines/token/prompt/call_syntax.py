"""The text of a call: shown to models, enforced by grammars, and parsed from answers."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec


class CallSyntax(msgspec.Struct, frozen=True):
    """A JSON object with a name and arguments, between an opening and a closing.

    Without an opening an answer that begins as a call is one.
    """

    opening: str
    closing: str
    arguments: str

    def before(self, name: str) -> str:
        """Return the text of a call up to its arguments."""
        head = "\n" if self.opening else ""
        return f'{self.opening}{head}{{"name": {to_json(name)}, "{self.arguments}": '

    @property
    def after(self) -> str:
        """The text of a call behind its arguments."""
        return f"}}\n{self.closing}" if self.closing else "}"

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts that may be control tokens of the model."""
        return (self.opening, self.closing)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        return self.before(name) + to_json(arguments) + self.after


TAGGED: Final = CallSyntax("<tool_call>", "</tool_call>", "arguments")
"""The syntax that most open models are trained on; for other models it is described."""

BARE: Final = CallSyntax("", "", "parameters")
"""The syntax of Llama 3: the answer is the call."""


def to_json(value: object) -> str:
    """Encode JSON as in the training data of models: with spaces, and without escapes."""
    return json.dumps(value, ensure_ascii=False)
