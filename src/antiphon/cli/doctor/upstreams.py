"""What `antiphon doctor` says of the servers that run models, by the engines that ask them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.cli.doctor.finding import Finding, note, ok, told
from antiphon.engines.base import EngineConfig, EngineStartError
from antiphon.engines.registry import examine_engine

_OTHERWISE: Final = "start it, or correct its options: docs/reference/settings.md"


def check_server(
    engine: str, model: str, options: Mapping[str, Any], state_dir: Path
) -> Finding | None:
    """Have an engine examine its server; `None` if it examines none."""
    config = EngineConfig(model, options=options, state_dir=state_dir)
    try:
        found = asyncio.run(examine_engine(engine, config))
    except EngineStartError as error:
        return told("model", str(error), _OTHERWISE)
    if found is None:
        return None
    return ok("model", found.text) if found.mend is None else note("model", found.text, found.mend)
