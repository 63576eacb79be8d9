"""The strings that a view allows as one language: its patterns, formats and lengths together."""

from collections.abc import Iterable

from antiphon.schemas.document import Document
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import (
    ANY,
    REST,
    Language,
    both,
    either,
    neither,
    repeat,
    whole,
    word,
)
from antiphon.schemas.view import Schema, View


def language_of(
    document: Document, view: View, forbidden: Iterable[str]
) -> tuple[Language, tuple[str, ...]]:
    """Return the language of the strings of a view, sizes aside, and the words that have none."""
    left: tuple[str, ...] = ()
    sides = [neither(whole(either(*map(word, forbidden))))]
    for pattern in view.patterns:
        found = document.language(pattern)
        if found is None:
            left = ("pattern",)
        else:
            sides.append(found)
    for name in view.formats:
        form = FORMATS[name]
        sides.append(language(f"^(?:{form.strict or form.pattern})$"))
    if view.values is not None:
        texts = (one for one in view.values.values() if isinstance(one, str))
        sides.append(whole(either(*map(word, texts))))
    return both(*sides), left


def counted(view: View) -> Language:
    """Return the texts that are as long as they must be."""
    least, most = sizes(view.words)
    return REST if (least, most) == (0, None) else whole(repeat(ANY, least, most))


def sizes(words: Schema) -> tuple[int, int | None]:
    """Return how many characters a string has at least and at most."""
    most = words.get("maxLength")
    return int(words.get("minLength", 0)), None if most is None else int(most)
