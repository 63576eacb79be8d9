"""Rules of `output_config.format`: an answer that is JSON of a given schema."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.citations.sources import Citable, has_citations_enabled
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Turn
from antiphon.core.validation.schemas import refusing_schemas
from antiphon.core.validation.spots import Spot
from antiphon.schemas.allowed import check_complexity, check_schema
from antiphon.schemas.steps import Steps
from antiphon.schemas.well_formed import check_well_formed
from antiphon.wire.messages import (
    CountTokensParams,
    CreateMessageParams,
    FormatParam,
    OutputConfigParam,
)

SCHEMA = "output_config.format.schema"

Params = TypeVar("Params", CreateMessageParams, CountTokensParams)


def with_format(params: Params) -> Params:
    """Return a request with its `output_format` where today's clients have it.

    Raises `InvalidRequestError` if `output_config.format` asks for something else.
    """
    older = params.output_format
    if older is None:
        return params
    output = OutputConfigParam() if params.output_config is UNSET else params.output_config
    if output.format is not None and _text(output.format) != _text(older):
        raise InvalidRequestError("output_format: must be equal to output_config.format, or absent")
    return replace(params, output_config=replace(output, format=older))


def _text(form: FormatParam) -> bytes:
    # In Python `1 == True`.
    return msgspec.json.encode(form, order="deterministic")


def check_format(
    params: CreateMessageParams | CountTokensParams,
    turns: tuple[Turn, ...],
    spots: Sequence[Spot],
    strict: Sequence[dict[str, Any]],
    steps: Steps,
) -> None:
    """Check the schema of the answer in so many `steps`, and that nothing contradicts it.

    Its size counts together with those of the `strict` tools.
    """
    output = params.output_config
    if output is UNSET or output.format is None:
        return
    with refusing_schemas():
        check_well_formed(output.format.schema, SCHEMA)
        check_schema(output.format.schema, SCHEMA, steps)
        check_complexity([*strict, output.format.schema])
    if any(isinstance(spot.block, Citable) and has_citations_enabled(spot.block) for spot in spots):
        raise InvalidRequestError("output_config.format: citations are not supported with a format")
    if turns[-1].role == "assistant":
        raise InvalidRequestError(
            "output_config.format: assistant message prefill is not supported with a format"
        )
