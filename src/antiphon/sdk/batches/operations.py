"""The calls of `/v1/messages/batches`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Unpack

from antiphon.sdk.batches.types import DeletedMessageBatch, MessageBatch
from antiphon.sdk.call import Answer, Call, CallOptions, idempotent, json_body, path_of
from antiphon.sdk.pages import PageCall, page_call, page_of
from antiphon.sdk.sent import sent_params
from antiphon.sdk.types.decoding import answered

PATH = ("messages", "batches")
JSON_LINES = "application/x-jsonl"


def create_batch(
    *,
    requests: Iterable[Mapping[str, Any]],
    idempotency_key: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[MessageBatch]:
    """Make a batch of requests, each with a `custom_id` and its `params`.

    Antiphon makes one batch of an `idempotency_key`, however often the call is sent within a day;
    the hosted API ignores it. Without one each call has its own, so that its repetitions make one.
    """
    sent = [{**request, "params": sent_params(request["params"])} for request in requests]
    return Call(
        method="POST",
        path=path_of(*PATH),
        decode=answered(MessageBatch),
        body=json_body({"requests": sent}, options),
        headers=idempotent(idempotency_key),
        options=options,
    )


def create_encoded(body: bytes, idempotency_key: str, options: CallOptions) -> Call[MessageBatch]:
    """Make a batch of a body that is encoded already."""
    return Call(
        method="POST",
        path=path_of(*PATH),
        decode=answered(MessageBatch),
        body=body,
        headers=idempotent(idempotency_key),
        options=options,
    )


def retrieve_batch(batch_id: str, **options: Unpack[CallOptions]) -> Call[MessageBatch]:
    """Return a batch as it is now."""
    return Call(
        method="GET",
        path=path_of(*PATH, batch_id),
        decode=answered(MessageBatch),
        options=options,
    )


def list_batches(  # noqa: PLR0913 - the parameters of the list
    *,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    processing_status: str | None = None,
    order: str | None = None,
    starting_at: datetime | str | None = None,
    ending_at: datetime | str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[MessageBatch]:
    """List the batches of the workspace, the newest first, `limit` on a page (1 to 1000).

    The last four parameters select and sort; only Antiphon knows them.
    """
    query = {
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
        "processing_status": processing_status,
        "order": order,
        "starting_at": starting_at,
        "ending_at": ending_at,
    }
    return page_call(path_of(*PATH), page_of(MessageBatch), query, options)


def cancel_batch(batch_id: str, **options: Unpack[CallOptions]) -> Call[MessageBatch]:
    """Cancel a batch. Requests that run already may still be answered, and billed."""
    return Call(
        method="POST",
        path=path_of(*PATH, batch_id, "cancel"),
        decode=answered(MessageBatch),
        options=options,
    )


def delete_batch(batch_id: str, **options: Unpack[CallOptions]) -> Call[DeletedMessageBatch]:
    """Delete a batch that has ended, with its results."""
    return Call(
        method="DELETE",
        path=path_of(*PATH, batch_id),
        decode=answered(DeletedMessageBatch),
        options=options,
    )


def batch_results(batch_id: str, **options: Unpack[CallOptions]) -> Call[bytes]:
    """Return the results of a batch that has ended, one JSON object on each line."""
    return Call(
        method="GET",
        path=path_of(*PATH, batch_id, "results"),
        decode=_whole,
        headers=(("accept", f"{JSON_LINES}, application/json"),),
        options=options,
    )


def _whole(answer: Answer) -> bytes:
    return answer.body
