"""What the writers of objects and arrays share."""

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.schemas.check import Check
from antiphon.schemas.document import Document
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.view import Asked


@dataclass(frozen=True, slots=True)
class Context:
    """One schema on its way into a grammar.

    `inside` names the rule of a property's value or an array's item; nothing if none fits. `unenforced`
    gets the words that are not kept. A `tight` grammar leaves out what could not be kept.
    """

    rules: Rules
    document: Document
    check: Check
    inside: Callable[[Asked], str | None]
    unenforced: set[str]
    tight: bool
