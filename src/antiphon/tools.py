"""Ready-made tools under the names of the official SDK."""

import os
from pathlib import Path

from antiphon.sdk.tools.memory import MemoryTool
from antiphon.sdk.tools.results import ToolError

__all__ = ["BetaLocalFilesystemMemoryTool", "MemoryTool", "ToolError"]


class BetaLocalFilesystemMemoryTool(MemoryTool):
    """The `MemoryTool` whose notes are in the folder `memories` of a folder, as there."""

    def __init__(self, base_path: str | os.PathLike[str] = "./memory") -> None:
        super().__init__(Path(base_path) / "memories")
