"""What the files of a workspace take, and what is left for others."""

from antiphon.core.permissions import Reach
from antiphon.service.admin.workspaces import the_default_workspace, the_workspace
from antiphon.service.files.arrival import FileLimits
from antiphon.store.database.database import Database
from antiphon.store.files import bytes_of_files
from antiphon.wire.admin.files import FileStorageInfo


class FileStorage:
    """The storage of files, for people."""

    def __init__(self, database: Database, limits: FileLimits, *, downloads: bool) -> None:
        self._database = database
        self._limits = limits
        self._downloads = downloads

    async def of_workspace(self, wanted: str | None, reach: Reach) -> FileStorageInfo:
        """Return the storage of a workspace; of the Default one for `None`.

        Raises `NotFoundError` for one out of reach.
        """
        limits = self._limits
        async with self._database.read() as connection:
            default = await the_default_workspace(connection)
            workspace = await the_workspace(connection, wanted or default, reach)
            owner = None if workspace.id == default else workspace.id
            used = await bytes_of_files(connection, owner, of_all=False)
            left = limits.quota - await bytes_of_files(connection)
        quota = limits.workspace_quota
        if quota is not None:
            left = min(left, quota - used)
        return FileStorageInfo(
            workspace_id=workspace.id,
            used_bytes=used,
            quota_bytes=quota,
            free_bytes=max(0, left),
            largest_file_bytes=limits.largest,
            downloadable=self._downloads,
        )
