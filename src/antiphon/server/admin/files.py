"""The storage of uploaded files, which `server.files` serves."""

from typing import Final

from antiphon.server.http.requests import Request
from antiphon.service.files.storage import FileStorage
from antiphon.wire.admin.files import FileStorageInfo

FILE_STORAGE_QUERY: Final = ("workspace_id",)


class FileStorageEndpoints:
    """The endpoint of the storage of files."""

    def __init__(self, storage: FileStorage) -> None:
        self._storage = storage

    async def show_storage(self, request: Request[None]) -> FileStorageInfo:
        wanted = request.query.one("workspace_id")
        return await self._storage.of_workspace(wanted, request.reach)
