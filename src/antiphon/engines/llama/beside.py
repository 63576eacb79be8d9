"""Whether a model can be loaded a second time, before the first one is closed."""

from pathlib import Path

from antiphon.engines.llama.context import chosen_context, context_facts
from antiphon.engines.llama.memory import RESERVE
from antiphon.engines.llama.options import LlamaOptions


class NotBesideError(Exception):
    """A model cannot be loaded beside the one that runs. The message says why, for the operator."""


def needed_beside(model: str, options: LlamaOptions, weights: Path | None, free: int) -> int:
    """Return the bytes of memory that a model takes, of those that are `free` now.

    The weights count, although the system may share them with those that are loaded: rather too
    much than too little. Blocks. Raises `NotBesideError`, and `OSError` for a file that cannot be
    read.
    """
    if options.url is not None or weights is None:
        # Each would believe that the slots are its own.
        raise NotBesideError(f"the slots of the server of {model} have one owner")
    projector = None if options.mmproj is None else Path(options.mmproj)
    facts = context_facts(weights, projector)
    if facts.token is None:
        raise NotBesideError(f"it is not known what the context of {model} takes")
    context = options.context
    if not context:
        chosen = chosen_context(facts, free, options.slots)
        if chosen.bound == "memory":
            raise NotBesideError(f"the context of {model} would be smaller: memory is short")
        context = chosen.tokens
    return facts.weights + (facts.token * context + facts.fixed) * options.slots + RESERVE
