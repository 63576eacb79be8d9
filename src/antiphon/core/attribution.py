"""The attribution header: the line that Claude Code writes in front of its system prompt.

It is a text block of its own, the first of the system prompt, and no HTTP header:

    x-anthropic-billing-header: cc_version=2.1.330.003; cc_entrypoint=cli; cch=1a2b3;

`cch` is the same in all requests of a conversation, and another one in each conversation. It stands
before everything that conversations could share.
"""

from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from antiphon.core.prompt import Prompt
from antiphon.wire.content import TextParam

HEADER: Final = "x-anthropic-billing-header:"
LONGEST: Final = 4096
"""Characters of a line that is looked at; the header has some hundred."""

_FILL: Final = "0"


def with_constant_attribution(prompt: Prompt) -> Prompt:
    """Return a prompt whose attribution header says the same in every conversation.

    All else stays as it is, breakpoints included. A prompt without the header is returned itself.
    """
    system = prompt.turns[0]
    first = system.content[0] if system.role == "system" else None
    if not isinstance(first, TextParam):
        return prompt
    text = constant_attribution(first.text)
    if text == first.text:
        return prompt
    content = (replace(first, text=text), *system.content[1:])
    return replace(prompt, turns=(replace(system, content=content), *prompt.turns[1:]))


def constant_attribution(text: str) -> str:
    """Return a text with zeros for the value of `cch`, as many as it has characters.

    Only a text that begins with the header is changed, and only in its first line: the header. A
    longer line than `LONGEST` is none.
    """
    end = text.find("\n", 0, LONGEST + 1)
    line = text[: LONGEST + 1] if end < 0 else text[:end]
    if not line.startswith(HEADER) or len(line) > LONGEST:
        return text
    fields = line[len(HEADER) :].split(";")
    starts = accumulate((len(field) + 1 for field in fields), initial=len(HEADER))
    for start, field in zip(starts, fields, strict=False):
        name, _, value = field.partition("=")
        if name.strip() == "cch":
            value = value.strip()
            at = start + field.index(value, len(name))
            return text[:at] + _FILL * len(value) + text[at + len(value) :]
    return text
