"""What an engine tells of itself now, for whoever looks after it: its slots, memory and health."""

from typing import Protocol, runtime_checkable

import msgspec

from antiphon.engines.base import EngineErrorKind


class EngineFailure(msgspec.Struct, frozen=True):
    """Why an engine stopped answering, and how many seconds ago. The reason is for the operator."""

    reason: str
    ago_s: float


class EngineMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes: what its process uses of the main memory now, and what the model takes by its file.

    `batch_process` is a second process that computes batches, while there is one. `kv` is reserved
    for the context of all slots, `kv_per_token` of that for each token. `None` is not known.
    """

    process: int | None = None
    batch_process: int | None = None
    weights: int | None = None
    kv_per_token: int | None = None
    kv: int | None = None


class EngineSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens in a second of one request, as the engine measured the last minutes; or `None`.

    `prefill` is of prompts, without what was reused; `decode` is of answers.
    """

    prefill: float | None = None
    decode: float | None = None


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine as it is now. `None` is not known.

    `busy_slots` of the `slots` work, and `waiting` prompts wait for one. `restarts` counts since
    the engine was opened.
    """

    slots: int | None = None
    busy_slots: int | None = None
    waiting: int | None = None
    restarts: int | None = None
    failure: EngineFailure | None = None
    memory: EngineMemory | None = None
    speeds: EngineSpeeds | None = None


class RequestFailure(msgspec.Struct, frozen=True):
    """The kind of the last error of an engine in a request, and how many seconds ago it was."""

    kind: EngineErrorKind
    ago_s: float


class MemberState(msgspec.Struct, frozen=True):
    """One of several engines of a model.

    It works on `running` requests, and is left out for `left_out_s`: 0 if it is not.
    """

    running: int
    left_out_s: float
    failure: RequestFailure | None


@runtime_checkable
class TellingEngine(Protocol):
    """An engine that tells of itself; `None` if it has nothing to tell. It reads no file."""

    def state(self) -> EngineState | None: ...
