"""The names of models: ids, aliases and wildcards."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from antiphon.core.claude_code import claude_name

# The most characters of a name that only a wildcard takes. It becomes part of the ledger.
LONGEST_NAME = 256
# Names for which it is kept which wildcard takes them.
KEPT_NAMES = 256


class Catalogue:
    """The names of the served models.

    A model's own id comes first, then exact aliases, then wildcards (`claude-*`) in the order in
    which they were given; `*` alone takes every name. The same wildcard on two models is an error:
    the second would never be asked. Each model also answers to the name by which Claude Code
    lists it, unless that is an alias of another.
    """

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        """Take each model's id with its aliases. Raises `ValueError` for a name given twice."""
        self.ids = tuple(models)
        self._exact: dict[str, str] = {model: model for model in models}
        self._wildcards: dict[str, str] = {}
        for model, aliases in models.items():
            for alias in aliases:
                self._add(alias, model)
        for model in models:
            self._exact.setdefault(claude_name(model), model)
        # Callers may choose any name that fits, and nearly all choose the same few.
        self._by_wildcard = lru_cache(maxsize=KEPT_NAMES)(self._first_that_takes)

    def _add(self, alias: str, model: str) -> None:
        names = self._wildcards if "*" in alias or "?" in alias else self._exact
        if names.setdefault(alias, model) != model:
            raise ValueError(f"{alias!r} names two models: {names[alias]!r} and {model!r}")

    def resolve(self, name: str) -> str | None:
        """Return the id of the model that answers to `name`."""
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        return None if len(name) > LONGEST_NAME else self._by_wildcard(name)

    def _first_that_takes(self, name: str) -> str | None:
        """Return the id of the first model with a wildcard that `name` fits."""
        for pattern, model in self._wildcards.items():
            if fnmatchcase(name, pattern):
                return model
        return None
