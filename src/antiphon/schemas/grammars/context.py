"""The state shared by the writers of objects and arrays."""

from collections.abc import Callable

import msgspec

from antiphon.schemas.check import Check
from antiphon.schemas.document import Document
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.view import Subschemas


class Context(msgspec.Struct, frozen=True):
    """The conversion of one schema to a grammar.

    `rule_of` returns the name of the rule for a property or an item, or None if no value fits.
    `unenforced` collects the keywords that the grammar does not enforce. A `tight` grammar allows
    less, so that fewer keywords stay unenforced.
    """

    rules: Rules
    document: Document
    check: Check
    rule_of: Callable[[Subschemas], str | None]
    unenforced: set[str]
    tight: bool
