"""The note on the default model, which is a toy: it names one for real work on this machine."""

from collections.abc import Iterable
from contextlib import suppress

from antiphon.cli.output import decimal_size
from antiphon.cli.recommended import Recommended, recommended_here, serve_command
from antiphon.settings import ModelSettings
from antiphon.weights.catalogue import Fit, named_in_catalogue, read_catalogue
from antiphon.weights.spec import ModelName, SpecError, parse_spec


def toy_note(
    models: Iterable[ModelSettings], recommended: Recommended = recommended_here
) -> str | None:
    """Return a note on the default model, if it is served: it is too small for real work.

    It names the model that is `recommended` for this machine, with its command.
    """
    for model in models:
        for one in model.runs_on():
            with suppress(SpecError):
                if is_toy(parse_spec(one.source or "")):
                    return (
                        f"{model.id} is a toy, which shows that everything works and answers "
                        f"little rightly. {real_work(recommended())}"
                    )
    return None


def is_toy(name: ModelName) -> bool:
    """Return whether a name is that of the default model."""
    entry = named_in_catalogue(name, read_catalogue())
    return entry is not None and entry.is_toy


def real_work(fit: Fit | None) -> str:
    """Return the sentence that names a model for real work on this machine, and its command."""
    if fit is None:
        return (
            "No model for real work fits into the memory that is free here: "
            "`antiphon models recommended`."
        )
    size = decimal_size(fit.model.size)
    return (
        f"For real work {fit.model.name} ({size}) fits this machine: "
        f"`{serve_command(fit.model)}`. `antiphon models recommended` lists others."
    )
