"""The models of a server."""

from typing import Any, Unpack

from antiphon.sdk.call import Call, CallOptions, path_of
from antiphon.sdk.endpoint import AsyncEndpoint, AsyncResource, Endpoint, Resource
from antiphon.sdk.pages import AsyncPageEndpoint, PageCall, PageEndpoint, page_call, page_of
from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.decoding import answered


class ModelInfo(Answered, kw_only=True, frozen=True):
    """A model. `capabilities` says what it can, as the API writes it."""

    id: str
    type: str = "model"
    display_name: str = ""
    created_at: str = ""
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: dict[str, Any] | None = None


def retrieve_model(model_id: str, **options: Unpack[CallOptions]) -> Call[ModelInfo]:
    """Return one model, by its id or an alias."""
    return Call(
        method="GET",
        path=path_of("models", model_id),
        decode=answered(ModelInfo),
        options=options,
    )


def list_models(
    *,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[ModelInfo]:
    """List the models, `limit` on a page (1 to 1000)."""
    query = {"limit": limit, "after_id": after_id, "before_id": before_id}
    return page_call(path_of("models"), page_of(ModelInfo), query, options)


class Models(Resource):
    """`client.models`."""

    retrieve = Endpoint(retrieve_model)
    list = PageEndpoint(list_models)


class AsyncModels(AsyncResource):
    """`client.models` of an async client."""

    retrieve = AsyncEndpoint(retrieve_model)
    list = AsyncPageEndpoint(list_models)
