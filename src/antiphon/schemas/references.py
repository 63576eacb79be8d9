"""Resolves the `$ref`s of a schema, as far as they lead into the schema itself.

A reference is `#`, a JSON pointer (RFC 6901) as a percent-encoded URI fragment, or the name of an
`$anchor`. The `$id` of the whole schema may precede it.
"""

from typing import Any
from urllib.parse import unquote

from antiphon.schemas.steps import Steps
from antiphon.schemas.well_formed import SCHEMA, inside, is_well_formed, subschemas


class References:
    """Resolves the references within one schema."""

    def __init__(self, root: Any, steps: Steps) -> None:
        self._root = root
        self._steps = steps
        self._known: dict[str, Any] = {}
        self._anchors: dict[str, Any] | None = None

    def target(self, reference: str) -> Any:
        """Return the schema that `reference` leads to, or None."""
        if reference not in self._known:
            self._known[reference] = self._found(reference)
        return self._known[reference]

    def _found(self, reference: str) -> Any:
        fragment = self._fragment(reference)
        if fragment is None:
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchored(fragment)
        found = self._root
        position = SCHEMA
        for key in tokens(fragment):
            self._steps.take()
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                return None
            position = inside(position, key)
        # A pointer may lead to a position that holds no schema and has not been checked.
        return found if position == SCHEMA or is_well_formed(found) else None

    def _fragment(self, reference: str) -> str | None:
        """Return the decoded fragment, or None if the reference leads to another document."""
        base, _, fragment = reference.partition("#")
        own = self._root.get("$id", "") if isinstance(self._root, dict) else ""
        if base and (not isinstance(own, str) or base != own.rstrip("#")):
            return None
        return unquote(fragment)

    def _anchored(self, name: str) -> Any:
        if self._anchors is None:
            self._anchors = {}
            waiting = [self._root]
            while waiting:
                node = waiting.pop()
                self._steps.take()
                if isinstance(node, dict):
                    if isinstance(node.get("$anchor"), str):
                        self._anchors[node["$anchor"]] = node
                    waiting.extend(subschemas(node))
        return self._anchors.get(name)


def tokens(pointer: str) -> list[str]:
    """Return the keys of a decoded JSON pointer."""
    keys = pointer.split("/")[1:]
    return [key.replace("~1", "/").replace("~0", "~") for key in keys]
