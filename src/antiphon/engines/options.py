"""The options of a model in the settings, decoded into what its engine knows."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from antiphon.engines.base import EngineStartError

Options = TypeVar("Options", bound=msgspec.Struct)


def decode_options(model: str, options: Mapping[str, Any], kind: type[Options]) -> Options:
    """Decode a model's options, or say which one is wrong; raises `EngineStartError`."""
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as error:
        raise EngineStartError(f"Model `{model}`: {_in_words(str(error))}.") from error


def _in_words(message: str) -> str:
    complaint, _, path = message.partition(" - at `$.")
    complaint = complaint[:1].lower() + complaint[1:]
    if path:
        return f"the option `{path.rstrip('`')}` is wrong: {complaint}"
    return complaint.replace("object contains unknown field", "there is no option")
