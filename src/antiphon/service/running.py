"""What runs now in this process: the admitted requests within reach, and the queues of models."""

from typing import Final

from antiphon.core.billing.reports import wire_time
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.accounts import Accounts
from antiphon.service.limits.admission import Admission
from antiphon.service.limits.metering import Metering
from antiphon.service.models import Models
from antiphon.wire.admin.requests import ModelQueue, RunningRequest, RunningRequests

MOST_SHOWN: Final = 100


class Running:
    """Tells what runs now. It reads memory alone, so it may be asked every second."""

    def __init__(self, metering: Metering, models: Models, accounts: Accounts) -> None:
        self._metering = metering
        self._models = models
        self._accounts = accounts

    async def show(self, reach: Reach = EVERYTHING) -> RunningRequests:
        """Return the requests within reach, the longest running first, and the queues of all."""
        default = (await self._accounts.current()).default_workspace.id
        seen = [
            shown
            for admission in self._metering.followed
            if _within(reach, admission, default) and (shown := _shown(admission)) is not None
        ]
        seen.sort(key=lambda one: one.started_at)
        return RunningRequests(
            data=tuple(seen[:MOST_SHOWN]),
            total=len(seen),
            models=tuple(
                ModelQueue(
                    id=model.id,
                    running=model.gate.running,
                    waiting=model.gate.waiting,
                )
                for model in self._models.served
            ),
        )


def _within(reach: Reach, admission: Admission, default: str) -> bool:
    opening = admission.opening
    return reach.sees_request(opening.workspace_id or default, opening.account_id)


def _shown(admission: Admission) -> RunningRequest | None:
    """Return a request that has not ended."""
    tokens, opening = admission.running, admission.opening
    if tokens is None:
        return None
    first = admission.first_token_at
    return RunningRequest(
        id=opening.id,
        started_at=wire_time(opening.started_at),
        first_token_at=None if first is None else wire_time(first),
        api_key_id=opening.api_key_id,
        account_id=None if opening.api_key_id else opening.account_id,
        workspace_id=opening.workspace_id,
        model=opening.model,
        served_model=opening.served_model,
        batch_id=opening.batch_id,
        input_tokens=tokens.prompt or admission.input_tokens,
        output_tokens=tokens.output,
        is_parked=admission.is_parked(),
    )
