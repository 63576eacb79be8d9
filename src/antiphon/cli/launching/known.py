"""The programs that `antiphon launch` knows, by their names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from antiphon.cli.launching.agents import CLAUDE, COPILOT, OPENCODE
from antiphon.cli.launching.editors import VSCODE, ZED
from antiphon.cli.launching.program import Program

PROGRAMS: Final[Mapping[str, Program]] = MappingProxyType(
    {"claude": CLAUDE, "opencode": OPENCODE, "zed": ZED, "vscode": VSCODE, "copilot": COPILOT}
)
