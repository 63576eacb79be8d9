"""One run of one request of a batch, through the pipeline of every message.

    run ──► RunSucceeded   message and entry  ─┐
        ├─► RunErrored     error, and an entry ┴► commit, then `Ledger.settle_committed`
        │                  if it was admitted  └► not to be committed: `Ledger.release`
        └─► RunGivenUp     nothing to commit; its hold is released already

A run records nothing: until its result and its entry are committed together, it has not happened,
and the request can be run again. So each run has an id of its own; it is the id of its entry, and
of its hold. An entry that is not committed after all, by a worker without its lease, is released.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.errors import (
    NESTED,
    ApiError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    TimeoutError_,
    bounded,
    error_detail,
)
from antiphon.core.hints import OF_BATCH
from antiphon.core.ids import ID_ENTROPY, run_id
from antiphon.core.request_records import NO_NOTE, RunNote
from antiphon.core.validation.bodies import MESSAGE_BODY
from antiphon.logs import EventLog
from antiphon.service.access import Caller, RequestContext
from antiphon.service.accounts import Accounts
from antiphon.service.answer import Answer
from antiphon.service.background import offload
from antiphon.service.batches.file_budget import FileBudget
from antiphon.service.batches.run_watch import UNWATCHED, RunWatch
from antiphon.service.ledger import Ledger
from antiphon.service.limits.admitter import SpendLimitReachedError
from antiphon.service.limits.batch_lane import BatchTicket
from antiphon.service.limits.waits import Waits
from antiphon.service.messages import Messages
from antiphon.store.accounts import ApiKey
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import Directory
from antiphon.wire.decoding import BodyError
from antiphon.wire.errors import ErrorDetail
from antiphon.wire.messages import CreateMessageParams

# The key of a batch is known by its id alone; nothing asks for its age.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

# The errors that say nothing about the request: the same one may pass later.
_OVERLOADED = (OverloadedError, RateLimitError)
_BROKEN = (InternalError, TimeoutError_)


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch, as it is stored.

    `params` are its parameters in JSON; `version` and `betas` those of the call that created the
    batch, and so are the key, its workspace and the user who made the key. A `workspace_id` of
    `None` is the default workspace, as in the ledger.
    """

    batch_id: str
    params: bytes
    version: str
    betas: frozenset[str]
    api_key_id: str
    workspace_id: str | None = None
    account_id: str | None = None


class RunSucceeded(msgspec.Struct, frozen=True):
    """A whole message, encoded in JSON, and the entry that bills it.

    `note` is what the request log is told beside the entry; all that a run can be has one.
    """

    message: bytes
    entry: LedgerEntry
    note: RunNote = NO_NOTE


class RunErrored(msgspec.Struct, frozen=True):
    """An error that would come again. A request that was admitted has an entry, which is free."""

    run_id: str
    error: ErrorDetail
    entry: LedgerEntry | None = None
    note: RunNote = NO_NOTE


class GiveUp(StrEnum):
    """Why a run has no result."""

    YIELDED = "yielded"  # an interactive request needed the room
    SPEND_LIMIT = "spend_limit"  # until its reset, or a raise
    MONEY_HELD = "money_held"  # what is left under a limit, until running requests end
    OVERLOADED = "overloaded"  # the model, or what admits requests, cannot be used now
    FAILED = "failed"  # something broke, or took too long: perhaps because of this request


class RunGivenUp(msgspec.Struct, frozen=True):
    """A run without a result: nothing is billed, and the request can be run again.

    `error` is what the result says if it is not. A yielded run has none.
    """

    reason: GiveUp
    run_id: str
    error: ErrorDetail | None = None
    note: RunNote = NO_NOTE


BatchRun: TypeAlias = RunSucceeded | RunErrored | RunGivenUp

CheckParams: TypeAlias = Callable[[CreateMessageParams], None]
"""Raises the `ApiError` of parameters that a batch does not take."""


class BatchRunner:
    """Runs requests of batches, any number at once: their gates bound them."""

    def __init__(  # noqa: PLR0913 - the parts that it needs
        self,
        messages: Messages,
        accounts: Accounts,
        ledger: Ledger,
        entropy: Callable[[int], bytes],
        check: CheckParams,
        *,
        file_budget: FileBudget | None = None,
    ) -> None:
        self._messages = messages
        self._accounts = accounts
        self._ledger = ledger
        self._entropy = entropy
        self._check = check
        self._file_budget = file_budget or FileBudget()
        self._log = EventLog(__name__)

    def _run_id(self) -> str:
        return run_id(self._ledger.now().timestamp(), self._entropy(ID_ENTROPY))

    async def run(self, request: BatchRequest, watch: RunWatch = UNWATCHED) -> BatchRun:
        """Run a request to its end, or until an interactive one needs the room.

        Raises `StoreError`. Whatever it raises, as when it is cancelled, the hold of the request
        is released.
        """
        run = _Run(self._run_id(), watch)
        # It never ends by itself: to yield is to end it now.
        yielding = asyncio.timeout(None)
        now = asyncio.get_running_loop().time
        try:
            async with yielding:
                ended = await self._ended(request, run, lambda: yielding.reschedule(now()))
        except TimeoutError:
            if not yielding.expired():
                raise
            return RunGivenUp(GiveUp.YIELDED, run.id, note=run.note)
        else:
            if isinstance(ended, RunGivenUp) and yielding.expired():
                # The engine has failed because it was cancelled.
                return RunGivenUp(GiveUp.YIELDED, run.id, note=run.note)
            return replace(ended, note=run.note)
        finally:
            if run.answer is not None and not run.is_due:
                self._ledger.release(run.id)

    async def _ended(
        self, request: BatchRequest, run: "_Run", make_way: Callable[[], None]
    ) -> BatchRun:
        try:
            message, entry = await self._message(request, run, make_way)
        except SpendLimitReachedError as error:
            detail = ErrorDetail(type=RateLimitError.type, message=str(error), details=None)
            reason = GiveUp.MONEY_HELD if error.is_held else GiveUp.SPEND_LIMIT
            return RunGivenUp(reason, run.id, detail)
        except _OVERLOADED as error:
            return RunGivenUp(GiveUp.OVERLOADED, run.id, error_detail(error))
        except _BROKEN as error:
            cause = bounded(str(error.__cause__ or error))
            return self._failed(self._log.warning, request, run, error, reason=cause)
        except (ApiError, RecursionError) as error:
            # As for interactive requests: what was decoded with little on the stack may be nested
            # too deeply to be walked with more.
            fault = error if isinstance(error, ApiError) else InvalidRequestError(NESTED)
            run.is_due = run.entry is not None
            return RunErrored(run.id, error_detail(fault), run.entry)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the error boundary of a request of a batch
            # Raised, it would end the work on all other requests as well, again and again.
            told = {"reason": type(error).__name__, "exc_info": error}
            return self._failed(self._log.error, request, run, InternalError(), **told)
        run.is_due = True
        return RunSucceeded(message, entry)

    def _failed(
        self,
        log: Callable[..., None],
        request: BatchRequest,
        run: "_Run",
        error: ApiError,
        **told: Any,
    ) -> RunGivenUp:
        log("a run of a batch failed", request_id=run.id, batch_id=request.batch_id, **told)
        return RunGivenUp(GiveUp.FAILED, run.id, error_detail(error))

    async def _message(
        self, request: BatchRequest, run: "_Run", make_way: Callable[[], None]
    ) -> tuple[bytes, LedgerEntry]:
        size = len(request.params)
        directory = await self._accounts.current()
        params = await offload(size, decode_params, request.params, request.version, request.betas)
        self._check(params)
        with self._file_budget.share() as hold:
            context = RequestContext(
                caller_of(request, directory),
                run.id,
                request.version,
                size,
                hints=OF_BATCH,
                batch_id=request.batch_id,
                waits=run.waits,
                hold=hold,
            )
            answering = self._messages.batch_answer(params, context, make_way, run.queue)
            async with answering as answer:
                run.begin(answer)
                message = msgspec.json.encode(await answer.message())
        if run.entry is None:
            raise AssertionError("an answer without a bill")
        return message, run.entry


class _Run:
    """A run under way; `is_due` once its entry is the caller's, to be committed."""

    def __init__(self, run_id: str, watch: RunWatch) -> None:
        self.id = run_id
        self.answer: Answer | None = None
        self.ticket: BatchTicket | None = None
        self.waits = Waits()
        self.is_due = False
        self._watch = watch

    def queue(self, ticket: BatchTicket) -> None:
        self.ticket = ticket
        self._watch.queued(ticket)

    def begin(self, answer: Answer) -> None:
        self.answer = answer
        self._watch.begun()

    @property
    def entry(self) -> LedgerEntry | None:
        return None if self.answer is None else self.answer.entry

    @property
    def note(self) -> RunNote:
        waits, answer, ticket = self.waits, self.answer, self.ticket
        told = RunNote(gate_s=waits.gate_s, money_s=waits.money_s)
        if answer is None:
            return told
        facts = answer.facts
        if ticket is not None and (parked := ticket.parked) is not None:
            facts = replace(facts, parked=parked)
        return replace(told, engine_number=answer.engine_number, facts=facts)


def decode_params(params: bytes, version: str, betas: frozenset[str]) -> CreateMessageParams:
    """Decode the parameters of a request of a batch, as the body of a message.

    Raises the `InvalidRequestError` that becomes its result.
    """
    try:
        return MESSAGE_BODY.decode(params, version, betas)
    except BodyError as error:
        raise InvalidRequestError(str(error)) from error


def caller_of(request: BatchRequest, directory: Directory) -> Caller:
    """Return the caller of a request: the key that created the batch, which may have ended since.

    A batch belongs to its workspace, so it goes on without its key, under the limits as they are.
    """
    workspace_id = request.workspace_id or directory.default_workspace.id
    key = ApiKey(
        id=request.api_key_id,
        name="",
        hint="",
        created_at=_LONG_AGO,
        workspace_id=workspace_id,
        created_by=request.account_id,
    )
    return Caller(key, workspace_id, directory)
