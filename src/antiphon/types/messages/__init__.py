"""What batches consist of, where the official SDK has it and under its names."""

from antiphon.sdk.batches.types import BatchResult as MessageBatchResult
from antiphon.sdk.batches.types import BatchRow as MessageBatchIndividualResponse
from antiphon.sdk.batches.types import Canceled as MessageBatchCanceledResult
from antiphon.sdk.batches.types import DeletedMessageBatch, MessageBatch
from antiphon.sdk.batches.types import Errored as MessageBatchErroredResult
from antiphon.sdk.batches.types import Expired as MessageBatchExpiredResult
from antiphon.sdk.batches.types import RequestCounts as MessageBatchRequestCounts
from antiphon.sdk.batches.types import Succeeded as MessageBatchSucceededResult

__all__ = [
    "DeletedMessageBatch",
    "MessageBatch",
    "MessageBatchCanceledResult",
    "MessageBatchErroredResult",
    "MessageBatchExpiredResult",
    "MessageBatchIndividualResponse",
    "MessageBatchRequestCounts",
    "MessageBatchResult",
    "MessageBatchSucceededResult",
]
