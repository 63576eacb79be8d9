"""The settings of the server, without secrets."""

from antiphon.server.http.requests import Request
from antiphon.service.server_settings import ServerSettings
from antiphon.wire.admin.settings import ServerSettingsInfo


class SettingEndpoints:
    """The endpoint of settings."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    async def show_settings(self, _: Request[None]) -> ServerSettingsInfo:
        return await self._settings.show()
