"""How the models of the server do."""

from antiphon.server.http.requests import Request
from antiphon.service.model_states import ModelStateReport
from antiphon.wire.admin.models import ModelStates


class ModelStateEndpoints:
    """The endpoint of models and their engines."""

    def __init__(self, states: ModelStateReport) -> None:
        self._states = states

    async def show_states(self, request: Request[None]) -> ModelStates:
        return self._states.show(request.reach)
