"""The parts of a conversation that may name a URL to fetch."""

from typing import Literal, TypeAlias

import msgspec

Filter: TypeAlias = Literal["all", "none", "only", "except"]


class ToolFilter(msgspec.Struct, frozen=True):
    """The tools whose results count."""

    kind: Filter = "all"
    names: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Return whether the results of a tool count."""
        match self.kind:
            case "only":
                return name in self.names
            case "except":
                return name not in self.names
        return self.kind == "all"


class UrlSourceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a conversation."""

    user_input: bool = True
    client_results: ToolFilter = ToolFilter()
    server_results: ToolFilter = ToolFilter()
