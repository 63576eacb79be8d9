"""How the models of this process do: their engines, queues, memory and speed."""

from collections.abc import Callable
from datetime import datetime, timedelta

from antiphon.core.billing.reports import wire_time
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.engines.base import Engine
from antiphon.engines.states import (
    EngineFailure,
    EngineMemory,
    EngineSpeeds,
    EngineState,
    MemberState,
    RequestFailure,
    TellingEngine,
)
from antiphon.service.models import Models, ServedModel
from antiphon.service.succession import Succession
from antiphon.wire.admin.models import (
    EngineErrorInfo,
    EngineFailureInfo,
    EngineInfo,
    EngineMemoryInfo,
    EngineSpeedInfo,
    EngineStatus,
    ModelStateInfo,
    ModelStates,
    TakeOverInfo,
)

_NOTHING = EngineState()


class ModelStateReport:
    """Tells how the models do. It reads memory alone, so it may be asked every second.

    Who sees a part of the organization is told neither the memory of engines nor why one ended:
    the reason may name paths of the server.
    """

    def __init__(
        self,
        models: Models,
        now: Callable[[], datetime],
        succession: Succession | None = None,
    ) -> None:
        self._models = models
        self._now = now
        self._succession = succession

    def show(self, reach: Reach = EVERYTHING) -> ModelStates:
        """Return all models; every caller may use each of them."""
        sees_all = reach.workspaces is None
        served = [self._model(one, sees_all=sees_all) for one in self._models.served]
        return ModelStates(data=(*served, *self._successor(sees_all=sees_all)))

    def _successor(self, *, sees_all: bool) -> tuple[ModelStateInfo, ...]:
        """Return the model that is to take over; nothing if there is none, or if it has."""
        if self._succession is None or (state := self._succession.state).stage == "done":
            return ()
        model = next(one for one in self._models.known if one.id == self._succession.model)
        return (
            ModelStateInfo(
                id=model.id,
                display_name=model.listed().display_name,
                status=state.stage,
                context_tokens=None,
                max_output_tokens=None,
                running=0,
                waiting=0,
                batch_running=0,
                batch_waiting=0,
                engines=(),
                takes_over=TakeOverInfo(
                    of=self._succession.of,
                    fetched_bytes=state.fetched,
                    total_bytes=state.total,
                    reason=state.reason if sees_all else None,
                ),
            ),
        )

    def _model(self, model: ServedModel, *, sees_all: bool) -> ModelStateInfo:
        listed, gate = model.listed(), model.gate
        return ModelStateInfo(
            id=model.id,
            display_name=listed.display_name,
            status=_status(model.is_open, model.ready, None),
            context_tokens=listed.max_input_tokens,
            max_output_tokens=listed.max_tokens,
            running=gate.running,
            waiting=gate.waiting,
            batch_running=gate.batches.running,
            batch_waiting=gate.batches.waiting,
            engines=self._engines(model, sees_all=sees_all),
        )

    def _engines(self, model: ServedModel, *, sees_all: bool) -> tuple[EngineInfo, ...]:
        names = [one.engine for one in model.settings.runs_on()]
        opened, members = model.opened, model.members()
        return tuple(
            self._engine(
                model,
                index,
                name,
                opened[index] if index < len(opened) else None,
                members[index] if members else None,
                sees_all=sees_all,
            )
            for index, name in enumerate(names)
        )

    def _engine(  # noqa: PLR0913 - an engine, and all that tells of it
        self,
        model: ServedModel,
        index: int,
        name: str,
        engine: Engine | None,
        member: MemberState | None,
        *,
        sees_all: bool,
    ) -> EngineInfo:
        told = _told_by(engine)
        failure = model.meter.failure if member is None else member.failure
        measured = told.speeds is not None
        return EngineInfo(
            number=index + 1,
            engine=name,
            status=_status(engine is not None, engine is not None and engine.ready, member),
            running=model.gate.running if member is None else member.running,
            waiting=told.waiting,
            slots=told.slots,
            busy_slots=told.busy_slots,
            left_out_s=None if member is None else round(member.left_out_s, 1),
            restarts=told.restarts,
            last_failure=self._ended(told.failure, sees_all=sees_all),
            last_error=self._failed(failure),
            memory=_memory(told.memory) if sees_all else None,
            speed=_speed(told.speeds or model.meter.speeds(index), by_engine=measured),
        )

    def _ended(self, failure: EngineFailure | None, *, sees_all: bool) -> EngineFailureInfo | None:
        if failure is None:
            return None
        reason = failure.reason if sees_all else None
        return EngineFailureInfo(at=self._ago(failure.ago_s), reason=reason)

    def _failed(self, failure: RequestFailure | None) -> EngineErrorInfo | None:
        if failure is None:
            return None
        return EngineErrorInfo(at=self._ago(failure.ago_s), kind=failure.kind.value)

    def _ago(self, seconds: float) -> str:
        return wire_time(self._now() - timedelta(seconds=seconds))


def _told_by(engine: object) -> EngineState:
    told = engine.state() if isinstance(engine, TellingEngine) else None
    return _NOTHING if told is None else told


def _status(is_open: bool, ready: bool, member: MemberState | None) -> EngineStatus:  # noqa: FBT001 - what it is made of
    if not is_open:
        return "loading"
    if not ready:
        return "restarting"
    return "left_out" if member is not None and member.left_out_s > 0 else "ready"


def _memory(memory: EngineMemory | None) -> EngineMemoryInfo | None:
    if memory is None:
        return None
    return EngineMemoryInfo(
        process_bytes=memory.process,
        batch_process_bytes=memory.batch_process,
        weights_bytes=memory.weights,
        kv_bytes_per_token=memory.kv_per_token,
        kv_bytes=memory.kv,
    )


def _speed(speeds: EngineSpeeds, *, by_engine: bool) -> EngineSpeedInfo | None:
    if speeds.prefill is None and speeds.decode is None:
        return None
    return EngineSpeedInfo(
        prefill_tokens_per_second=_rounded(speeds.prefill),
        decode_tokens_per_second=_rounded(speeds.decode),
        measured_by="engine" if by_engine else "server",
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
