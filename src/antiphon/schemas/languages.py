"""The language of the strings that a view allows: its patterns, formats and sizes together."""

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
    exactly,
    neither,
    repeat,
    whole,
)
from antiphon.schemas.view import Schema, View


def language_of(
    document: Document, view: View, forbidden: Iterable[str]
) -> tuple[Language, tuple[str, ...]]:
    """Return the language of the strings of a view without sizes, and the unenforced keywords."""
    unenforced: tuple[str, ...] = ()
    languages = [neither(whole(either(*map(exactly, forbidden))))]
    for pattern in view.patterns:
        found = document.language(pattern)
        if found is None:
            unenforced = ("pattern",)
        else:
            languages.append(found)
    for name in view.formats:
        form = FORMATS[name]
        languages.append(language(f"^(?:{form.strict or form.pattern})$"))
    if view.values is not None:
        texts = (one for one in view.values.values() if isinstance(one, str))
        languages.append(whole(either(*map(exactly, texts))))
    return both(*languages), unenforced


def of_size(view: View) -> Language:
    """Return the language of all texts that have the size of the view."""
    least, most = sizes(view.keywords)
    return REST if (least, most) == (0, None) else whole(repeat(ANY, least, most))


def sizes(keywords: Schema) -> tuple[int, int | None]:
    """Return the minimum and the maximum number of characters."""
    most = keywords.get("maxLength")
    return int(keywords.get("minLength", 0)), None if most is None else int(most)
